from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from gateway_core.errors import GatewayError
from gateway_core.process.child import OTHER_PROTOCOL, WATCHER, Child, Forked, wait_for_exit
from gateway_core.reload.bundle import PROTOCOL

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
    ours, theirs = socket.socketpair()
    child = await Child.take("it", Forked(pid, ours))

    child.kill()

    await asyncio.wait_for(child.gone.wait(), 30)
    assert child.exit_status == -signal.SIGKILL
    child.kill()  # it has ended, which is no fault
    theirs.close()


async def test_what_a_child_cannot_be_started_for_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    monkeypatch.setattr(sys, "executable", "/nowhere/python")

    with pytest.raises(OSError, match="/nowhere/python"):
        await Child.spawn(WATCHER, "the watcher")

    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


async def test_a_release_without_such_processes_is_named_before_one_is_started(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("gateway_core.process.child._ENTRY", tmp_path / "gone.py")

    with pytest.raises(GatewayError, match="another release, whose processes this one cannot start: stop the gateway"):
        await Child.spawn(WATCHER, "the watcher")


async def test_a_child_of_another_version_says_so_and_ends(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("gateway_core.process.child.PROTOCOL", PROTOCOL + 1)

    child = await Child.spawn(WATCHER, "the watcher")

    await asyncio.wait_for(child.gone.wait(), 30)
    assert child.exit_status == OTHER_PROTOCOL
    assert f"speaks protocol {PROTOCOL}, the one that runs {PROTOCOL + 1}" in capfd.readouterr().err


# A process of its own: only one without threads may fork.
PROGRAM = """
import asyncio, os, socket, sys
from gateway_core.clock import SystemClock
from gateway_core.process.roles import fork
from gateway_core.process.worker_handle import WorkerHandle, WorkerServices

listener = socket.create_server(("127.0.0.1", 0))
secret = open(sys.executable)
first, second, third = [fork("worker", number=number, inherited=[listener.fileno()]) for number in range(3)]

async def main():
    listeners = {"a:1": listener.fileno()}
    worker = await WorkerHandle.start(1, listeners, WorkerServices(SystemClock()), forked=second)
    status = await worker.ask("status")
    print(status["status"]["version"])
    open_there = os.listdir(f"/proc/{second.pid}/fd")
    its = [os.readlink(f"/proc/{second.pid}/fd/{number}") for number in open_there]
    print(os.path.realpath(sys.executable) in its, os.readlink(f"/proc/self/fd/{listener.fileno()}") in its)
    # No other process holds its channel: it ends although the others go on.
    first.sock.close()
    print(os.waitpid(first.pid, 0)[1])
    await worker.drain(1)
    print(worker.child.exit_status)

asyncio.run(main())
third.sock.close()
print(os.waitpid(third.pid, 0)[1])
"""


def test_a_forked_worker_serves_and_has_only_what_is_its_own() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, timeout=60)

    assert (done.stdout.splitlines(), done.stderr) == (["None", "False True", "0", "0", "0"], "")
