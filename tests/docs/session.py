"""Does what a reader of a page would do: writes its files, types its commands, looks at what they print."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from tests.commands.start import control
from tests.docs.blocks import Block, shows
from tests.ports import free_port

PATIENCE = 40.0
_GATEWAY = """#!/bin/sh
case "$1" in
    {forked}) exec '{python}' -I -S '{client}' {control} "$@" ;;
esac
exec '{program}' "$@"
"""
_FORKED = (
    "call", "check", "diff", "explain", "history", "match", "rollback", "reload", "routes", "schema", "status", "unpin",
)  # fmt: skip
"""Commands that end by themselves; their process may be another one than the shell has started."""


class Session:
    """A folder and a shell in which a page's blocks are tried, with ports that are free.

    - a block whose first line names a file is written to it; a configuration is checked as well
    - ``sh`` is run and has to succeed, ``sh fails`` to fail; the ``text`` after it shows lines of what it printed
    - ``sh until`` is run until it prints that
    - ``sh terminal PORT`` goes on in a terminal of its own; it is ready when somebody listens there
    - everything else is for reading

    Commands of the gateway that end by themselves are forked (`tests.commands`).
    """

    def __init__(self, folder: Path, ports: Sequence[int]) -> None:
        self.folder = folder
        self._ports = {str(port): str(free_port()) for port in ports}
        self._terminals: list[subprocess.Popen[bytes]] = []
        tools = folder / ".bin"
        tools.mkdir()
        for name in ("python", "python3"):
            (tools / name).symlink_to(sys.executable)
        # Tests need nothing but Python: this curl knows the options that our pages use.
        curl = tools / "curl"
        curl.write_text(f"#!/bin/sh\nexec '{sys.executable}' '{Path(__file__).with_name('curl.py')}' \"$@\"\n")
        curl.chmod(0o755)
        programs = Path(sys.executable).parent
        self._control = control()
        first = folder / ".gateway"
        first.mkdir()
        gateway = first / "gateway"
        client = Path(__file__).parents[1] / "commands" / "client.py"
        gateway.write_text(
            _GATEWAY.format(
                forked=" | ".join(_FORKED),
                python=sys.executable,
                client=client,
                control=self._control,
                program=programs / "gateway",
            )
        )
        gateway.chmod(0o755)
        path = os.pathsep.join([str(first), str(programs), str(tools), os.environ["PATH"]])
        self._environ = {**os.environ, "PATH": path}

    def __enter__(self) -> Session:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        for process in reversed(self._terminals):
            os.killpg(process.pid, signal.SIGTERM)
        for process in self._terminals:
            process.wait(PATIENCE)

    def try_page(self, blocks: Sequence[Block]) -> None:
        """Do what a page says, from top to bottom."""
        for block, after in zip(blocks, [*blocks[1:], None], strict=True):
            expected = after.text if after is not None and after.language == "text" else ""
            if block.language == "sh":
                self._shell(block, self._with_free_ports(expected))
            elif block.language in {"yaml", "toml", "json"} and block.file_name is not None:
                self._write(block, block.file_name)

    def _with_free_ports(self, text: str) -> str:
        return re.sub(r"\b\d{4,5}\b", lambda found: self._ports.get(found[0], found[0]), text)

    def _write(self, block: Block, name: str) -> None:
        """Write a configuration; it is checked under another name first, as a gateway may be watching this one."""
        path = self.folder / name
        candidate = path.with_stem(f"candidate-of-{path.stem}")
        candidate.write_text(self._with_free_ports(block.text))
        status, output = self._run(f"gateway check -c {candidate.name}")
        assert status == 0, f"{block.place}: {output}"
        candidate.replace(path)

    def _shell(self, block: Block, expected: str) -> None:
        text = self._with_free_ports(block.text)
        if block.words[:1] == ("terminal",):
            self._open_terminal(text, int(self._ports[block.words[1]]))
            return
        deadline = time.monotonic() + PATIENCE
        while True:
            status, output = self._run(text)
            if "until" not in block.words or shows(expected, output) or time.monotonic() > deadline:
                break
            time.sleep(0.2)
        assert (status != 0) is ("fails" in block.words), f"{block.place} ended with {status}: {output}"
        assert shows(expected, output), f"{block.place} printed:\n{output}\ninstead of:\n{expected}"

    def _run(self, text: str) -> tuple[int, str]:
        done = subprocess.run(
            ["/bin/sh", "-e", "-c", text],
            cwd=self.folder,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            pass_fds=[self._control],
        )
        return done.returncode, done.stdout

    def _open_terminal(self, text: str, port: int) -> None:
        with (self.folder / f".terminal-{port}").open("wb") as output:
            process = subprocess.Popen(
                ["/bin/sh", "-e", "-c", text],
                cwd=self.folder,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._terminals.append(process)
        deadline = time.monotonic() + PATIENCE
        while not is_open(port):
            assert process.poll() is None, (self.folder / f".terminal-{port}").read_text()
            assert time.monotonic() < deadline, f"nobody listens on {port} after {text!r}"
            time.sleep(0.05)


def is_open(port: int) -> bool:
    """Whether somebody listens."""
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0
