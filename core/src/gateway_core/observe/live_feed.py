"""The live events of a gateway: what the admin API streams, kept for a while, and read by any number of streams.

How it works: what happens is kept once, in a bounded ring for each kind, already as the text that is sent. A stream is
a position in these rings and nothing more, so a reader that does not keep up costs no memory: what left a ring before
it was read is counted, and the reader gets an event ``gap`` in its place. A position is also the id of an event, so a
client that comes back goes on where it was.

``traffic`` is not kept: there is the last second's, which each stream takes or misses. It is measured only while a
stream wants it, once for all of them, and less often than each second where it costs the processes that serve too much.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gateway_core.clock import Clock
from gateway_core.errors import GatewayError, RefusedError
from gateway_core.events import TASK_FAILED, Event, emit
from gateway_core.observe.live_events import Entry, Ring, change_of, frame, is_change, time_text
from gateway_core.observe.tail_filter import EVERY_REQUEST, TailFilter
from gateway_core.observe.traffic import traffic_of
from gateway_core.tasks import spawn

Parts = Sequence[tuple[int, Mapping[str, Any]]]

MOST_STREAMS: Final = 100
TRAFFIC_EVERY: Final = 1.0
"""Seconds from one measurement of the traffic to the next, unless it costs too much."""
TRAFFIC_AT_MOST_EVERY: Final = 5.0
"""Seconds; processes forget where their counters were after 10."""
TRAFFIC_SHARE: Final = 0.008
"""Of a processor's time, that measuring may cost a process that serves requests."""
LINGER: Final = 15.0
"""Seconds for which requests are collected after the last stream that wanted them."""

_BOUNDS: Final[Mapping[str, tuple[int, int]]] = {"change": (2000, 2 << 20), "tail": (5000, 4 << 20)}
"""Events, and bytes of them, that are kept of each kind."""
_MOST_TAKEN: Final = 64 << 10
"""Bytes that are sent at once."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a stream is to have."""

    kinds: frozenset[str] = frozenset({"change"})
    traffic: bool = True
    route: str | None = None
    """The only route of ``traffic``."""
    requests: TailFilter = EVERY_REQUEST
    """Which requests, if they are wanted."""

    def takes(self, kind: str, entry: Entry) -> bool:
        """Whether an event is to be sent."""
        return kind != "tail" or entry.name != "tail" or self.requests.matches(entry.data)


@dataclass(slots=True)
class _Traffic:
    number: int = 0
    data: Mapping[str, Any] = field(default_factory=dict)
    route: Callable[[str], list[dict[str, Any]]] = lambda _: []
    """Returns the row of a route, if it was in use."""
    texts: dict[str | None, bytes] = field(default_factory=dict)

    def text(self, route: str | None) -> bytes:
        """Return the event, perhaps with one route alone."""
        if route not in self.texts:
            data = self.data
            if route is not None:
                data = {**data, "routes": self.route(route)}
            self.texts[route] = frame("traffic", data)
        return self.texts[route]


@dataclass(slots=True)
class _Watch:
    """A filter whose requests are collected."""

    since: int
    """The position from which on it was."""
    users: int = 0
    until: float = 0.0
    """Of the loop's time; when it ends without a user."""


class LiveFeed:
    """The live events of this program; needs a running event loop."""

    def __init__(self, clock: Clock, *, most_streams: int = MOST_STREAMS) -> None:
        """Begin without events.

        :param most_streams: streams that may be open at the same time.
        """
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._epoch = secrets.token_hex(4)
        """Distinguishes the ids of this program from those of others."""
        self._order = 0
        self._rings = {kind: Ring(*bounds) for kind, bounds in _BOUNDS.items()}
        self._most_streams = most_streams
        self._streams: set[Stream] = set()
        self._end_reason = ""
        self.traffic = _Traffic()
        self.measure: Callable[[], Awaitable[tuple[Parts, Sequence[int]]]] | None = None
        """Returns what each worker has counted since the last call, and the numbers of those that were silent."""
        self._ticking: asyncio.Task[None] | None = None
        self.watch: Callable[[Sequence[TailFilter]], Awaitable[None]] | None = None
        """Has every worker send the requests that match a filter."""
        self._watches: dict[TailFilter, _Watch] = {}
        self._watching = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._streams)

    # -- what happens

    def note(self, event: Event, message: str, fields: Mapping[str, object]) -> None:
        """Take an event of this process's log; may be called in any thread."""
        if is_change(event.name):
            entry = {**change_of(event, message, fields, self._clock.wall()), "process": "program"}
            with contextlib.suppress(RuntimeError):  # the loop is closed: the program ends
                self._loop.call_soon_threadsafe(self.publish, "change", entry)

    def publish(self, kind: str, data: Mapping[str, Any], name: str = "") -> None:
        """Keep an event, and have the streams send it."""
        self._order += 1
        text = frame(name or kind, data, self.identifier(self._order))
        self._rings[kind].add(self._order, name or kind, data, text)
        self.wake(kind)

    def lose(self, kind: str, count: int | None, reason: str, **more: object) -> None:
        """Have streams know that events were lost before they came here.

        :param count: how many; None if that is not known.
        """
        self.publish(kind, {**self._gap(kind, count, reason), **more}, "gap")

    def lose_with(self, process: str, worker: int) -> None:
        """Have streams know that a process ended with what it had not sent yet, if there was any."""
        for kind in self._rings:
            self.lose(kind, None, "process-ended", process=process, worker=worker)

    def _gap(self, kind: str, count: int | None, reason: str) -> dict[str, Any]:
        return {"kind": kind, "lost": count, "reason": reason, "at": time_text(self._clock.wall())}

    def gap_text(self, kind: str, count: int | None, reason: str, order: int) -> bytes:
        """Return the event of a gap that one stream has."""
        return frame("gap", self._gap(kind, count, reason), self.identifier(order))

    def wake(self, kind: str) -> None:
        """Have the streams look that want a kind."""
        for stream in self._streams:
            if kind in stream.wanted.kinds or (kind == "traffic" and stream.wanted.traffic):
                stream.has_more.set()

    # -- requests

    @property
    def filters(self) -> tuple[TailFilter, ...]:
        """Which requests are collected."""
        return tuple(self._watches)

    async def follow_filters(self) -> None:
        """Have workers collect what streams want; a stream that begins has everything from then on."""
        async with self._watching:
            if self.watch is not None:
                with contextlib.suppress(GatewayError):  # nothing serves
                    await self.watch(self.filters)

    def _use_filter(self, wanted: TailFilter) -> int:
        """Collect requests for one stream more; return the position from which on they were collected."""
        watch = self._watches.get(wanted)
        if watch is None:
            watch = self._watches[wanted] = _Watch(self._order)
        watch.users += 1
        return watch.since

    def _leave_filter(self, wanted: TailFilter) -> None:
        """Collect requests for one stream less, and for a moment longer: its client may come back."""
        watch = self._watches[wanted]
        watch.users -= 1
        if not watch.users:
            watch.until = self._loop.time() + LINGER
            self._loop.call_later(LINGER + 0.01, self._drop_filters)
            unused = [each for each, one in self._watches.items() if not one.users]
            if len(unused) > self._most_streams:
                self._watches.pop(unused[0])

    def _drop_filters(self) -> None:
        now = self._loop.time()
        ended = [each for each, watch in self._watches.items() if not watch.users and watch.until <= now]
        for each in ended:
            del self._watches[each]
        if ended and not self._end_reason:
            spawn(self.follow_filters(), name="watch requests no more")

    # -- positions

    def identifier(self, order: int) -> str:
        """Return the id of a position."""
        return f"{self._epoch}-{order}"

    @property
    def order(self) -> int:
        """The position of the latest event."""
        return self._order

    def order_of(self, identifier: str) -> int | None:
        """Return the position of an id; None if it is none of this program."""
        epoch, _, order = identifier.partition("-")
        if epoch != self._epoch or not order.isascii() or not order.isdigit() or len(order) > 18:
            return None
        return min(int(order), self._order)

    def ring(self, kind: str) -> Ring:
        """Return what is kept of a kind."""
        return self._rings[kind]

    # -- streams

    def open(self, wanted: Wanted, last_id: str = "") -> Stream:
        """Begin a stream.

        :param last_id: of the last event that the client has had; empty if it had none.
        :raises RefusedError: there are too many streams, or the gateway ends.
        """
        if self._end_reason:
            raise RefusedError(503, "unavailable", f"the gateway is {self._end_reason}", {"Retry-After": "1"})
        if len(self._streams) >= self._most_streams:
            detail = f"{self._most_streams} streams are open already"
            raise RefusedError(503, "too-many-streams", detail, {"Retry-After": "10"})
        since = self._use_filter(wanted.requests) if "tail" in wanted.kinds else 0
        stream = Stream(self, wanted, last_id, since)
        self._streams.add(stream)
        if wanted.traffic and (self._ticking is None or self._ticking.done()):
            self._ticking = spawn(self._tick(), name="measure the traffic")
        return stream

    def close(self, stream: Stream) -> None:
        """End a stream."""
        if stream in self._streams:
            self._streams.discard(stream)
            if "tail" in stream.wanted.kinds:
                self._leave_filter(stream.wanted.requests)

    def end(self, reason: str) -> None:
        """End all streams, and begin no others.

        :param reason: ``stopping`` or ``restarting``.
        """
        self._end_reason = reason
        for stream in self._streams:
            stream.end(reason)
        if self._ticking is not None:
            self._ticking.cancel()

    async def _tick(self) -> None:
        """Measure each second as long as a stream wants it."""
        due = self._loop.time()
        pause = TRAFFIC_EVERY
        while any(stream.wanted.traffic for stream in self._streams):
            if self.measure is not None:
                try:
                    parts, silent = await self.measure()
                except Exception as error:  # noqa: BLE001 - a second that cannot be measured must not end the others
                    text = f"the traffic of a second could not be measured: {error!r}"
                    emit(TASK_FAILED, text, task="measure the traffic", reason=repr(error))
                else:
                    pause = pause_after(self._take(parts, silent))
            due = max(due + pause, self._loop.time())
            await asyncio.sleep(due - self._loop.time())

    def _take(self, parts: Parts, silent: Sequence[int]) -> float:
        """Make an event of what was measured; return the processor time of it, of the process that had most to do."""
        spent: dict[int, float] = {each["pid"]: each["spent"] for _, each in parts}
        began = time.thread_time()
        self._publish_traffic(parts, silent)
        # Where one process is all there is, it counts and makes the event.
        own = os.getpid()
        spent[own] = spent.get(own, 0.0) + time.thread_time() - began
        return max(spent.values())

    def _publish_traffic(self, parts: Parts, silent: Sequence[int]) -> None:
        measured = [each for each in parts if each[1]["elapsed"]]
        if not measured and not self.traffic.number:
            return  # the first question, which only notes where the counters are
        data, route = traffic_of(measured, silent, time_text(self._clock.wall()))
        self.traffic = _Traffic(self.traffic.number + 1, data, route)
        for wanted in {stream.wanted.route for stream in self._streams if stream.wanted.traffic}:
            self.traffic.text(wanted)
        self.wake("traffic")


def pause_after(spent: float) -> float:
    """Return the seconds from a measurement of the traffic to the next.

    :param spent: of a processor, by the last one.
    """
    return max(TRAFFIC_EVERY, min(spent / TRAFFIC_SHARE, TRAFFIC_AT_MOST_EVERY))


class Stream:
    """One reader of the feed."""

    def __init__(self, feed: LiveFeed, wanted: Wanted, last_id: str, watched_since: int) -> None:
        self.wanted = wanted
        self.has_more = asyncio.Event()
        self.ended = ""
        """Why it is over."""
        self._feed = feed
        self._traffic_seen = feed.traffic.number
        self._order = feed.order
        self._seen = {kind: feed.ring(kind).last_number for kind in wanted.kinds}
        self._gaps: list[bytes] = []
        if last_id:
            self._resume(last_id, wanted.kinds, watched_since)

    @property
    def position(self) -> str:
        """The id of where it is."""
        return self._feed.identifier(self._order)

    def _resume(self, last_id: str, kinds: Collection[str], watched_since: int) -> None:
        order = self._feed.order_of(last_id)
        if order is None:
            self._gaps = [self._feed.gap_text(kind, None, "restarted", self._order) for kind in sorted(kinds)]
            self.has_more.set()
            return
        self._order = order
        for kind in sorted(kinds):
            ring = self._feed.ring(kind)
            if ring.dropped_order > order:
                self._gaps.append(self._feed.gap_text(kind, None, "too-old", order))
            elif kind == "tail" and watched_since > order:
                self._gaps.append(self._feed.gap_text(kind, None, "not-collected", order))
            self._seen[kind] = ring.number_at(order)
        self.has_more.set()

    def end(self, reason: str) -> None:
        """Have it end."""
        self.ended = self.ended or reason
        self.has_more.set()

    def close(self) -> None:
        """Leave the feed."""
        self._feed.close(self)

    def take(self) -> bytes:
        """Return what is to be sent next; empty if there is nothing more."""
        self.has_more.clear()
        texts, self._gaps = self._gaps, []
        size = 0
        for entry in self._next():
            texts.append(entry)
            size += len(entry)
            if size >= _MOST_TAKEN:
                self.has_more.set()
                break
        return b"".join(texts)

    def _next(self) -> Iterator[bytes]:
        traffic = self._feed.traffic
        if self.wanted.traffic and traffic.number > self._traffic_seen:
            missed, self._traffic_seen = traffic.number - self._traffic_seen - 1, traffic.number
            if missed:
                yield self._feed.gap_text("traffic", missed, "slow-reader", self._order)
            yield traffic.text(self.wanted.route)
        waiting: list[tuple[Entry, str]] = []
        for kind in self.wanted.kinds:
            entries = self._feed.ring(kind).after(self._seen[kind])
            if entries and (lost := entries[0].number - self._seen[kind] - 1):
                self._seen[kind] = entries[0].number - 1
                yield self._feed.gap_text(kind, lost, "slow-reader", self._order)
            waiting += ((entry, kind) for entry in entries)
        waiting.sort(key=lambda each: each[0].order)
        for entry, kind in waiting:
            self._seen[kind], self._order = entry.number, entry.order
            if self.wanted.takes(kind, entry):
                yield self._text_of(entry)

    def _text_of(self, entry: Entry) -> bytes:
        """Return an event with the header fields that this stream wants, whatever others want."""
        if entry.name != "tail" or "headers" not in entry.data:
            return entry.text
        data = {name: value for name, value in entry.data.items() if name != "headers"}
        if names := self.wanted.requests.header_names:
            data["headers"] = {name: value for name, value in entry.data["headers"].items() if name in names}
        return frame("tail", data, self._feed.identifier(entry.order))
