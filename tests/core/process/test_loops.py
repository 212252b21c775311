from __future__ import annotations

import asyncio
import importlib.util
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest
import uvloop
from gateway_core.process import loops
from gateway_core.process.loops import Signals, StoppedError, loop_factory


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


CANNOT_BEGIN = """
import asyncio
from gateway_core.process import loops

class Loop(asyncio.SelectorEventLoop):
    def run_forever(self):
        raise RuntimeError("this event loop is already running.")

loops.loop_factory = lambda: Loop
loops.run(asyncio.sleep(0))
"""


def test_a_thread_that_computes_lets_the_loop_go_on_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "setswitchinterval", (said := list[float]()).append)

    async def program() -> None:
        pass

    loops.run(program())

    assert said == [loops.SWITCH_INTERVAL]


def test_a_loop_that_cannot_begin_is_an_error_and_no_endless_attempt() -> None:
    done = subprocess.run([sys.executable, "-c", CANNOT_BEGIN], capture_output=True, text=True, check=False, timeout=30)

    assert done.returncode == 1
    assert "RuntimeError: this event loop is already running." in done.stderr
    assert "goes on" not in done.stderr


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


SIGNALLED_AT_ITS_END = """
import os, sys
from gateway_core.process import loops

async def program():
    loops.Signals(on_reload=lambda: None, on_restart=lambda: None, limit=lambda: 60.0)

class Late:
    def __del__(self, kill=os.kill, pid=os.getpid(), number=int(sys.argv[1])):
        kill(pid, number)

late = Late()  # which goes with its module, when the interpreter has given up handlers that are functions
loops.run(program())
loops.leave(5)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2])
def test_a_signal_behind_the_end_of_the_loop_does_not_change_the_exit_status(number: signal.Signals) -> None:
    command = [sys.executable, "-c", SIGNALLED_AT_ITS_END, str(int(number))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)

    assert (done.returncode, done.stderr) == (5, "")


async def tell(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)
    await asyncio.sleep(0)


async def work(result: int) -> int:
    await asyncio.sleep(0)
    return result


async def forever(cancelled: list[str]) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        cancelled.append("yes")


async def test_work_is_given_up_when_a_signal_to_stop_comes() -> None:
    signals = Signals(on_reload=lambda: None, on_restart=lambda: None)
    assert await signals.run_until_signal(work(5)) == 5
    cancelled: list[str] = []
    asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGTERM)

    with pytest.raises(StoppedError):
        await signals.run_until_signal(forever(cancelled))

    assert cancelled == ["yes"]


async def test_the_second_signal_is_a_hurry() -> None:
    signals = Signals(on_reload=lambda: None, on_restart=lambda: None)
    await tell(signal.SIGINT)
    await asyncio.wait_for(signals.stop.wait(), 30)
    assert not signals.hurry.is_set()

    await tell(signal.SIGTERM)
    await asyncio.wait_for(signals.hurry.wait(), 30)


async def test_reload_and_restart_are_told() -> None:
    told: list[str] = []
    both = asyncio.Event()

    def note(what: str) -> None:
        told.append(what)
        if len(told) == 2:
            both.set()

    Signals(on_reload=lambda: note("reload"), on_restart=lambda: note("restart"))
    await tell(signal.SIGHUP)
    await tell(signal.SIGUSR2)
    await asyncio.wait_for(both.wait(), 30)

    assert sorted(told) == ["reload", "restart"]


async def test_files_are_opened_anew_when_sigusr1_says_so_and_nobody_dies_of_it_otherwise() -> None:
    Signals(on_reload=lambda: None, on_restart=lambda: None)
    await tell(signal.SIGUSR1)

    told = asyncio.Event()
    Signals(on_reload=lambda: None, on_restart=lambda: None, on_reopen=told.set)
    await tell(signal.SIGUSR1)
    await asyncio.wait_for(told.wait(), 30)


async def test_an_error_of_the_work_passes_through() -> None:
    signals = Signals(on_reload=lambda: None, on_restart=lambda: None)

    async def fail() -> None:
        raise ValueError("odd")

    with pytest.raises(ValueError, match="odd"):
        await signals.run_until_signal(fail())


async def test_plugins_neither_replace_nor_remove_the_handlers_of_the_gateway(caplog: pytest.LogCaptureFixture) -> None:
    reloaded = asyncio.Event()
    signals = Signals(on_reload=reloaded.set, on_restart=lambda: None)
    loop = asyncio.get_running_loop()

    loop.add_signal_handler(signal.SIGTERM, lambda: None)
    assert not loop.remove_signal_handler(signal.SIGHUP)
    loop.add_signal_handler(signal.SIGWINCH, lambda: None)
    assert loop.remove_signal_handler(signal.SIGWINCH)

    await tell(signal.SIGHUP)
    await asyncio.wait_for(reloaded.wait(), 20)
    await tell(signal.SIGTERM)
    await asyncio.wait_for(signals.stop.wait(), 20)
    assert "the handler for SIGTERM is not changed" in caplog.text
    assert "the handler for SIGHUP is not changed" in caplog.text


@pytest.mark.parametrize(
    "take",
    [
        lambda _loop: signal.signal(signal.SIGTERM, signal.SIG_IGN),
        lambda _loop: signal.signal(signal.SIGTERM, signal.SIG_DFL),
        lambda _loop: signal.set_wakeup_fd(-1),
        lambda loop: loop.add_signal_handler(signal.SIGTERM, lambda: None),
        lambda loop: loop.remove_signal_handler(signal.SIGTERM),
    ],
)
async def test_no_way_to_a_handler_takes_a_signal_away(
    take: Callable[[asyncio.AbstractEventLoop], object], caplog: pytest.LogCaptureFixture
) -> None:
    signals = Signals(on_reload=lambda: None, on_restart=lambda: None)

    take(asyncio.get_running_loop())

    assert "is not changed: it is the" in caplog.text
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(signals.stop.wait(), 30)


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_plugin_that_reopens_files_is_called_on_sigusr1_and_so_is_the_gateway(
    loop_factory: Callable[[], asyncio.AbstractEventLoop], caplog: pytest.LogCaptureFixture
) -> None:
    before = signal.getsignal(signal.SIGUSR1)
    reopened: list[str] = []

    async def reopen() -> None:
        gateway = asyncio.Event()
        Signals(on_reload=lambda: None, on_restart=lambda: None, on_reopen=gateway.set)
        signal.signal(signal.SIGUSR1, lambda _number, _frame: reopened.append("plugin"))

        os.kill(os.getpid(), signal.SIGUSR1)
        await asyncio.wait_for(gateway.wait(), 30)
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(reopen())
    signal.signal(signal.SIGUSR1, before)

    assert reopened == ["plugin"]
    assert [record.getMessage() for record in caplog.records] == [
        "the handler for SIGUSR1 is not changed: it is the gateway's own"
    ]


async def test_handlers_of_other_signals_are_anybodys() -> None:
    Signals(on_reload=lambda: None, on_restart=lambda: None)

    before = signal.signal(signal.SIGWINCH, signal.SIG_IGN)

    assert signal.signal(signal.SIGWINCH, before) == signal.SIG_IGN
