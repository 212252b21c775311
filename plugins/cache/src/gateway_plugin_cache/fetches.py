"""Fetches that are under way: who waits for them, and for which requests it is not worth while to wait.

A request that finds no usable response begins a fetch, and others for the same wait for its end. They get what was
stored; where nothing was, each goes upstream, and so do later ones at once, for a while.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable
from enum import Enum
from typing import Final

from gateway_plugin_cache.entries import Entry

_MOST_PASSED: Final = 16_384


class FetchEnd(Enum):
    """How a fetch ended for those who wait."""

    STORED = "stored"
    NOT_STORED = "not stored"
    """The response is for the one request alone."""

    FAILED = "failed"
    """There is no complete response; another request may fetch it."""


class Fetch:
    """One fetch that is under way."""

    __slots__ = ("_done", "_fetches", "end", "entry", "is_invalid", "is_shared", "key", "url")

    def __init__(self, fetches: Fetches, key: Hashable, url: str, is_shared: bool) -> None:
        self._fetches = fetches
        self.key = key
        self.url = url
        self.is_shared = is_shared
        """Whether others wait for it."""
        self.end: FetchEnd | None = None
        self.entry: Entry | None = None
        self.is_invalid = False
        """Whether what it fetches may be older than a purge or a change, and is not to be stored."""
        self._done: asyncio.Future[None] | None = None

    async def wait(self, seconds: float) -> FetchEnd | None:
        """Wait for the end; return None if it takes longer."""
        if self.end is None:
            if self._done is None:
                self._done = asyncio.get_running_loop().create_future()
            self._fetches.waiting += 1
            try:
                # Not wait_for: a request that is cancelled must not cancel what the others wait for.
                await asyncio.wait({self._done}, timeout=seconds)
            finally:
                self._fetches.waiting -= 1
        return self.end

    def stored(self, entry: Entry) -> None:
        """End it with a response that is stored."""
        self._finish(FetchEnd.STORED, entry)

    def not_stored(self) -> None:
        """End it with a response that is for its request alone."""
        self._finish(FetchEnd.NOT_STORED)

    def failed(self) -> None:
        """End it without a response, if it has not ended."""
        self._finish(FetchEnd.FAILED)

    def _finish(self, end: FetchEnd, entry: Entry | None = None) -> None:
        if self.end is not None:
            return
        self.end, self.entry = end, entry
        self._fetches.ended(self)
        if self._done is not None and not self._done.done():
            self._done.set_result(None)


class Fetches:
    """All fetches of one binding and worker."""

    def __init__(self, pass_for: float, now: Callable[[], float]) -> None:
        """Begin with none.

        :param pass_for: seconds for which requests do not wait where nothing could be stored.
        """
        self._pass_for = pass_for
        self._now = now
        self._shared: dict[Hashable, Fetch] = {}
        self._by_url: dict[str, set[Fetch]] = {}
        # By hash, since a key has as many bytes as a client likes. Those that fall together only do not wait.
        self._passed: OrderedDict[int, float] = OrderedDict()
        self.waiting = 0
        """Requests that wait for a fetch."""

    def __len__(self) -> int:
        return sum(map(len, self._by_url.values()))

    def running(self, key: Hashable) -> Fetch | None:
        """Return the fetch that others may wait for."""
        return self._shared.get(key)

    def is_passed(self, key: Hashable) -> bool:
        """Whether nothing could be stored of late."""
        if not self._passed:
            return False
        number = hash(key)
        until = self._passed.get(number)
        if until is None:
            return False
        if self._now() < until:
            return True
        del self._passed[number]
        return False

    def begin(self, key: Hashable, url: str, *, is_shared: bool) -> Fetch:
        """Begin a fetch.

        :param is_shared: whether others may wait for it; only if none is running.
        """
        fetch = Fetch(self, key, url, is_shared)
        if is_shared:
            self._shared[key] = fetch
        self._by_url.setdefault(url, set()).add(fetch)
        return fetch

    def ended(self, fetch: Fetch) -> None:
        """Remove a fetch that has ended; called by itself."""
        of_url = self._by_url[fetch.url]
        of_url.discard(fetch)
        if not of_url:
            del self._by_url[fetch.url]
        if fetch.end is FetchEnd.STORED and self._passed:
            self._passed.pop(hash(fetch.key), None)
        if not fetch.is_shared:
            return
        del self._shared[fetch.key]
        if fetch.end is FetchEnd.NOT_STORED and self._pass_for:
            number = hash(fetch.key)
            self._passed[number] = self._now() + self._pass_for
            self._passed.move_to_end(number)
            if len(self._passed) > _MOST_PASSED:
                self._passed.popitem(last=False)

    def invalidate(self, url: str) -> None:
        """Have what is under way for a URL not be stored."""
        for fetch in self._by_url.get(url, ()):
            fetch.is_invalid = True

    def invalidate_all(self) -> None:
        """Have nothing that is under way be stored."""
        for url in self._by_url:
            self.invalidate(url)
