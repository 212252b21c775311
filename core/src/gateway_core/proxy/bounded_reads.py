"""Reads of bounded size on uvloop, which reads 250 KiB at a time and cannot be configured.

It also reads up to 32 times in one turn of the loop as long as they fill the buffer: up to 8 MiB for one connection
while all others wait. So a read that fills the buffer is the last one of its turn.

What a read brings is in memory until the other side takes it. Where the other side is slow, or much is to come, the
transport gets a protocol that gives it a buffer of its own size, one for all connections: a read fills it and is taken
out of it before there can be another. asyncio's transports have a setting for the size (`socket_options.read_little`).
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from gateway_core.proxy.socket_options import READ_SIZE

_BUFFER: Final = memoryview(bytearray(2 * READ_SIZE))


class Reading(Protocol):
    """A protocol that may have much to read."""

    def data_received(self, data: bytes) -> None: ...
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
        transport.set_protocol(BoundedReads(transport, protocol, _BUFFER[:size]))


class BoundedReads(asyncio.BufferedProtocol):
    """Stands before a protocol and reads for it."""

    __slots__ = ("_buffer", "_protocol", "_transport")

    def __init__(self, transport: asyncio.Transport, protocol: Reading, buffer: memoryview) -> None:
        self._buffer = buffer
        self._transport = transport
        self._protocol = protocol

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        protocol, transport = self._protocol, self._transport
        protocol.data_received(self._buffer[:nbytes].tobytes())
        if transport.get_protocol() is not self or transport.is_closing():
            return
        if not protocol.is_in_body():
            transport.set_protocol(protocol)  # type: ignore[arg-type]  # it is one; typeshed wants the class
        elif nbytes == len(self._buffer) and transport.is_reading():
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
