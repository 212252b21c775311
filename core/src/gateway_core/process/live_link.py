"""Live events on the channel between a child process and its program: `Outbox` sends them, `take` publishes them.

A message of the kind ``live`` has a JSON list of kinds and events as its body, and counts of what was lost on the way:
the outbox is bounded, and what finds it full is counted in place of being kept. Both are seen in the stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Mapping
from typing import Any, Final

from gateway_core.clock import Clock
from gateway_core.events import Event
from gateway_core.observe.live_feed import LiveFeed, change_of, is_change
from gateway_core.process.channel import Channel, ChannelClosedError, Message

LIVE: Final = "live"
"""Kind of the messages."""

MOST_WAITING: Final = 2000
"""Events."""
_GATHER: Final = 0.1
"""Seconds for which events are gathered before they are sent."""


class Outbox:
    """The live events of this process, on their way to the program."""

    def __init__(self, channel: Channel, clock: Clock, *, most: int = MOST_WAITING) -> None:
        """Send nothing yet; needs a running event loop.

        :param most: events that wait at most.
        """
        self._channel = channel
        self._clock = clock
        self._most = most
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._waiting: list[tuple[str, Mapping[str, Any]]] = []
        self._lost: dict[str, int] = {}
        self._has_more = asyncio.Event()

    def note(self, event: Event, message: str, fields: Mapping[str, object]) -> None:
        """Take an event of this process's log; may be called in any thread."""
        if is_change(event.name):
            self._put("change", change_of(event, message, fields, self._clock.wall()))
            with contextlib.suppress(RuntimeError):  # the loop is closed: the process ends
                self._loop.call_soon_threadsafe(self._has_more.set)

    def _put(self, kind: str, data: Mapping[str, Any]) -> None:
        with self._lock:
            if len(self._waiting) >= self._most:
                self._lost[kind] = self._lost.get(kind, 0) + 1
            else:
                self._waiting.append((kind, data))

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
            waiting, self._waiting = self._waiting, []
            lost, self._lost = self._lost, {}
        if waiting or lost:
            await self._channel.send(LIVE, json.dumps(waiting, default=str).encode(), lost=lost)


def take(feed: LiveFeed | None, message: Message, **process: object) -> None:
    """Publish what a child has sent.

    :param process: which one it is.
    """
    if feed is None:
        return
    for kind, data in json.loads(message.body):
        feed.publish(kind, {**data, **process})
    for kind, count in message["lost"].items():
        feed.lose(kind, count, "process-overloaded", **process)
