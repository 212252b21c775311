"""Shared values of plugins between processes: the supervisor has them, workers ask for them over their channels.

So a worker that dies loses nothing. Calls of one worker are applied in the order in which it sent them. When SIGUSR2
replaces the program the values go on with it (`to_plain`, `from_plain`); calls that come meanwhile wait in the channel.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from gateway_core.hooks import SharedCall, SharedResult, SharedStoreFull, SharedStores
from gateway_core.process.channel import Channel, Message, error_fields

SHARED = "shared"
"""Kind of the message that is one operation."""


class RemoteShared:
    """Values in the process at the other end of a channel, a `gateway_core.hooks.SharedBackend`."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    async def call(self, call: SharedCall) -> SharedResult:
        """Do what a call says.

        :raises SharedStoreFull: there is no room.
        :raises ValueError: the value is not a number.
        :raises GatewayError: the supervisor is gone.
        """
        _, operation, key, value, by, ttl = call
        reply = await self._channel.call(SHARED, value, owner=call.owner, operation=operation, key=key, by=by, ttl=ttl)
        if reply["is_bytes"]:
            return reply.body
        result: SharedResult = reply["result"]
        return result


def apply_message(stores: SharedStores, message: Message, now: float) -> tuple[dict[str, Any], bytes]:
    """Do what a worker's message says; return fields and body of the reply."""
    call = SharedCall(
        message["owner"], message["operation"], message["key"], message.body, message["by"], message["ttl"]
    )
    try:
        result = stores.apply(call, now)
    except (SharedStoreFull, ValueError) as error:
        return error_fields(error), b""
    if isinstance(result, bytes):
        return {"is_bytes": True}, result
    return {"is_bytes": False, "result": result}, b""


def to_plain(stores: SharedStores, now: float) -> list[Any]:
    """Return all values as JSON has them, for the program that takes over."""
    return [
        [owner, [[key, base64.b64encode(value).decode(), ttl] for key, value, ttl in items]]
        for owner, items in stores.dump(now)
    ]


def from_plain(plain: Sequence[Any], stores: SharedStores, now: float) -> None:
    """Undo `to_plain`."""
    stores.load(
        ((owner, [(key, base64.b64decode(value), ttl) for key, value, ttl in items]) for owner, items in plain), now
    )
