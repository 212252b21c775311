"""Messages between the supervisor and a worker, over a socket pair.

A frame is the length of a JSON head and of a body (4 bytes each, big-endian), the head, the body. The other end going
away is `ChannelClosedError`.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway_core.errors import GatewayError

_SIZES: Final = struct.Struct("!II")
_LONGEST: Final = 64 << 20


class ChannelClosedError(GatewayError):
    """The process at the other end is gone."""


@dataclass(frozen=True, slots=True)
class Message:
    """One frame: what kind it is, its fields, and a body of bytes."""

    kind: str
    fields: Mapping[str, Any]
    body: bytes = b""

    def __getitem__(self, name: str) -> Any:
        return self.fields[name]


class Channel:
    """One end of a socket pair."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, sock: socket.socket) -> Channel:
        """Take a connected socket over."""
        return cls(*await asyncio.open_unix_connection(sock=sock))

    async def send(self, kind: str, /, body: bytes = b"", **fields: Any) -> None:
        """Send one message, and wait while the other end is slow to read.

        :raises ChannelClosedError: nobody reads any more.
        """
        head = json.dumps({"kind": kind, **fields}).encode()
        try:
            self._writer.write(_SIZES.pack(len(head), len(body)) + head + body)
            await self._writer.drain()
        except (OSError, RuntimeError) as error:
            raise ChannelClosedError(str(error)) from error

    async def receive(self) -> Message:
        """Return the next message.

        :raises ChannelClosedError: the other end is closed.
        """
        try:
            head_size, body_size = _SIZES.unpack(await self._reader.readexactly(_SIZES.size))
            if head_size + body_size > _LONGEST:
                raise ChannelClosedError(f"a message of {head_size + body_size} bytes is longer than {_LONGEST}")
            fields = json.loads(await self._reader.readexactly(head_size))
            body = await self._reader.readexactly(body_size)
        except (OSError, EOFError) as error:
            raise ChannelClosedError(str(error)) from error
        return Message(fields.pop("kind"), fields, body)

    def close(self) -> None:
        """Close this end."""
        self._writer.close()
