"""Messages between the supervisor and a worker, over a socket pair.

A frame is the length of a JSON head and of a body (4 bytes each, big-endian), the head, the body. The other end going
away is `ChannelClosedError`.

An end can be given up without losing a byte (`release`): reading stops, and what came and was not taken as a message
is returned, for the end that the program's successor opens on the same socket.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from gateway_core.errors import GatewayError

_SIZES: Final = struct.Struct("!II")
_LONGEST: Final = 64 << 20
_PART_BYTES: Final = 1 << 16
_HIGH_WATER: Final = 1 << 18
"""Bytes received at which reading pauses while nothing waits in `receive`."""


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


class Channel(asyncio.Protocol):
    """One end of a socket pair."""

    def __init__(self, unread: bytes = b"") -> None:
        """Make an end; `over` connects it.

        :param unread: what an earlier end had received and not taken.
        """
        self._transport: asyncio.Transport | None = None
        self._received = bytearray(unread)
        self._closed: ChannelClosedError | None = None
        self._waiting: asyncio.Future[None] | None = None
        self._can_write = asyncio.Event()
        self._can_write.set()
        self._is_paused = False
        self._is_released = False

    @classmethod
    async def over(cls, sock: socket.socket, unread: bytes = b"") -> Channel:
        """Take a connected socket over."""
        _, channel = await asyncio.get_running_loop().create_unix_connection(lambda: cls(unread), sock=sock)
        return channel

    # -- as asyncio calls it

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._waiting is not None:
            self._wake()
        elif len(self._received) > _HIGH_WATER and not self._is_paused and self._transport is not None:
            self._is_paused = True
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed = ChannelClosedError(str(exc or "the other end is closed"))
        self._can_write.set()
        self._wake()

    def pause_writing(self) -> None:
        self._can_write.clear()

    def resume_writing(self) -> None:
        self._can_write.set()

    # -- messages

    async def send(self, kind: str, /, body: bytes = b"", **fields: Any) -> None:
        """Send one message, and wait while the other end is slow to read.

        :raises ChannelClosedError: nobody reads any more.
        """
        if self._closed is not None or self._transport is None or self._transport.is_closing():
            raise ChannelClosedError("the channel is closed")
        head = json.dumps({"kind": kind, **fields}).encode()
        self._transport.write(_SIZES.pack(len(head), len(body)) + head + body)
        await self._can_write.wait()
        if self._closed is not None:
            raise self._closed

    async def receive(self) -> Message:
        """Return the next message; one task at a time may wait for it.

        :raises ChannelClosedError: the other end is closed.
        """
        while (message := self._take()) is None:
            if self._closed is not None:
                raise self._closed
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None
        return message

    def _wanted(self) -> int:
        """Return how many bytes the first message has, as far as that is known."""
        if len(self._received) < _SIZES.size:
            return _SIZES.size
        head_size, body_size = _SIZES.unpack_from(self._received)
        return _SIZES.size + int(head_size) + int(body_size)

    def _take(self) -> Message | None:
        wanted = self._wanted()
        if wanted > _LONGEST:
            self.close()
            raise ChannelClosedError(f"a message of {wanted} bytes is longer than {_LONGEST}")
        if len(self._received) < max(wanted, _SIZES.size + 1):
            self._resume()  # the rest of it has to come, however long it is
            return None
        head_end = _SIZES.size + _SIZES.unpack_from(self._received)[0]
        fields = json.loads(bytes(self._received[_SIZES.size : head_end]))
        body = bytes(self._received[head_end:wanted])
        del self._received[:wanted]
        if len(self._received) <= _HIGH_WATER:
            self._resume()
        return Message(fields.pop("kind"), fields, body)

    def _resume(self) -> None:
        if self._is_paused and self._closed is None and not self._is_released:
            self._is_paused = False
            assert self._transport is not None
            self._transport.resume_reading()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    # -- its end

    async def release(self) -> bytes:
        """Stop reading, send what waits, and return what came and was not taken. The socket stays open.

        Nothing is received any more: whoever waits in `receive` waits until it is cancelled.
        """
        # What is given away must not be taken here as well: whoever waits in `receive` would do it a second time.
        unread, self._received, self._is_released = bytes(self._received), bytearray(), True
        if self._closed is not None or self._transport is None:
            return unread
        if not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()
        self._transport.set_write_buffer_limits(0)
        if self._transport.get_write_buffer_size():
            self._can_write.clear()
            await self._can_write.wait()
        return unread

    def close(self) -> None:
        """Close this end."""
        if self._transport is not None:
            self._transport.close()


def parts(lines: Sequence[bytes]) -> list[bytes]:
    """Pack lines into pieces that a worker takes in without holding up its requests."""
    packed: list[bytes] = []
    piece: list[bytes] = []
    size = 0
    for line in lines:
        piece.append(line)
        size += len(line)
        if size >= _PART_BYTES:
            packed.append(b"\n".join(piece))
            piece, size = [], 0
    if piece:
        packed.append(b"\n".join(piece))
    return packed
