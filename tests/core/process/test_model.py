from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from gateway_core.config.sources import Seen
from gateway_core.errors import GatewayError
from gateway_core.process.model import VARIABLE, Handover, WorkerLeft, take_over
from gateway_core.reload.bundle import ConfigBundle, Unfinished

PROGRAM = """
import json, os, sys
from gateway_core.config.sources import Seen
from gateway_core.process.model import Handover, WorkerLeft, take_over
from gateway_core.reload.bundle import ConfigBundle, Unfinished
if sys.argv[1] == "before":
    read, write = os.pipe()
    listener = os.dup(write)
    bundle = ConfigBundle("v1", (b"{}", b"[1]"), 2, {"p": "1"})
    unfinished = Unfinished(Seen({"/a": "1"}, {"/b": "2"}), ["SIGHUP"])
    findings = [{"kind": "health"}]
    left = Handover(
        {"a:1": listener}, [WorkerLeft(7, read, "v0")], bundle, [[1]], findings=findings, unfinished=unfinished
    )
    print(os.getpid(), flush=True)
    left.replace_program([sys.executable, "-c", sys.argv[2], "after", sys.argv[2]])
left = take_over()
os.write(left.listeners["a:1"], b"still open")
worker = left.workers[0]
print(os.getpid(), os.read(worker.channel, 10).decode(), worker.pid, left.bundle, left.counts, left.findings)
print(left.unfinished)
"""


def test_everything_survives_the_exchange_of_the_program() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "before", PROGRAM], capture_output=True, text=True, check=True, timeout=60
    )

    before, after, went_on = done.stdout.splitlines()
    expected = ConfigBundle("v1", (b"{}", b"[1]"), 2, {"p": "1"})
    unfinished = Unfinished(Seen({"/a": "1"}, {"/b": "2"}), ["SIGHUP"])
    assert after == f"{before} still open 7 {expected} [[1]] [{{'kind': 'health'}}]"
    assert went_on == str(unfinished)


def test_there_is_nothing_to_take_over_at_a_first_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)

    assert take_over() is None


def test_a_handover_names_what_is_left() -> None:
    left = Handover({}, [WorkerLeft(1, 2, "v")], ConfigBundle("v", ()))

    assert (left.workers[0].pid, left.counts) == (1, "[]")
    assert VARIABLE not in os.environ


SIGNALLED = """
import asyncio, os, signal, sys, threading
from gateway_core.process.model import Handover, take_over
from gateway_core.process.loops import Signals
from gateway_core.reload.bundle import ConfigBundle

async def exchange():
    signals = Signals(on_reload=lambda: None, on_restart=lambda: None, limit=lambda: 60.0)
    if sys.argv[1] in ("early", "unread"):
        os.kill(os.getpid(), signal.SIGTERM)
    if sys.argv[1] == "early":
        await signals.stop.wait()
    signals.hold()

def have_thread_signalled():
    # It has none blocked, and takes one after the main thread has blocked them.
    signalled, execve = threading.Event(), os.execve

    def take():
        signalled.wait()
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        taken.set()
        threading.Event().wait()

    def exchange(*arguments):
        signalled.set()
        taken.wait()
        execve(*arguments)

    taken, os.execve = threading.Event(), exchange
    threading.Thread(target=take, daemon=True).start()

if sys.argv[1] == "after":
    take_over()
    print(*sorted(each.name for each in signal.sigpending()))
else:
    asyncio.run(exchange())
    if sys.argv[1] == "late":
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGTERM)
    if sys.argv[1] == "elsewhere":
        have_thread_signalled()
    Handover({}, [], ConfigBundle("v", ())).replace_program([sys.executable, "-c", sys.argv[2], "after"])
"""


@pytest.mark.parametrize(
    ("when", "waiting"),
    [
        ("early", "SIGTERM"),
        ("unread", "SIGTERM"),
        ("late", "SIGHUP SIGTERM"),
        ("elsewhere", "SIGTERM"),
        ("never", ""),
    ],
)
def test_signals_that_come_during_the_exchange_wait_for_the_new_program(when: str, waiting: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SIGNALLED, when, SIGNALLED], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout.strip() == waiting


LEFT_BY_A_PLUGIN = """
import signal, sys
from gateway_core.process.model import Handover
from gateway_core.reload.bundle import ConfigBundle

if sys.argv[1] == "after":
    print(signal.getitimer(signal.ITIMER_REAL), signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL)
else:
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    Handover({}, [], ConfigBundle("v", ())).replace_program([sys.executable, "-c", sys.argv[2], "after"])
"""


def test_timers_and_ignored_signals_of_plugins_end_with_their_program() -> None:
    command = [sys.executable, "-c", LEFT_BY_A_PLUGIN, "before", LEFT_BY_A_PLUGIN]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout == "(0.0, 0.0) True\n"


def test_what_another_version_left_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    left = tmp_path / "left"
    left.write_text('{"protocol": 99}')
    monkeypatch.setenv(VARIABLE, str(os.open(left, os.O_RDONLY)))

    with pytest.raises(GatewayError, match="another protocol"):
        take_over()
