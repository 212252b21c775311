from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys

import pytest
from gateway_core.process.child import AdoptedProcess, kill, wait_for_exit

HOLDS_ITS_OUTPUT = """
import os, time
if os.fork() == 0:
    time.sleep(600)
os._exit(3)
"""


def child(code: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)


async def test_the_end_of_a_child_is_seen_while_its_own_child_has_its_descriptors() -> None:
    process = child(HOLDS_ITS_OUTPUT)
    try:
        assert await asyncio.wait_for(wait_for_exit(process), 30) == 3
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        assert process.stdout is not None
        process.stdout.close()


async def test_without_descriptors_a_thread_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_more(_pid: int) -> int:
        raise OSError("too many open files")

    monkeypatch.setattr("os.pidfd_open", no_more)
    with child("raise SystemExit(4)") as process:
        assert await asyncio.wait_for(wait_for_exit(process), 30) == 4


async def test_a_child_that_was_forked_is_reaped_with_its_status() -> None:
    arguments = [sys.executable, "-c", "import time; time.sleep(600)"]
    pid = await asyncio.to_thread(os.posix_spawn, sys.executable, arguments, os.environ)
    waiting = asyncio.ensure_future(wait_for_exit(AdoptedProcess(pid)))  # noqa: TID251  # a test's own

    kill(pid)

    assert await asyncio.wait_for(waiting, 30) == -signal.SIGKILL
    kill(pid)  # it has ended, which is no fault
    assert await wait_for_exit(AdoptedProcess(pid)) == 0
