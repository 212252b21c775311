"""Calls over a channel: pipelined, each with a number that its reply repeats."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway_core.errors import GatewayError
from gateway_core.hooks import SharedStoreFull
from gateway_core.process.channel import Channel, ChannelClosedError, Message

REPLY = "reply"
"""Kind of the message that ends a call."""

_ERRORS: dict[str, type[Exception]] = {"full": SharedStoreFull, "value": ValueError}
"""Errors that are raised at the caller's end as what they were; all others are `GatewayError`."""


class ChannelCalls:
    """The calls that one end of a channel has made and that are not over."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._last = 0
        self._pending: dict[int, asyncio.Future[Message]] = {}
        self._closed = False

    async def call(self, kind: str, body: bytes = b"", **fields: Any) -> Message:
        """Send a message with a number, and return its reply.

        :raises ChannelClosedError: the other end is gone, before or while it worked on it.
        """
        if self._closed:
            raise ChannelClosedError("the process at the other end is gone")
        self._last += 1
        number = self._last
        reply = self._pending[number] = asyncio.get_running_loop().create_future()
        try:
            await self._channel.send(kind, body, call=number, **fields)
            message: Message = await reply
        finally:
            self._pending.pop(number, None)
            if reply.done() and not reply.cancelled():
                reply.exception()  # seen, even if sending failed first
        error = message.fields.get("error")
        if error is not None:
            raise _ERRORS.get(message["error_kind"], GatewayError)(error)
        return message

    def resolve(self, message: Message) -> None:
        """Give a reply to the call that waits for it, if it still does."""
        reply = self._pending.get(message["call"])
        if reply is not None and not reply.done():
            reply.set_result(message)

    def close(self, reason: str) -> None:
        """End every call with an error: no reply will come."""
        self._closed = True
        for reply in self._pending.values():
            if not reply.done():
                reply.set_exception(ChannelClosedError(reason))


def error_fields(error: Exception) -> dict[str, Any]:
    """Return the fields of a reply that raises this error at the other end."""
    kind = next((name for name, each in _ERRORS.items() if isinstance(error, each)), "")
    return {"error": str(error), "error_kind": kind}
