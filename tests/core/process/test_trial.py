from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from gateway_core.config.sources import parse_root
from gateway_core.errors import GatewayError
from gateway_core.process.model import VARIABLE
from gateway_core.process.trial import is_trial, program_arguments, try_program

from tests.following import eventually


def python(code: str) -> list[str]:
    return [sys.executable, "-S", "-c", code]


async def test_the_gateway_itself_begins_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    await try_program(program_arguments([Path("gone.yaml")], tmp_path / "state"))

    assert os.listdir(tmp_path) == []  # noqa: PTH208 - blocks for no time worth a thread
    assert not is_trial()


async def test_the_program_is_told_that_it_is_tried() -> None:
    await try_program(python(f"import os, sys; sys.exit(os.environ[{VARIABLE!r}] != 'trial')"))


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise ImportError('half installed')", r"\(status 1\): ImportError: half installed$"),
        ("import os; os._exit(7)", r"\(status 7\): it printed nothing$"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", r"\(signal 11\): it printed nothing$"),
        ("print('x' * 100_000 + '\\nlast'); raise SystemExit(3)", r"\(status 3\): last$"),
    ],
)
async def test_a_program_that_does_not_begin_is_an_error_that_says_why(code: str, reason: str) -> None:
    with pytest.raises(GatewayError, match=reason):
        await try_program(python(code))


async def test_a_program_that_does_not_end_is_ended_with_what_it_has_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    code = f"""
import os, pathlib, subprocess, time
child = subprocess.Popen(["sleep", "600"])
pathlib.Path({str(pids)!r}).write_text(f"{{os.getpid()}} {{child.pid}}")
time.sleep(600)
"""

    with pytest.raises(GatewayError, match="did not begin within"):
        await try_program(python(code), patience=3.0)

    started = pids.read_text().split() if pids.exists() else []
    await eventually(lambda: not any(is_running(int(pid)) for pid in started))


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_a_program_that_is_gone_is_an_error() -> None:
    with pytest.raises(GatewayError, match=r"cannot be tried: .*No such file"):
        await try_program(["/nonexistent/python"])


def test_the_command_line_is_that_of_the_program(tmp_path: Path) -> None:
    roots = [parse_root("a.yaml"), parse_root("etcd://h/a")]

    arguments = program_arguments(roots, tmp_path, last_good=True)

    more = ["--state", str(tmp_path), "--last-good", "-c", "a.yaml", "-c", "etcd://h/a"]
    assert arguments == [sys.executable, "-m", "gateway_core.cli", "run", *more]
    assert VARIABLE not in os.environ
