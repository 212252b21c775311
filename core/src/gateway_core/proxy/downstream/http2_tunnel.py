"""A stream of HTTP/2 as a byte stream, once its client was joined with an upstream (RFC 8441).

`StreamTransport` is what a `Tunnel` has for the client's side: an `asyncio.Transport` whose bytes are DATA of one
stream. Its end is the stream's: END_STREAM either way is a half-close, RST_STREAM an abort.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from gateway_core.proxy.http2.sender import Sender, SendStream
from gateway_core.proxy.http2.waiting import HIGH_WATER, LOW_WATER
from gateway_core.proxy.socket_options import READ_SIZE


class TunnelledStream(Protocol):
    """The stream, for its transport."""

    def pause_request(self) -> None: ...
    def resume_request(self) -> None: ...
    def abort(self) -> None:
        """Reset the stream."""

    def write_is_over(self) -> None:
        """Called when nothing will be written any more."""


class StreamTransport(asyncio.Transport):
    """The transport of one stream."""

    def __init__(self, stream: TunnelledStream, sending: SendStream, sender: Sender) -> None:
        """Begin with a stream whose head is written.

        :param sending: the same stream, as far as it sends.
        """
        super().__init__()
        self._stream, self._sending, self._sender = stream, sending, sender
        self._protocol: asyncio.Protocol | None = None
        self._is_paused = self._is_closing = self._is_reading = False
        self._is_lost = self._has_written_eof = self._is_at_end = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ARG002 - there is no socket of its own
        return default

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol  # type: ignore[assignment]  # a Tunnel's ends are
        if self._is_at_end:
            # The client half-closed before the upstream had agreed; its tunnel passes on first what it sent before.
            asyncio.get_running_loop().call_soon(self.feed_eof)

    def get_protocol(self) -> asyncio.BaseProtocol:
        assert self._protocol is not None
        return self._protocol

    # -- called by the tunnel

    @property
    def max_size(self) -> int:
        """Bytes of a read at most, as asyncio's transports have it: the stream's window bounds them."""
        return READ_SIZE

    def write(self, data: Any) -> None:
        if self._is_closing or self._has_written_eof or not data:
            return
        self._sender.send(self._sending, bytes(data))
        if self._sending.queued > HIGH_WATER and not self._is_paused and self._protocol is not None:
            self._is_paused = True
            self._protocol.pause_writing()

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if not self._has_written_eof:
            self._has_written_eof = True
            self._sender.end(self._sending, b"")
            self._stream.write_is_over()

    def get_write_buffer_size(self) -> int:
        return self._sending.queued

    def is_closing(self) -> bool:
        return self._is_closing

    def is_reading(self) -> bool:
        return self._is_reading

    def pause_reading(self) -> None:
        self._is_reading = False
        self._stream.pause_request()

    def resume_reading(self) -> None:
        self._is_reading = True
        self._stream.resume_request()

    def close(self) -> None:
        if not self._is_closing:
            self._is_closing = True
            self.write_eof()
            self.lost()

    def abort(self) -> None:
        self._is_closing = True
        self._stream.abort()
        self.lost()

    # -- called by the stream

    def feed(self, data: bytes) -> None:
        """Pass on what the client sent."""
        if self._protocol is not None and not self._is_closing:
            self._protocol.data_received(data)

    def feed_eof(self) -> None:
        """Pass on that the client will send nothing more."""
        self._is_at_end = True
        if self._protocol is not None and not self._is_closing and not self._protocol.eof_received():
            self.close()

    def drained(self) -> None:
        """Called when bytes were sent."""
        if self._is_paused and self._sending.queued <= LOW_WATER and self._protocol is not None:
            self._is_paused = False
            self._protocol.resume_writing()

    def lost(self) -> None:
        """Notify the tunnel, once and not from within its own call, that the stream is gone."""
        self._is_closing = True
        if not self._is_lost and self._protocol is not None:
            self._is_lost = True
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)
