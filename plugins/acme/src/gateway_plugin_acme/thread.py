"""The thread in which an authority is talked to."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, Final, ParamSpec, TypeVar

from gateway_plugin_acme.authority import AuthorityError

_LONGEST: Final = 300.0
"""Seconds for a call and those before it: more than the timeouts of all orders that go on at once."""

P = ParamSpec("P")
T = TypeVar("T")


class AuthorityThread:
    """Calls what blocks, one after the other.

    Not an executor of the standard library: the end of the process would wait for a request to an authority that does
    not respond.
    """

    def __init__(self) -> None:
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function in the thread; a call that is cancelled before its turn is left out.

        :raises AuthorityError: the authority sends a response so slowly that none comes to its end.
        """
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="acme", daemon=True)
            self._thread.start()
        future: Future[T] = Future()
        self._calls.put((future, lambda: function(*args, **kwargs)))
        try:
            async with asyncio.timeout(_LONGEST):
                return await asyncio.wrap_future(future)
        except TimeoutError as error:
            raise AuthorityError(f"the authority has not come to an end in {_LONGEST:g} s", is_away=True) from error

    def close(self) -> None:
        """Take no more calls; the one that goes on ends by its own timeout."""
        self._calls.put(None)

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            future, function = call
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(function())
            except BaseException as error:  # noqa: BLE001 - raised where it is awaited
                future.set_exception(error)
