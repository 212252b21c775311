"""Two byte streams joined after 101: bytes pass both ways untouched, no faster than the slower side takes them.

Each end is a `TunnelEnd`: a transport, and the bytes that came over it before the tunnel was there. A tunnel takes both
transports over: it gets what comes, pauses one side while the other does not keep up, passes a half-close on, and
closes both when one is gone. It belongs to its exchange, which is over when the tunnel is (``on_closed``).

When the gateway ends, the client of a WebSocket gets a close frame with status 1001 if the last frame to it is
complete.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple, cast

from gateway_core.metrics.counts import EndpointCounts
from gateway_core.proxy.bounded_reads import bound_reads
from gateway_core.proxy.socket_options import READ_SIZE, abort_later, abort_unread, close_once, say_end
from gateway_core.proxy.sweeper import NEVER
from gateway_core.proxy.wire.websocket import GOING_AWAY, FrameReader

_FLUSH: Final = 60.0
"""Seconds to read what the other side sent before it closed, where nothing else is configured."""


class TunnelEnd(NamedTuple):
    """One side of a tunnel."""

    transport: asyncio.Transport
    received: bytes = b""
    """What came over it already, to be passed on first."""


class Tunnel:
    """Joins a client's byte stream with an upstream's until either is closed."""

    __slots__ = ("_client", "_closed", "_frames", "_idle_timeout", "_now", "_on_closed", "_upstream", "deadline")

    def __init__(
        self,
        client: TunnelEnd,
        upstream: TunnelEnd,
        *,
        idle_timeout: float,
        now: Callable[[], float],
        on_closed: Callable[[Tunnel, int, int], None],
        counts: EndpointCounts | None = None,
        is_websocket: bool = False,
    ) -> None:
        """Take both ends over.

        :param idle_timeout: seconds without a byte either way after which both are closed; 0 is never.
        :param on_closed: called once with the bytes from the client and the bytes to it.
        :param counts: those of the endpoint, which have what the upstream's end has received already.
        """
        self._idle_timeout = idle_timeout
        self._now = now
        self._on_closed = on_closed
        self._closed = False
        self._client = _End(self, client.transport, is_upstream=False)
        self._frames = FrameReader() if is_websocket else None
        self._upstream = _End(self, upstream.transport, self._frames, is_upstream=True)
        self._client.other, self._upstream.other = self._upstream, self._client
        client.transport.set_protocol(self._client)
        upstream.transport.set_protocol(self._upstream)
        self.deadline = NEVER
        self.touch()
        for transport in (client.transport, upstream.transport):
            if not transport.is_closing():
                transport.resume_reading()
        if upstream.received:
            self._upstream.data_received(upstream.received)
        self._upstream.to_count, self._client.to_count = (None, None) if counts is None else (counts, counts)
        if client.received:
            self._client.data_received(client.received)

    def touch(self) -> None:
        """Note that something passed."""
        if self._idle_timeout:
            self.deadline = self._now() + self._idle_timeout

    def expire(self, now: float) -> None:  # noqa: ARG002 - the sweeper's signature
        """Close both ends: nothing passed for too long, so what is written is not read either."""
        self.close()
        abort_unread(self._client.transport)
        abort_unread(self._upstream.transport)

    def go_away(self) -> None:
        """Close both ends as the gateway ends."""
        if self._frames is not None and self._frames.is_between_frames and not self._client.transport.is_closing():
            self._client.transport.write(GOING_AWAY)
        self.close()

    def close(self) -> None:
        """Close both ends; what is written is still sent."""
        if self._closed:
            return
        self._closed = True
        self.deadline = NEVER
        for transport in (self._client.transport, self._upstream.transport):
            close_once(transport)
            if transport.get_write_buffer_size():
                abort_later(transport, self._idle_timeout or _FLUSH)
        on_closed, self._on_closed = self._on_closed, _forget  # which refers to the exchange, and that to this
        on_closed(self, self._client.received, self._upstream.received)


def _forget(_tunnel: Tunnel, _received: int, _sent: int) -> None:
    pass


class _End(asyncio.Protocol):
    __slots__ = (
        "frames", "is_at_end", "is_lost", "is_upstream", "is_writing_paused", "other", "received", "to_count",
        "transport", "tunnel",
    )  # fmt: skip

    def __init__(
        self, tunnel: Tunnel, transport: asyncio.Transport, frames: FrameReader | None = None, *, is_upstream: bool
    ) -> None:
        self.frames = frames
        self.is_upstream = is_upstream
        self.to_count: EndpointCounts | None = None
        self.tunnel = tunnel
        self.transport = transport
        self.other: _End = cast("_End", None)
        self.received = 0
        self.is_at_end = self.is_lost = False
        self.is_writing_paused = False

    def data_received(self, data: bytes) -> None:
        self._passed(len(data))
        self.other.transport.write(data)
        if self.frames is not None and not self.frames.is_lost:
            self.frames.feed(data)
        if len(data) > READ_SIZE:
            bound_reads(self.transport, self)

    def view_received(self, data: memoryview) -> bool:
        """Pass bytes on without a copy."""
        if self.frames is not None and not self.frames.is_lost:
            return False
        self._passed(len(data))
        self.other.transport.write(data)
        return True

    def _passed(self, size: int) -> None:
        self.received += size
        self.tunnel.touch()
        counts = self.to_count
        if counts is None:
            return
        if self.is_upstream:
            counts.bytes_in += size
        else:
            counts.bytes_out += size

    def may_read(self) -> bool:
        """Whether the other side takes what comes."""
        return not self.other.is_writing_paused

    def is_in_body(self) -> bool:
        """A tunnel is nothing but a body."""
        return True

    def pause_writing(self) -> None:
        self.is_writing_paused = True
        other = self.other
        if not other.transport.is_closing():
            bound_reads(other.transport, other)
            other.transport.pause_reading()

    def resume_writing(self) -> None:
        self.is_writing_paused = False
        if not self.other.transport.is_closing():
            self.other.transport.resume_reading()

    def eof_received(self) -> bool:
        """Pass a half-close on; TLS knows none, so there both ways end."""
        self.is_at_end = True
        transport = self.other.transport
        if self.other.is_at_end:
            self.tunnel.close()
            return False
        return not transport.is_closing() and say_end(transport)

    def connection_lost(self, exc: BaseException | None) -> None:  # noqa: ARG002 - asyncio's signature
        self.tunnel.close()
        self.is_lost, other = True, self.other
        if other.is_lost:
            # Nothing is called any more. A cycle that was there when a configuration came into force is never collected
            # (`memory.freeze`), and tunnels last long.
            del self.tunnel, self.other, other.tunnel, other.other
