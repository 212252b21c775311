"""Run a discovery, keep its last result, and notify the upstreams that use it.

A feed is shared by the snapshots that have the same discovery configuration, so a reload neither queries again nor
starts without endpoints. Changes that come fast are gathered: the first goes out at once, the rest at most every
``GATHER_SECONDS``.

A feed is *stale* while its registry does not confirm what is in force, and *empty* while it confirms that there is
nothing. Both are logged when they begin and when they end, not in between, and shown and counted all the time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from contextlib import aclosing
from dataclasses import replace
from random import Random
from typing import Any, Final

from gateway_core.backoff import Backoff
from gateway_core.clock import Clock, SystemClock
from gateway_core.config.suggestions import counted
from gateway_core.errors import GatewayError
from gateway_core.events import (
    DISCOVERY_CHANGED,
    DISCOVERY_EMPTY,
    DISCOVERY_FOUND,
    DISCOVERY_RECOVERED,
    DISCOVERY_STALE,
    Event,
    Repeats,
    emit,
)
from gateway_core.tasks import Tasks
from gateway_core.upstreams.discovery.feed_metrics import FeedMetrics
from gateway_core.upstreams.discovery.interface import Discovered, Discovery

GATHER_SECONDS: Final = 0.1
FIRST_PAUSE: Final = 0.2
LONGEST_PAUSE: Final = 10.0
PATIENCE: Final = 2.0
"""Seconds without a response after which endpoints of before the start are used: less than a start waits for."""

Listener = Callable[[Discovered], None]
StatusListener = Callable[[], None]


class Feed:
    """The endpoints that one discovery finds."""

    __slots__ = (
        "_clock",
        "_discovery",
        "_first",
        "_flush",
        "_flushed_at",
        "_known",
        "_listeners",
        "_logs",
        "_metrics",
        "_patience",
        "_repeats",
        "_rng",
        "_status_listeners",
        "_tasks",
        "is_stale",
        "latest",
        "name",
        "reason",
        "responded",
        "since",
        "started_at",
    )

    def __init__(
        self,
        name: str,
        discovery: Discovery | None,
        rng: Random,
        clock: Clock | None = None,
        metrics: FeedMetrics | None = None,
        *,
        logs: bool = True,
        kept: Discovered | None = None,
    ) -> None:
        """Begin without endpoints that a registry has confirmed.

        :param name: of the upstream.
        :param discovery: what `start` watches; None if another process does, and what it finds is passed to `take`.
        :param logs: False if the other process logs what happens.
        :param kept: what was found before the start, for as long as the registry is away.
        """
        self.name = name
        self.latest: Discovered | None = None if kept is None else replace(kept, is_stale=True)
        """What was found last, which stays in force while the registry is away; None if that is nothing."""
        self.responded = False
        """Whether there was a result since the start."""
        self.is_stale = True
        """Whether the registry has not confirmed the endpoints."""
        self.reason = ""
        """Why it is stale, or why there are no endpoints, as far as that is known."""
        self._discovery = discovery
        self._rng = rng
        self._clock = SystemClock() if clock is None else clock
        self._metrics = metrics
        self._logs = logs
        self.started_at = self.since = self._clock.monotonic()
        """Monotonic seconds; ``since`` is when it became stale or up to date."""
        self._listeners: list[Listener] = []
        self._status_listeners: list[StatusListener] = []
        self._first = asyncio.Event()
        self._flush: asyncio.TimerHandle | None = None
        self._flushed_at = float("-inf")
        self._patience: asyncio.TimerHandle | None = None
        self._tasks = Tasks()
        self._repeats = Repeats()
        self._known: frozenset[str] = frozenset()
        """Ids of the endpoints that the log has named last."""
        if metrics is not None:
            metrics.open(name)
            metrics.show(name, is_stale=True, endpoints=self.count)

    @property
    def count(self) -> int:
        """How many endpoints are known."""
        return 0 if self.latest is None else len(self.latest.endpoints)

    def start(self) -> None:
        """Begin to watch."""
        if self.latest is not None:
            self._patience = asyncio.get_running_loop().call_later(PATIENCE, self._stop_waiting)
        self._tasks.supervise(self._run, name=f"discovery of {self.name}")

    def subscribe(self, listener: Listener) -> None:
        """Call the listener with what is known, if anything, and after each change of endpoints or strategy."""
        self._listeners.append(listener)
        if self.latest is not None:
            listener(self.latest)

    def unsubscribe(self, listener: Listener) -> None:
        """Undo a :meth:`subscribe`."""
        self._listeners.remove(listener)

    def watch_status(self, listener: StatusListener) -> None:
        """Call the listener whenever ``is_stale`` or ``reason`` has changed; until the feed is closed."""
        self._status_listeners.append(listener)

    async def wait_for_first(self, timeout: float) -> bool:  # noqa: ASYNC109 - a wait that ends with False, no error
        """Wait until endpoints are known: those of before the start count once the registry has failed.

        :param timeout: seconds since the feed was made: who comes later does not wait once more for a registry that
            does not respond.
        :returns: False if there are none.
        """
        left = self.started_at + timeout - self._clock.monotonic()
        if self._first.is_set() or left <= 0:
            return self.latest is not None
        try:
            async with asyncio.timeout(left):
                await self._first.wait()
        except TimeoutError:
            return self.latest is not None
        return True

    async def aclose(self) -> None:
        """Stop watching."""
        for timer in (self._flush, self._patience):
            if timer is not None:
                timer.cancel()
        self._status_listeners.clear()
        if self._metrics is not None:
            self._metrics.close(self.name)
        await self._tasks.aclose()

    def take(self, found: Discovered) -> None:
        """Replace the last result; listeners are notified soon if it differs."""
        before = self.latest
        if not self.responded and found.is_stale and not found.endpoints:
            # No response yet does not mean that there are no endpoints.
            self.fail(found.reason)
            return
        is_first, self.responded = not self.responded, True
        self.latest = found
        if found.is_stale and not self.is_stale:
            self._count_failure()
        self._note(found.is_stale, found.reason)
        if not found.endpoints and not found.is_stale:
            if before is None or before.endpoints or before.reason != found.reason:
                why = f": {found.reason}" if found.reason else ""
                self._emit(DISCOVERY_EMPTY, f"finds no endpoints{why}", reason=found.reason or None)
        elif found.endpoints and before is not None and not before.endpoints:
            number = len(found.endpoints)
            self._emit(DISCOVERY_FOUND, f"finds endpoints again: {number}", endpoints=number)
        self._first.set()
        # What confirms endpoints of before the start is news to those who have not been told of them.
        is_new = is_first or before is None or _contents(before) != _contents(found)
        if not is_new or self._flush is not None:
            return
        loop = asyncio.get_running_loop()
        wait = self._flushed_at + GATHER_SECONDS - loop.time()
        if wait <= 0:
            self._publish()
        else:
            self._flush = loop.call_later(wait, self._publish)

    def fail(self, reason: str) -> None:
        """Keep what is known, as stale."""
        self._count_failure()
        if self.latest is not None:
            self.latest = replace(self.latest, is_stale=True, reason=reason)
        self._note(is_stale=True, reason=reason)
        if self.latest is not None:
            self._first.set()

    def describe(self, now: float) -> dict[str, Any]:
        """Return what status pages show, ready for JSON."""
        return {
            "endpoints": self.count,
            "stale": self.is_stale,
            "for": round(max(0.0, now - self.since), 3),
            "reason": self.reason,
        }

    async def _run(self) -> None:
        assert self._discovery is not None
        backoff = Backoff(self._rng, first=FIRST_PAUSE, longest=LONGEST_PAUSE)
        while True:
            reason = "the watch has ended"
            try:
                async with aclosing(self._discovery.watch()) as results:  # type: ignore[type-var]  # async generators
                    async for found in results:
                        backoff.reset()
                        self.take(found)
            except Exception as error:  # noqa: BLE001 - an extension's failure must not end the watch
                # The name of the class helps with a bug, not where the extension's message explains the error.
                reason = str(error) if isinstance(error, GatewayError) else f"{type(error).__name__}: {error}"
            self.fail(reason)
            await asyncio.sleep(backoff.next_delay())

    def _stop_waiting(self) -> None:
        if not self._first.is_set():
            self.fail(f"the registry has not responded within {PATIENCE:g}s")

    def _emit(self, event: Event, text: str, *, reason: str | None = None, endpoints: int | None = None) -> None:
        if self._logs:
            message = f"discovery of {self.name} {text}"
            emit(event, message, upstream=self.name, reason=reason, endpoints=endpoints)

    def _count_failure(self) -> None:
        if self._metrics is not None:
            self._metrics.count_failure(self.name)

    def _note(self, is_stale: bool, reason: str) -> None:
        was_stale, was_reason, is_first = self.is_stale, self.reason, not self.reason and not self._first.is_set()
        self.is_stale, self.reason = is_stale, reason
        now = self._clock.monotonic()
        if is_stale != was_stale:
            self.since = now
        if is_stale and (not was_stale or is_first):
            known = "is stale, the endpoints that it found last stay in use"
            what = known if self.latest is not None else "has found no endpoints yet"
            self._emit(DISCOVERY_STALE, f"{what}: {reason}", reason=reason, endpoints=self.count)
        elif was_stale and was_reason and not is_stale:
            self._emit(DISCOVERY_RECOVERED, "is up to date again", endpoints=self.count)
        if self._metrics is not None:
            self._metrics.show(self.name, is_stale=is_stale, endpoints=self.count)
        if (is_stale, reason) != (was_stale, was_reason):
            for listener in list(self._status_listeners):
                listener()

    def _publish(self) -> None:
        self._flush = None
        self._flushed_at = asyncio.get_running_loop().time()
        if self.latest is not None:
            self._report_changes(self.latest)
            for listener in list(self._listeners):
                listener(self.latest)

    def _report_changes(self, latest: Discovered) -> None:
        ids = frozenset(endpoint.id for endpoint in latest.endpoints)
        added, removed = ids - self._known, self._known - ids
        if not self._known or not ids:  # the first ones, or what is empty or found again, which is an event of its own
            self._known = ids
        elif self._logs and (added or removed) and self._repeats.count("changed", self._clock.monotonic()):
            # A registry whose endpoints come and go all the time has one line in ten seconds, with the sum of it.
            parts = [f"{what} {_some(each)}" for what, each in (("adds", added), ("removes", removed)) if each]
            emit(
                DISCOVERY_CHANGED,
                f"discovery of {self.name} {', '.join(parts)}: {counted(len(ids), 'endpoint')}",
                upstream=self.name,
                endpoints=len(ids),
                added=len(added),
                removed=len(removed),
            )
            self._known = ids


def _contents(found: Discovered) -> tuple[object, ...]:
    """Return what upstreams follow: changes of it are passed on to them."""
    return found.endpoints, found.strategy


_MOST_NAMES: Final = 5
"""Endpoints that a line names; the others are counted."""


def _some(ids: Collection[str]) -> str:
    more = len(ids) - _MOST_NAMES
    return ", ".join(sorted(ids)[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
