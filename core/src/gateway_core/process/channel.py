"""Messages between two processes of the gateway, over a socket pair.

A frame is the length of a JSON head and of a body (4 bytes each, big-endian), the head, the body. The other end going
away is `ChannelClosedError`. A message may be a call: it has a number, which its reply repeats, so that calls are
pipelined and replies come in any order. `Channel` is an end in an event loop, `BlockingChannel` one without.

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
from gateway_core.hooks import SharedStoreFull

REPLY: Final = "reply"
"""Kind of the message that ends a call."""

_ERRORS: Final[Mapping[str, type[Exception]]] = {"full": SharedStoreFull, "value": ValueError}
"""Errors that are raised at the caller's end as what they were; all others are `GatewayError`."""

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


def _frame(kind: str, fields: Mapping[str, Any], body: bytes) -> bytes:
    head = json.dumps({"kind": kind, **fields}).encode()
    return _SIZES.pack(len(head), len(body)) + head + body


def _message(head: bytes, body: bytes) -> Message:
    fields = json.loads(head)
    return Message(fields.pop("kind"), fields, body)


def error_fields(error: Exception) -> dict[str, Any]:
    """Return the fields of a reply that raises this error at the other end."""
    kind = next((name for name, each in _ERRORS.items() if isinstance(error, each)), "")
    return {"error": str(error), "error_kind": kind}


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
        self._last_call = 0
        self._calls: dict[int, asyncio.Future[Message]] = {}
        """The calls made here that are not over, by their numbers."""

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
        self._closed = ChannelClosedError(str(exc or "the process at the other end is gone"))
        self._can_write.set()
        self._wake()
        for reply in self._calls.values():
            if not reply.done():
                reply.set_exception(self._closed)

    def pause_writing(self) -> None:
        self._can_write.clear()

    def resume_writing(self) -> None:
        self._can_write.set()

    # -- messages

    async def send(self, kind: str, /, body: bytes = b"", **fields: Any) -> None:
        """Send one message, and wait while the other end is slow to read.

        :raises ChannelClosedError: the other end is closed.
        """
        if self._closed is not None or self._transport is None or self._transport.is_closing():
            raise ChannelClosedError("the channel is closed")
        self._transport.write(_frame(kind, fields, body))
        await self._can_write.wait()
        if self._closed is not None:
            raise self._closed

    async def call(self, kind: str, /, body: bytes = b"", **fields: Any) -> Message:
        """Send a message with a number, and return its reply, which arrives while `receive` is awaited.

        :raises ChannelClosedError: the other end is gone, before or while it worked on it.
        """
        self._last_call += 1
        number = self._last_call
        reply = self._calls[number] = asyncio.get_running_loop().create_future()
        try:
            await self.send(kind, body, call=number, **fields)
            message: Message = await reply
        finally:
            self._calls.pop(number, None)
            if reply.done() and not reply.cancelled():
                reply.exception()  # seen, even if sending failed first
        if (error := message.fields.get("error")) is not None:
            raise _ERRORS.get(message["error_kind"], GatewayError)(error)
        return message

    async def reply(self, call: Message, /, body: bytes = b"", **fields: Any) -> None:
        """End a call of the other end.

        :raises ChannelClosedError: the other end is closed.
        """
        await self.send(REPLY, body, call=call["call"], **fields)

    async def receive(self) -> Message:
        """Return the next message that is no reply; one task at a time may wait for it.

        :raises ChannelClosedError: the other end is closed.
        """
        while (message := await self._next()).kind == REPLY:
            waiting = self._calls.get(message["call"])
            if waiting is not None and not waiting.done():
                waiting.set_result(message)
        return message

    async def _next(self) -> Message:
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
        message = _message(bytes(self._received[_SIZES.size : head_end]), bytes(self._received[head_end:wanted]))
        del self._received[:wanted]
        if len(self._received) <= _HIGH_WATER:
            self._resume()
        return message

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

        Nothing is received any more: a task in `receive` waits until it is cancelled.
        """
        # What is given away must not be taken here as well: a task in `receive` would take it a second time.
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
        """Close this end once everything is sent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close this end at once."""
        if self._transport is not None:
            self._transport.abort()


class BlockingChannel:
    """One end of a socket pair in a process without an event loop."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(True)
        self.sock = sock

    def send(self, kind: str, /, body: bytes = b"", **fields: Any) -> None:
        """Send one message.

        :raises ChannelClosedError: the other end is closed.
        """
        try:
            self.sock.sendall(_frame(kind, fields, body))
        except OSError as error:
            raise ChannelClosedError(str(error)) from error

    def receive(self) -> Message:
        """Wait for the next message.

        :raises ChannelClosedError: the other end is closed, perhaps in the middle of a message.
        """
        head, body = _SIZES.unpack(self._read(_SIZES.size))
        return _message(self._read(head), self._read(body))

    def _read(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            try:
                part = self.sock.recv(min(size - len(data), _PART_BYTES))
            except OSError as error:
                raise ChannelClosedError(str(error)) from error
            if not part:
                raise ChannelClosedError("the process at the other end is gone")
            data += part
        return bytes(data)


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
