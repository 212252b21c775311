from __future__ import annotations

import logging
import resource
import subprocess
import sys

import pytest
from gateway_core.descriptors import (
    LocalErrors,
    check_descriptors_for_start,
    connections_for,
    default_max_connections,
    operator_connections_for,
)
from gateway_core.errors import GatewayError
from hypothesis import given
from hypothesis import strategies as st

RAISE = """
import resource
from gateway_core.descriptors import raise_descriptor_limit

resource.setrlimit(resource.RLIMIT_NOFILE, (100, 300))
raise_descriptor_limit()
raise_descriptor_limit()
"""

PRINT = "import resource; print(resource.getrlimit(resource.RLIMIT_NOFILE), flush=True)"

CHILDREN = {
    "subprocess": "import subprocess, sys; subprocess.run([sys.executable, '-c', {print!r}], check=True)",
    "subprocess with its own preexec_fn": (
        "import subprocess, sys; subprocess.run([sys.executable, '-c', {print!r}], preexec_fn=lambda: None, check=True)"
    ),
    "asyncio": (
        "import asyncio, sys\n"
        "async def main():\n"
        "    child = await asyncio.create_subprocess_exec(sys.executable, '-c', {print!r})\n"
        "    await child.wait()\n"
        "asyncio.run(main())"
    ),
    "uvloop": (
        "import asyncio, sys, uvloop\n"
        "async def main():\n"
        "    child = await asyncio.create_subprocess_exec(sys.executable, '-c', {print!r})\n"
        "    await child.wait()\n"
        "uvloop.run(main())"
    ),
    "fork": "import os\npid = os.fork()\nif pid == 0:\n    exec({print!r})\n    os._exit(0)\nos.waitpid(pid, 0)",
    "exec": (
        "import os, sys\n"
        "from gateway_core.descriptors import restore_descriptor_limit\n"
        "restore_descriptor_limit()\n"
        "os.execv(sys.executable, [sys.executable, '-c', {print!r}])"
    ),
}


def run(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return done.stdout


def test_the_soft_limit_is_raised_to_the_hard_one() -> None:
    assert run(RAISE + PRINT) == "(300, 300)\n"


@pytest.mark.parametrize("start", CHILDREN.values(), ids=CHILDREN.keys())
def test_a_child_has_the_limit_that_the_process_was_started_with(start: str) -> None:
    if "uvloop" in start:
        pytest.importorskip("uvloop")

    assert run(RAISE + start.format(print=PRINT)) == "(100, 300)\n"


def test_a_child_of_the_gateways_own_raises_it_again() -> None:
    child = "import os\npid = os.fork()\nif pid == 0:\n    raise_descriptor_limit()\n" + f"    exec({PRINT!r})\n"

    assert run(RAISE + child + "    os._exit(0)\nos.waitpid(pid, 0)") == "(300, 300)\n"


@given(st.integers(0, 1 << 20))
def test_clients_get_most_descriptors_and_leave_some(descriptors: int) -> None:
    connections = connections_for(descriptors)

    assert 1 <= connections <= 16_384
    if 256 <= descriptors <= 16_384:
        assert descriptors // 2 < connections <= descriptors - descriptors // 4
    if descriptors >= 4:
        assert connections <= descriptors * 3 // 4


def test_without_a_limit_of_descriptors_there_is_a_number_all_the_same() -> None:
    assert connections_for(resource.RLIM_INFINITY) == 16_384


@pytest.mark.parametrize("descriptors", [128, 200, 1024, 4096, 1 << 20])
def test_two_full_admin_listeners_leave_descriptors_to_all_clients(descriptors: int) -> None:
    admin = 2 * min(256, operator_connections_for(descriptors))

    assert admin + connections_for(descriptors) < descriptors


def test_without_a_limit_of_descriptors_operators_have_no_small_share() -> None:
    assert operator_connections_for(resource.RLIM_INFINITY) > 256


def test_a_start_needs_descriptors_and_says_how_many() -> None:
    check_descriptors_for_start()
    before = resource.getrlimit(resource.RLIMIT_NOFILE)

    resource.setrlimit(resource.RLIMIT_NOFILE, (32, before[1]))
    try:
        with pytest.raises(GatewayError, match="too many open files: the process may have 32, and needs 32 more"):
            check_descriptors_for_start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_few_descriptors_are_warned_of_and_still_serve(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, 64))

    assert default_max_connections() == 24
    assert "may open 64 files only, so that limits.max_connections is 24" in caplog.text


def test_enough_descriptors_are_not_warned_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))

    assert default_max_connections() == 720
    assert not caplog.records


def test_local_errors_are_logged_once_a_minute_with_their_number(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    errors = LocalErrors()

    for now in (100.0, 100.1, 159.9, 160.0):
        errors.note("too many open files", now)

    assert [record.getMessage().partition(",")[0] for record in caplog.records] == [
        "endpoints cannot be connected to: too many open files",
        "endpoints cannot be connected to: too many open files (3 times since the last such line)",
    ]
