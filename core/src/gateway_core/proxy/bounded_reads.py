"""Reads of bounded size on uvloop, which reads 250 KiB at a time and cannot be configured.

It also reads up to 32 times in one turn of the loop as long as they fill the buffer: up to 8 MiB for one connection
while all others wait. So the `READS_PER_TURN`th read that fills the buffer is the last one of its turn.

What a read brings is in memory until the other side takes it. Where the other side is slow, or much is to come, the
transport gets a protocol that gives it a buffer of its own size. The buffers are shared by all connections: a read
fills one, and it is taken out of it before there can be another read. A body that only passes through is not copied:
its protocol gets a view, and the buffer is filled again once no view of it is left (`Buffers`). asyncio's transports
have a setting for the size (`socket_options.read_little`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, Protocol

from gateway_core.proxy.socket_options import READ_SIZE

READS_PER_TURN: Final = 4
"""Full reads of one connection in a turn of the loop: half a megabyte, which takes less than a millisecond."""

_MOST_BUFFERS: Final = 8
"""Buffers that are kept to be filled again; what is written to slow clients beyond that is freed when it is sent."""


class Buffers:
    """Buffers that are filled again when nothing refers to what they hold."""

    __slots__ = ("_kept", "_size")

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: deque[bytearray] = deque()

    def take(self) -> bytearray:
        """Return one of which there is no view."""
        kept = self._kept
        for _ in range(len(kept)):
            if _is_free(kept[0]):
                return kept[0]
            kept.rotate(-1)
        if len(kept) >= _MOST_BUFFERS:
            kept.popleft()
        made = bytearray(self._size)
        kept.appendleft(made)
        return made


def _is_free(buffer: bytearray) -> bool:
    """Return whether there is no view of a buffer, which then could change its size."""
    try:
        buffer.append(0)
    except BufferError:
        return False
    buffer.pop()
    return True


_BUFFERS: Final = Buffers(2 * READ_SIZE)


class Reading(Protocol):
    """A protocol that may have much to read."""

    def data_received(self, data: bytes) -> None: ...
    def view_received(self, data: memoryview) -> bool:
        """Take what was read as a view; return False to get it as bytes."""

    def eof_received(self) -> bool | None: ...
    def connection_lost(self, exc: BaseException | None) -> None: ...
    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...
    def is_in_body(self) -> bool:
        """Whether more of what is much is still to come."""

    def may_read(self) -> bool:
        """Whether the protocol has not paused reading."""


def bound_reads(transport: asyncio.Transport, protocol: Reading, size: int = 2 * READ_SIZE) -> None:
    """Have a connection read little at once, until the protocol is not in a body any more.

    :param size: bytes at most, no more than the default; half of that costs a third more CPU per byte.
    """
    if hasattr(transport, "max_size") or transport.is_closing():
        return
    current: object = transport.get_protocol()
    if current is protocol and transport.get_extra_info("ssl_object") is None:
        transport.set_protocol(BoundedReads(transport, protocol, size))


class BoundedReads(asyncio.BufferedProtocol):
    """Stands before a protocol and reads for it."""

    __slots__ = ("_buffer", "_full_reads", "_protocol", "_size", "_transport")

    def __init__(self, transport: asyncio.Transport, protocol: Reading, size: int) -> None:
        self._size = size
        self._transport = transport
        self._protocol = protocol
        self._full_reads = 0  # one after the other

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        view = self._buffer = memoryview(_BUFFERS.take())[: self._size]
        return view

    def buffer_updated(self, nbytes: int) -> None:
        protocol, transport = self._protocol, self._transport
        view = self._buffer[:nbytes]
        del self._buffer
        if not protocol.view_received(view):
            protocol.data_received(bytes(view))
        if transport.get_protocol() is not self or transport.is_closing():
            return
        if not protocol.is_in_body():
            transport.set_protocol(protocol)  # type: ignore[arg-type]  # it is one; typeshed wants the class
        elif nbytes < self._size:
            self._full_reads = 0
        else:
            self._full_reads += 1
            if self._full_reads >= READS_PER_TURN and transport.is_reading():
                self._full_reads = 0
                transport.pause_reading()
                asyncio.get_running_loop().call_soon(self._read_on)

    def _read_on(self) -> None:
        transport = self._transport
        if not transport.is_closing() and self._protocol.may_read():
            transport.resume_reading()

    def eof_received(self) -> bool | None:
        return self._protocol.eof_received()

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._protocol.connection_lost(exc)
