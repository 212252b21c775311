"""What goes where: data to standard output, all else to standard error, and nothing into a pipe that is closed."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from gateway_core.cli.root import COMMANDS

from tests.commands import start as commands
from tests.programs import program

GATEWAY = [sys.executable, "-m", "gateway_core.cli"]
GOOD = "routes: [{path: /, target: 'http://127.0.0.1:1'}]\n"


def gateway(*arguments: str, folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(folder), **environ}
    return commands.run(*arguments, environ=environment, directory=folder)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "gateway.yaml").write_text(GOOD)
    (tmp_path / "bad.yaml").write_text("nonsense: 1\n")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ("check", 0),
        ("check bad.yaml", 1),
        ("check --nonsense", 2),
        ("check http://127.0.0.1:1/x.yaml", 3),
        ("routes -c http://127.0.0.1:1/x.yaml", 3),
        ("match GET / -c http://127.0.0.1:1/x.yaml", 3),
        ("match GET /", 0),
        ("match GET nonsense", 2),
        ("match GET / --running", 3),
        ("status", 3),
        ("reload", 3),
        ("call a b", 3),
        ("explain no-route", 0),
        ("explain nonsense", 1),
        ("nonsense", 2),
    ],
)
def test_the_exit_status_tells_problems_from_wrong_usage_and_from_what_is_not_known(
    folder: Path, arguments: str, status: int
) -> None:
    done = gateway(*arguments.split(), folder=folder)

    assert done.returncode == status, done.stderr
    assert (done.stdout == "") is (status != 0)
    assert (done.stderr == "") is (status == 0)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments", ["check --json", "check bad.yaml --json", "check bad.yaml --output sarif", "routes --json", "schema"]
)
def test_output_for_programs_is_json_alone(folder: Path, arguments: str) -> None:
    json.loads(gateway(*arguments.split(), folder=folder).stdout)


@pytest.mark.parametrize("arguments", ["schema", "explain", "plugins show auth", "explain --json"])
def test_a_reader_that_has_seen_enough_is_no_error_to_speak_of(folder: Path, arguments: str) -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [*GATEWAY, *arguments.split()], stdout=write, stderr=subprocess.PIPE, text=True, cwd=folder, check=False
        )
    finally:
        os.close(write)

    assert done.stderr == ""


@pytest.mark.parametrize("arguments", ["schema", "explain", "check --json", "--help", "--version", "check -h"])
def test_an_output_on_a_full_disk_is_one_line_and_undecided(folder: Path, arguments: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*GATEWAY, *arguments.split()], stdout=full, stderr=subprocess.PIPE, text=True, cwd=folder, check=False
        )

    assert done.stderr == "gateway: standard output cannot be written: No space left on device\n"
    assert done.returncode == 3


@pytest.mark.parametrize(
    ("arguments", "status"), [("check", 0), ("check bad.yaml --json", 1), ("routes", 0), ("explain", 0), ("status", 3)]
)
@pytest.mark.parametrize("closed", [">&-", "<&- >&-", "2>&-", "<&- >&- 2>&-"])
def test_a_standard_stream_that_is_closed_is_as_if_nobody_read_it(
    folder: Path, arguments: str, status: int, closed: str
) -> None:
    run = ["sh", "-c", f'exec "$@" {closed}', "sh", *GATEWAY, *arguments.split()]
    environ = {**os.environ, "XDG_RUNTIME_DIR": str(folder)}

    done = subprocess.run(run, capture_output=True, text=True, cwd=folder, env=environ, check=False)

    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("environ", [{}, {"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=["color", "no-color", "dumb"])
@pytest.mark.parametrize("arguments", ["check bad.yaml", "--help", "nonsense", "routes"])
def test_no_command_writes_colours_on_a_terminal(folder: Path, arguments: str, environ: dict[str, str]) -> None:
    primary, secondary = pty.openpty()
    process = subprocess.Popen(
        [*GATEWAY, *arguments.split()],
        stdout=secondary,
        stderr=secondary,
        cwd=folder,
        env={**os.environ, "TERM": "xterm-256color", **environ},
    )
    os.close(secondary)
    shown = b""
    while True:
        try:
            data = os.read(primary, 65536)
        except OSError:  # the other end is closed
            break
        if not data:
            break
        shown += data
    process.wait()
    os.close(primary)

    assert shown
    # What takes long may show a line and take it back again.
    assert b"\x1b" not in re.sub(rb"[^\r\n]* \.\.\.\r\x1b\[K", b"", shown)
    assert b"\x1b[3" not in shown


BASH = """
source <(_GATEWAY_COMPLETE=bash_source gateway)
COMP_WORDS=(gateway st)
COMP_CWORD=1
_gateway_completion gateway st gateway
echo "${COMPREPLY[@]}"
"""
ZSH = """
_GATEWAY_COMPLETE=zsh_source gateway > completion.zsh && zsh -n completion.zsh || exit 1
_GATEWAY_COMPLETE=zsh_complete COMP_WORDS='gateway st' COMP_CWORD=1 gateway
"""
FISH = """
_GATEWAY_COMPLETE=fish_source gateway | source
complete -C "gateway st"
"""
SHELLS = {"bash": ("bash", BASH), "zsh": ("zsh", ZSH), "fish": ("fish", FISH)}
"""By shell: its Debian package, and a script that completes ``gateway st``."""


@pytest.mark.parametrize("shell", sorted(SHELLS))
def test_shells_complete_names_of_commands_without_importing_plugins(tmp_path: Path, shell: str) -> None:
    package, script = SHELLS[shell]
    run = [program(shell, package), "-c", script]
    tools = tmp_path / "bin"
    tools.mkdir()
    command = tools / "gateway"
    # A plugin that is imported would be seen among the modules.
    command.write_text(
        f'#!/bin/sh\nexec {sys.executable} -X importtime -m gateway_core.cli "$@" 2>>{tmp_path}/imports\n'
    )
    command.chmod(0o755)
    environ = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "HOME": str(tmp_path)}

    done = subprocess.run(run, capture_output=True, text=True, env=environ, cwd=tmp_path, check=False)

    assert "status" in done.stdout.split(), done.stderr
    assert "gateway_plugin_" not in (tmp_path / "imports").read_text()


def test_the_codes_of_explain_are_completed(folder: Path) -> None:
    environ = {"_GATEWAY_COMPLETE": "bash_complete", "COMP_WORDS": "gateway explain breaker.", "COMP_CWORD": "2"}

    done = gateway(folder=folder, **environ)

    assert set(done.stdout.split()) == {"plain,breaker.opened", "plain,breaker.half_open", "plain,breaker.closed"}


@pytest.mark.parametrize("words", ["check ba", "check -c ba", "run -c ba", "status -c ba", "match -c ba"])
def test_paths_of_configurations_are_completed_by_the_shell(folder: Path, words: str) -> None:
    asked = {"COMP_WORDS": f"gateway {words}", "COMP_CWORD": str(len(words.split()))}

    assert gateway(folder=folder, _GATEWAY_COMPLETE="bash_complete", **asked).stdout.strip() == "file,ba"


def test_names_of_installed_plugins_are_completed(folder: Path) -> None:
    environ = {"_GATEWAY_COMPLETE": "bash_complete", "COMP_WORDS": "gateway plugins show hea", "COMP_CWORD": "3"}

    assert gateway(folder=folder, **environ).stdout.split() == ["plain,headers"]


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_an_argument_that_is_not_utf8_is_an_error_without_a_traceback(folder: Path, name: str) -> None:
    done = gateway(name, os.fsdecode(b"no\xff"), folder=folder)

    assert done.returncode in {1, 2, 3}, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments", [("drain", b"\xff"), ("up", b"a\xff"), ("release", b"\xff"), ("call", b"\xff", "x")]
)
def test_what_would_go_into_a_request_and_is_not_utf8_is_wrong_usage(
    folder: Path, arguments: tuple[str | bytes, ...]
) -> None:
    done = gateway(*map(os.fsdecode, arguments), folder=folder)

    assert (done.returncode, "is not UTF-8" in done.stderr) == (2, True), done.stderr


WAITING = ["diff", "status", "history", "drain a", "log-level debug", "call a b", "rollback 1", "match GET / --running"]
"""Commands that wait for a gateway."""


@pytest.mark.parametrize("arguments", WAITING)
def test_ctrl_c_ends_a_command_that_waits_with_130(folder: Path, arguments: str) -> None:
    # A short path, as that of a socket has to be.
    with tempfile.TemporaryDirectory() as short, socket.socket(socket.AF_UNIX) as listener:
        address = f"{short}/admin.sock"
        listener.bind(address)
        listener.listen()
        listener.settimeout(60)
        process = subprocess.Popen(
            [*GATEWAY, *arguments.split(), "--admin", f"unix:{address}"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder,
            # A shell has what it runs in the background ignore SIGINT, and what that starts.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - it takes no lock
            start_new_session=True,
        )  # fmt: skip
        try:
            connection, _ = listener.accept()
            with connection:
                assert connection.recv(100)  # it waits for the response from now on
                os.killpg(process.pid, signal.SIGINT)  # as a terminal does
                out, error = process.communicate(timeout=60)
        finally:
            process.kill()
            process.wait()

    assert (process.returncode, out, error) == (130, "", "gateway: interrupted\n")


def test_every_command_has_help_without_an_error(folder: Path) -> None:
    asked = {name: gateway(name, "--help", folder=folder) for name in COMMANDS}

    assert [name for name, done in asked.items() if done.returncode or done.stderr or not done.stdout] == []
