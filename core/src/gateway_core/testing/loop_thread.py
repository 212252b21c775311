"""An event loop in a thread of its own, so that tests may be plain functions."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

ResultT = TypeVar("ResultT")

PATIENCE: Final = 30.0
"""Seconds after which something that should happen counts as not happening."""


class LoopThread:
    """Runs coroutines for whoever waits for them in another thread."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()

    def run(self, coroutine: Coroutine[Any, Any, ResultT], timeout: float = PATIENCE) -> ResultT:
        """Run a coroutine in the loop and wait for its result.

        :raises TimeoutError: it took longer than ``timeout`` seconds; it was cancelled.
        :raises RuntimeError: the loop is closed.
        """
        if self._loop.is_closed():
            coroutine.close()
            raise RuntimeError("it was closed already")
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result(timeout)
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """Cancel what still runs and end the thread."""
        if self._thread.is_alive():
            self.run(_cancel_others())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(PATIENCE)


async def _cancel_others() -> None:
    current = asyncio.current_task()
    tasks = [task for task in asyncio.all_tasks() if task is not current]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def eventually(condition: Callable[[], ResultT], within: float = PATIENCE) -> ResultT:
    """Return the first true value that ``condition()`` gives.

    :raises AssertionError: there was none within that many seconds.
    """
    begin = time.monotonic()
    while True:
        value = condition()
        if value:
            return value
        waited = time.monotonic() - begin
        if waited >= within:
            raise AssertionError(f"not true within {within:g} seconds: the last value was {value!r}")
        time.sleep(_pause(waited))


def _pause(waited: float) -> float:
    """Return the seconds until the next question: a twentieth of the wait, as a question may cost a handshake."""
    return min(max(waited / 20, 0.002), 0.25)
