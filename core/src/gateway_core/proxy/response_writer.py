"""How an exchange responds to its client: the one interface between a connection and its exchange.

A connection owns a writer and gives it to each exchange. The exchange decides what the response is; the writer decides
how it goes over the wire: framing, keep-alive, Date, what HEAD and old versions leave out. HTTP/1 writes to a transport
(`downstream.http1_writer`); HTTP/2 will write frames of one stream.

A response is either whole (`relay` or `start` with ``complete``), or a head followed by any number of `data` and one
`end`. Then the exchange calls `finish` as the last thing that it does. A response that cannot be completed is ended by
`cut` instead, after which neither side calls the other any more.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from gateway_core.messages.grpc_status import GrpcCode
from gateway_core.proxy.wire.grpc import code_within, status_trailers
from gateway_core.proxy.wire.request_head import RequestHead
from gateway_core.reasons import REASONS

if TYPE_CHECKING:
    from gateway_core.proxy.tunnel import TunnelEnd
    from gateway_core.proxy.wire.response_head import ResponseHead


class ResponseWriter(Protocol):
    """Writes one response at a time.

    A block is what `gateway_core.messages.Headers` holds: lines, each with a CRLF before it.
    """

    version: str
    """``1.1`` or ``1.0``."""
    head_sent: bool
    """Whether the final head is written."""
    bytes_sent: int
    """Bytes of the response's body so far, without what frames them."""
    is_paused: bool
    """Whether the client does not keep up: produce no more until the exchange's ``resume_response`` is called."""

    def make_last(self) -> None:
        """Have the connection serve no other request behind this one; has no effect behind the head."""

    def interim(self, status: int, reason: str, block: bytes) -> None:
        """Write a 1xx head, unless the client's version has none (RFC 9110 section 15.2) or the final head is sent."""

    def send_continue(self) -> None:
        """Write 100 Continue."""

    def relay(
        self, head: ResponseHead, added: bytes, id_line: bytes, body: bytes, complete: bool, trailers: bytes = b""
    ) -> None:
        """Write an upstream's head as it came, with the part of the body that is there.

        :param added: lines that go behind those of the head, none of which the writer writes itself.
        :param id_line: X-Request-Id as a line and the empty line that ends the head.
        :param complete: whether ``body`` is all of it.
        :param trailers: what completes it behind the body; as `end`.
        """

    def start(
        self,
        status: int,
        reason: str,
        block: bytes,
        length: int | None,
        id_line: bytes,
        body: bytes = b"",
        complete: bool = False,
    ) -> None:
        """Write a head that was made or changed here, and the part of the body that is there.

        :param block: without fields that the writer writes itself (see `response_framing.own_block`).
        :param length: bytes of the whole body; for HEAD and 304 what it would be; None if it is not known.
        :raises ValueError: a hook left what is no final status, or a reason that is no field value; nothing is written.
        """

    def whole(self, head: bytes, id_line: bytes, body: bytes) -> bool:
        """Write a whole response whose head was made before, for HTTP/1.1 on a connection that goes on.

        :param head: status line and fields, those that frame the body included.
        :returns: False, with nothing written, if the request or its connection needs another head: use `start`.
        """

    def data(self, data: bytes | memoryview) -> None:
        """Write the next part of the body."""

    def sink(self) -> asyncio.Transport | None:
        """Return the connection if the body's bytes are those on the wire, and nothing waits to be written."""

    def passed(self, size: int, waiting: int) -> None:
        """Count bytes of the body that go to `sink`; ``waiting`` are those that the client does not take at present."""

    def end(self, trailers: bytes = b"") -> None:
        """Complete the body.

        :param trailers: a block; left out where the framing or the client has no place for them.
        """

    def finish(self, now: float, /) -> None:
        """Give the connection back: the exchange is over, its response or its tunnel complete.

        :param now: monotonic seconds.
        """

    def cut(self, *, flush: bool) -> None:
        """End the connection within a response, so that the client sees that it is cut off.

        :param flush: whether what is written already is sent first.
        """

    def switch(self, status: int, reason: str, block: bytes, protocol: bytes) -> TunnelEnd:
        """Write a 101 and return the client's end of the byte stream that follows.

        The bytes that the client sent behind its request's head are in it: no one else has read them.
        """

    def pause_request(self) -> None:
        """Read no more of the request's body for now."""

    def resume_request(self) -> None:
        """Go on reading the request's body."""


def cut_off(writer: ResponseWriter, head: RequestHead, reason: str, *, flush: bool) -> GrpcCode | None:
    """End a response whose head is written, so that its client sees that it is not complete.

    :param head: of the request.
    :param reason: why, a code of `gateway_core.reasons`.
    :param flush: see `ResponseWriter.cut`.
    :returns: the status in its trailers, for a call of gRPC that is over for a reason of the gateway's.
    """
    code = code_within(head, reason)
    if code is None:
        writer.cut(flush=flush)
    else:
        writer.end(status_trailers(code, REASONS[reason][1]))
    return code
