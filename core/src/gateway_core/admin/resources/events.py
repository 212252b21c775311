"""``GET /api/v1/events``: what happens, as a stream (HTML, "Server-sent events").

A stream is a position in `gateway_core.observe.live_feed`. It begins with ``hello``, has a heartbeat when there is
nothing else, and ends with ``end`` and the reason, unless the connection is lost. The rights of its caller are looked
at again every second, so it ends with the token that it was opened with.
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import Final

from pydantic import field_validator, model_validator

from gateway_core.admin.operation import API, ApiModel, Call, Operation
from gateway_core.admin.replies import EVENT_STREAM, EventStream, Reply
from gateway_core.clock import SystemClock
from gateway_core.errors import RefusedError
from gateway_core.observe.live_events import frame
from gateway_core.observe.live_feed import Stream, Wanted
from gateway_core.observe.tail_filter import TailFilter

EVENTS: Final = f"{API}events"

HEARTBEAT: Final = 10.0
"""Seconds without an event after which something is sent all the same."""
WRITE_TIMEOUT: Final = 30.0
"""Seconds in which a reader has to take something."""
_LOOK_EVERY: Final = 1.0
_END_TIMEOUT: Final = 0.5

TYPES: Final = ("traffic", "change", "tail")


class EventsQuery(ApiModel):
    """Which events."""

    types: str = "traffic,change"
    """Names of events, with commas between them: ``traffic``, ``change``, ``tail``."""
    route: str | None = None
    """The only route of ``tail``, and the only one that ``traffic`` has under ``routes``."""
    status: str = ""
    """Of ``tail``: statuses and classes of them, with commas between them, such as ``5xx,404``."""
    client: str = ""
    """Of ``tail``: an address, or a network such as ``10.0.0.0/8``."""
    method: str = ""
    """Of ``tail``: a method."""
    path: str = ""
    """Of ``tail``: what the path begins with."""
    reason: str = ""
    """Of ``tail``: a reason of docs/reasons.md, or one for which a plugin refused."""
    plugin: str = ""
    """Of ``tail``: the plugin that refused, or the binding that responded."""
    headers: str = ""
    """Of ``tail``: names of request fields, with commas between them, to have as well. Credentials are refused."""

    @field_validator("types")
    @classmethod
    def _known(cls, types: str) -> str:
        unknown = [name for name in types.split(",") if name not in TYPES]
        if unknown:
            raise ValueError(f"{unknown[0][:40]!r} is none of {', '.join(TYPES)}")
        return types

    @model_validator(mode="after")
    def _is_filter(self) -> EventsQuery:
        self.filter()
        return self

    def filter(self) -> TailFilter:
        """Return which requests are wanted.

        :raises ValueError: a condition is none.
        """
        conditions = self.status, self.client, self.method, self.path, self.reason, self.plugin
        return TailFilter(self.route or "", *conditions, headers=self.headers)


async def _events(call: Call) -> Reply | EventStream:
    types = frozenset(call.query.types.split(","))
    if "tail" in types and not call.caller.may_tail:
        detail = f"{call.caller.name} may not watch single requests: make a token with gateway admin token new --tail"
        raise RefusedError(403, "forbidden", detail)
    wanted = Wanted(types - {"traffic"}, "traffic" in types, call.query.route, call.query.filter())
    if call.request.method == "HEAD":
        return Reply(headers={"Content-Type": EVENT_STREAM})
    stream = call.view.live.open(wanted, call.request.headers.get("Last-Event-ID", ""))
    end = partial(stream.end, "listener-closed")
    call.gate.on_close.add(end)
    try:
        if "tail" in types:
            await call.view.live.follow_filters()
        response = EventStream()
        await response.prepare(call.request)
        await _send(call, stream, response)
    finally:
        call.gate.on_close.discard(end)
        stream.close()
    return response


async def _send(call: Call, stream: Stream, response: EventStream) -> None:
    """Send events until the stream ends, or its reader is gone or does not read."""
    clock = SystemClock()
    try:
        hello = {"types": sorted(call.query.types.split(",")), "heartbeat": HEARTBEAT}
        await _write(response, frame("hello", hello, stream.position))
        sent_at = looked_at = clock.monotonic()
        while not stream.ended and not _is_closed(call):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_EVERY):
                    await stream.has_more.wait()
            now = clock.monotonic()
            if now - looked_at >= _LOOK_EVERY:
                looked_at = now
                if reason := await call.gate.why_refused(call.request, call.caller):
                    stream.end(reason)
                    break
            if text := stream.take():
                await _write(response, text)
                sent_at = now
            elif now - sent_at >= HEARTBEAT:
                # An id without data is the position for a client that comes back, and no event.
                await _write(response, f": heartbeat\nid: {stream.position}\n\n".encode())
                sent_at = now
        await _end(response, stream.ended)
    except TimeoutError:
        if call.request.transport is not None:
            call.request.transport.abort()
    except ConnectionError:
        pass  # the reader is gone


async def _write(response: EventStream, text: bytes) -> None:
    async with asyncio.timeout(WRITE_TIMEOUT):
        await response.write(text)


async def _end(response: EventStream, reason: str) -> None:
    with contextlib.suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(_END_TIMEOUT):
            await response.write(frame("end", {"reason": reason}))


def _is_closed(call: Call) -> bool:
    return call.request.transport is None or call.request.transport.is_closing()


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "GET",
        "events",
        "viewer",
        "Stream what happens (text/event-stream): traffic each second, changes, and with the right tail requests",
        _events,
        query=EventsQuery,
        errors=(503,),
    ),
)
