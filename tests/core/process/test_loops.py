from __future__ import annotations

import asyncio
import importlib.util
import logging
import subprocess
import sys

import pytest
from gateway_core.process import loops
from gateway_core.process.loops import loop_factory


def test_takes_uvloop_if_it_is_there() -> None:
    factory = loop_factory()

    assert (factory is not None) is (importlib.util.find_spec("uvloop") is not None)
    with asyncio.Runner(loop_factory=factory) as runner:
        assert runner.run(asyncio.sleep(0, "ran")) == "ran"


def test_whatever_stops_the_loop_the_program_is_run_to_its_end(caplog: pytest.LogCaptureFixture) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    async def leave() -> None:
        raise SystemExit(7)

    async def program() -> str:
        loop = asyncio.get_running_loop()
        left = loop.create_task(leave())
        await asyncio.sleep(0.01)  # the loop is stopped and run again meanwhile
        loop.call_soon(interrupt)
        await asyncio.sleep(0.01)  # likewise
        loop.stop()
        await asyncio.sleep(0.01)  # likewise
        assert isinstance(left.exception(), SystemExit)
        return "the end"

    caplog.set_level(logging.ERROR, "gateway.server")
    assert loops.run(program()) == "the end"

    told = [record.getMessage() for record in caplog.records]
    causes = ("SystemExit: 7", "KeyboardInterrupt", "RuntimeError: Event loop stopped")
    assert [cause in line for cause, line in zip(causes, told, strict=True)] == [True] * 3


def test_what_the_program_raises_itself_is_raised() -> None:
    async def program() -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit, match="3"):
        loops.run(program())


STUBBORN = """
import asyncio, threading, time
from gateway_core.process import loops

async def stubborn():
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass

async def program():
    threading.Thread(target=time.sleep, args=(60,)).start()
    task = asyncio.get_running_loop().create_task(stubborn())
    await asyncio.sleep(0)
    print("done", flush=True)

loops.run(program())
loops.leave(5)
"""


def test_a_process_ends_although_a_task_and_a_thread_do_not() -> None:
    done = subprocess.run([sys.executable, "-c", STUBBORN], capture_output=True, text=True, check=False, timeout=30)

    assert (done.returncode, done.stdout) == (5, "done\n")
    assert "a task does not end and is left behind" in done.stderr
