from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest
from gateway_plugin_logger.sinks.signals import ReopenSignal


@pytest.fixture(autouse=True)
def _previous_handler() -> Iterator[None]:
    previous = signal.getsignal(signal.SIGUSR1)
    yield
    signal.signal(signal.SIGUSR1, previous)


def test_whoever_handled_the_signal_before_still_does() -> None:
    calls: list[str] = []
    signal.signal(signal.SIGUSR1, lambda *_: calls.append("before"))
    handler = ReopenSignal(lambda: calls.append("reopen"))

    handler.install()
    handler.install()
    os.kill(os.getpid(), signal.SIGUSR1)

    assert calls == ["reopen", "before"]


def test_a_gateway_outside_the_main_thread_leaves_signals_alone() -> None:
    before = signal.getsignal(signal.SIGUSR1)

    thread = threading.Thread(target=ReopenSignal(lambda: None).install)
    thread.start()
    thread.join()

    assert signal.getsignal(signal.SIGUSR1) is before
