"""Live events on the channel between a child process and its program: `Outbox` sends them, `take` publishes them.

A message of the kind ``live`` has a JSON list of kinds and events as its body, and counts of what was lost on the way:
the outbox is bounded, and what finds it full is counted in place of being kept. Both are seen in the stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from gateway_core.clock import Clock
from gateway_core.events import Event
from gateway_core.observe.live_events import change_of, is_change
from gateway_core.observe.live_feed import LiveFeed
from gateway_core.observe.tail_filter import TailFilter
from gateway_core.process.channel import Channel, ChannelClosedError, Message

if TYPE_CHECKING:
    from gateway_core.proxy import Proxy

LIVE: Final = "live"
"""Kind of the messages."""
WATCH: Final = "watch"
"""Kind of the messages that say which requests are watched."""

MOST_WAITING: Final = 2000
"""Events of a kind."""
_GATHER: Final = 0.1
"""Seconds for which events are gathered before they are sent."""


class Outbox:
    """The live events of this process, on their way to the program."""

    def __init__(self, channel: Channel, clock: Clock, *, most: int = MOST_WAITING) -> None:
        """Send nothing yet; needs a running event loop.

        :param most: events of a kind that wait at most.
        """
        self._channel = channel
        self._clock = clock
        self._most = most
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._waiting: list[tuple[str, Mapping[str, Any]]] = []
        self._numbers: dict[str, int] = {}
        self._lost: dict[str, dict[str, int]] = {}
        """By kind and reason."""
        self._has_more = asyncio.Event()

    def note(self, event: Event, message: str, fields: Mapping[str, object]) -> None:
        """Take an event of this process's log; may be called in any thread."""
        if is_change(event.name):
            self._keep("change", change_of(event, message, fields, self._clock.wall()))
            with contextlib.suppress(RuntimeError):  # the loop is closed: the process ends
                self._loop.call_soon_threadsafe(self._has_more.set)

    def put_request(self, data: Mapping[str, Any]) -> None:
        """Take a request that is over; to be called by the event loop."""
        self._keep("tail", data)
        self._has_more.set()

    def _keep(self, kind: str, data: Mapping[str, Any]) -> None:
        with self._lock:
            number = self._numbers.get(kind, 0)
            if number >= self._most:
                self._lose(kind, "process-overloaded")
            else:
                self._numbers[kind] = number + 1
                self._waiting.append((kind, data))

    def lose_request(self) -> None:
        """Count a request that could not be shown; to be called by the event loop."""
        with self._lock:
            self._lose("tail", "failed")
        self._has_more.set()

    def _lose(self, kind: str, reason: str) -> None:
        counts = self._lost.setdefault(kind, {})
        counts[reason] = counts.get(reason, 0) + 1

    async def run(self) -> None:
        """Send what there is until the channel is closed."""
        with contextlib.suppress(ChannelClosedError):
            while True:
                await self._has_more.wait()
                await asyncio.sleep(_GATHER)
                await self.flush()

    async def flush(self) -> None:
        """Send what waits.

        :raises ChannelClosedError: the other end is closed.
        """
        self._has_more.clear()
        with self._lock:
            waiting, self._waiting, self._numbers = self._waiting, [], {}
            lost, self._lost = self._lost, {}
        if waiting or lost:
            await self._channel.send(LIVE, json.dumps(waiting, default=str).encode(), lost=lost)


def filters_of(message: Message) -> list[TailFilter]:
    """Return which requests are watched from now on."""
    return [TailFilter(**plain) for plain in message["filters"]]


def watch_requests(
    proxy: Proxy, filters: Sequence[TailFilter], put: Callable[[Mapping[str, Any]], None], lose: Callable[[], None]
) -> None:
    """Have a proxy show the requests that match a filter; without filters it does nothing for that.

    :param lose: called for a request that could not be shown.
    """
    if not filters:
        proxy.tail = None
        return
    if proxy.tail is None:
        # A supervisor does without the data path.
        from gateway_core.proxy.tail import Tail  # noqa: PLC0415

        proxy.tail = Tail(put, lose)
    proxy.tail.filters = filters


def take(feed: LiveFeed | None, message: Message, **process: object) -> None:
    """Publish what a child has sent.

    :param process: which one it is.
    """
    if feed is None:
        return
    for kind, data in json.loads(message.body):
        feed.publish(kind, {**data, **process})
    for kind, counts in message["lost"].items():
        for reason, count in counts.items():
            feed.lose(kind, count, reason, **process)
