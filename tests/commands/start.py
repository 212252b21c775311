"""Commands of the gateway as processes, each with its own environment, directory and streams.

They are forked by an interpreter that has imported the gateway and no plugin (`server`), as a new interpreter for each
would take most of a second of CPU. Where the start itself is tested, or what only a new interpreter reads differs from
the environment of the tests, there is a new one.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Final

_MODULE: Final = "gateway_core.cli"
_READ_AT_START: Final = ("PYTHON", "LD_", "MALLOC_", "SSL_", "LC_", "LANG", "TZ", "PYDANTIC_", "AIOHTTP_")
"""Beginnings of variables that the interpreter, or an import, looks at."""
_FOLDERS: Final = os.environ.get("PYTHONPATH", "")
"""Where the tests import from; one of them may change the variable before the first command is forked."""


class Command:
    """A running command that was forked; of `subprocess.Popen` it has what tests use."""

    def __init__(self, pid: int, reported: socket.socket, stderr: IO[bytes] | None) -> None:
        self.pid = pid
        self.stderr = stderr
        self.returncode: int | None = None
        self._reported = reported
        self._turn = threading.Lock()

    def poll(self) -> int | None:
        """Return the exit status if the process has ended, negative for a signal."""
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end, and return the exit status.

        :raises subprocess.TimeoutExpired: it did not end within these seconds.
        """
        status = self._look(timeout)
        if status is None:
            raise subprocess.TimeoutExpired(_MODULE, timeout or 0)
        return status

    def _look(self, timeout: float | None) -> int | None:
        if self.returncode is None:
            waiting = select.poll()
            waiting.register(self._reported, select.POLLIN)
            ready = waiting.poll(None if timeout is None else timeout * 1000)
            with self._turn:
                if ready and self.returncode is None:
                    self.returncode = _number(self._reported)
                    self._reported.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Send SIGKILL, unless the process has ended."""
        self.send_signal(signal.SIGKILL)


def _number(reported: socket.socket) -> int:
    text = reported.recv(100)
    assert text, "the process that forks commands has ended"
    return int(text)


class _Server:
    """The process that forks commands."""

    def __init__(self) -> None:
        environ = {**os.environ, "PYTHONPATH": _FOLDERS}
        self.environ = _at_start(environ)
        self._control, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._turn = threading.Lock()
        script = Path(__file__).with_name("server.py")
        with other:
            self._process = subprocess.Popen(
                [sys.executable, str(script), str(other.fileno())],
                pass_fds=[other.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env={**environ, "PYDANTIC_DISABLE_PLUGINS": "__all__"},
            )
        self._control.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_000_000)
        atexit.register(self.close)

    def start(
        self,
        arguments: list[str],
        environ: Mapping[str, str],
        directory: Path,
        descriptors: list[int],
        inside: Path | None = None,
    ) -> tuple[int, socket.socket]:
        """Fork a command; return its process and the socket that gets its exit status."""
        reported, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        job = {
            "module": _MODULE,
            "arguments": arguments,
            "environ": dict(environ),
            "directory": str(directory),
            "inside": None if inside is None else str(inside),
        }
        with other, self._turn:
            socket.send_fds(self._control, [json.dumps(job).encode()], [*descriptors, other.fileno()])
        return _number(reported), reported

    @property
    def control(self) -> int:
        """The descriptor to which jobs are sent."""
        return self._control.fileno()

    def close(self) -> None:
        """End the process; what it started goes on."""
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)  # also in what was forked meanwhile
        self._control.close()
        self._process.wait()


def _at_start(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what makes another interpreter; the folders of ``PYTHONPATH`` are added to what is forked."""
    found = {name: value for name, value in environ.items() if name.startswith(_READ_AT_START)}
    folders = found.pop("PYTHONPATH", "").split(os.pathsep)
    if any((Path(each) / "sitecustomize.py").exists() for each in folders if each):
        found["PYTHONPATH"] = environ["PYTHONPATH"]  # its module is run at the start
    return found


_server: _Server | None = None
_server_turn = threading.Lock()


def _server_for(environ: Mapping[str, str]) -> _Server | None:
    """Return the process that forks commands for this environment; None if a new interpreter would be another one."""
    global _server  # noqa: PLW0603  # one for all tests of this process
    with _server_turn:
        if _server is None:
            _server = _Server()
    return _server if _at_start(environ) == _server.environ else None


def control() -> int:
    """Return the descriptor on which `tests/commands/client.py` asks for commands."""
    server = _server_for({name: value for name, value in os.environ.items() if name != "PYTHONPATH"})
    assert server is not None, "the tests have changed variables that an interpreter reads at its start"
    return server.control


def start(
    arguments: list[str],
    *,
    environ: Mapping[str, str] | None = None,
    directory: Path | None = None,
    python: str | Path | None = None,
    inside: Path | None = None,
) -> Command | subprocess.Popen[bytes]:
    """Start ``gateway ARGUMENTS`` with a pipe from its standard error.

    :param python: the interpreter to start for it.
    :param inside: the virtual environment whose packages it has beside those of the tests.
    """
    environ, directory = environ or os.environ, directory or Path.cwd()
    server = None if python else _server_for(environ)
    if server is None and inside is not None:
        python = inside / "bin" / "python"
    if server is None:
        return subprocess.Popen(
            [str(python or sys.executable), "-m", _MODULE, *arguments],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            env=environ,
            cwd=directory,
        )
    reading, writing = os.pipe()
    with Path(os.devnull).open("r+b", buffering=0) as nothing:
        try:
            descriptors = [nothing.fileno(), nothing.fileno(), writing]
            pid, reported = server.start(arguments, environ, directory, descriptors, inside)
        finally:
            os.close(writing)
    return Command(pid, reported, os.fdopen(reading, "rb"))


def run(
    *arguments: str | Path,
    environ: Mapping[str, str] | None = None,
    directory: Path | None = None,
    timeout: float = 120,
) -> subprocess.CompletedProcess[str]:
    """Run ``gateway ARGUMENTS`` to its end; return its status and output.

    :raises subprocess.TimeoutExpired: it did not end within these seconds.
    """
    words = [str(each) for each in arguments]
    environ, directory = environ or os.environ, directory or Path.cwd()
    server = _server_for(environ)
    if server is None:
        return subprocess.run(
            [sys.executable, "-m", _MODULE, *words],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environ, cwd=directory, timeout=timeout,
            check=False,
        )  # fmt: skip
    with Path(os.devnull).open("rb") as nothing, tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        descriptors = [nothing.fileno(), output.fileno(), errors.fileno()]
        command = Command(*server.start(words, environ, directory, descriptors), stderr=None)
        try:
            status = command.wait(timeout)
        finally:
            command.kill()
        output.seek(0)
        errors.seek(0)
        return subprocess.CompletedProcess(words, status, output.read().decode(), errors.read().decode())
