"""What a connection to an endpoint knows of others: the handler of its response, and the pool that made it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Any, Final, Protocol, TypeVar

from gateway_core.metrics.counts import EndpointCounts
from gateway_core.metrics.http2 import Http2Counts
from gateway_core.proxy.splice import BodySink
from gateway_core.proxy.upstream.http2_pings import PingRation
from gateway_core.proxy.wire.repairs import Leniency
from gateway_core.proxy.wire.response_head import ResponseHead

# `UpstreamConnection` itself, which imports this module.
Connection_contra = TypeVar("Connection_contra", contravariant=True)


MOST_INTERIM: Final = 16
"""Interim responses before a final one. A 100, a few sets of early hints and a 102 every half a minute need no more;
each one more has the gateway read a head and its client take one, and brings the response no nearer."""

MOST_UNSEEN: Final = 5
"""Times that a request is sent again because a connection was closed before the endpoint saw it. Servers that close
each connection after so many requests are common, and under load several connections are near their ends at once."""


class Failure(IntEnum):
    """Why an attempt ended without a complete response."""

    NONE = 0
    """There is none."""
    CONNECT = 1
    """No connection came about: nothing was sent."""
    RESET = 2
    """The connection ended before the first byte of a response."""
    TIMEOUT = 3
    BAD_RESPONSE = 4
    """What came is no response that has one reading."""
    TRUNCATED = 5
    """The connection ended within a response."""
    CONNECT_TIMEOUT = 6
    """No connection came about in time: nothing was sent."""
    LOCAL = 7
    """No connection could be made for want of descriptors, ports or memory here: the endpoint is not to blame."""
    STALE = 8
    """A connection that had served a request before sent what begins no response: bytes that a response before it was
    too long by. Nothing came of a response, and the sender decides as after `RESET`."""
    REFUSED = 9
    """The endpoint has not acted upon the request, and says so (HTTP/2): it may be sent again whatever its method."""
    UNSEEN = 10
    """The endpoint closes its connection, and has not acted upon the request either (GOAWAY): it refuses nothing, so
    the request may be sent again more than once (`MOST_UNSEEN`), as the next connection may be closed likewise."""


class ResponseHandler(Protocol[Connection_contra]):
    """Who sent a request over an upstream connection, and gets its response."""

    def on_interim(self, head: ResponseHead) -> None:
        """Called for each 1xx response that is not 101."""

    def on_response(self, head: ResponseHead, body: bytes, complete: bool) -> None:
        """Called with the final head and the part of the body that came with it."""

    def on_body(self, data: bytes | memoryview) -> None:
        """Called with the next part of the body; who keeps it makes bytes of it."""

    def sink(self) -> BodySink | None:
        """Return where the rest of the body goes as it comes; None if it is looked at, or must wait."""

    def on_end(self, trailer: bytes) -> None:
        """Called when the response is complete; ``trailer`` is a block of fields."""

    def on_switch(self, connection: Connection_contra, head: ResponseHead, data: bytes) -> None:
        """Take over the connection after 101; ``data`` came right behind it."""

    def on_failure(self, failure: Failure, detail: str) -> None:
        """Called when no complete response will come; the connection is gone."""

    def keep_bound(self, connection: Connection_contra) -> None:
        """Keep the connection for its client, or close it: the response is complete, and the pool must not have it."""

    def pause_upload(self) -> None:
        """Give no more of the request's body for now."""

    def resume_upload(self) -> None:
        """Go on with the request's body."""


class StreamHandler(Protocol):
    """Who sent a request over a stream of HTTP/2; like a `ResponseHandler`, of whom a stream needs no more."""

    @property
    def seconds_left(self) -> float:
        """How long the request may still take; infinite if there is no limit."""

    def on_interim(self, head: ResponseHead) -> None: ...
    def on_response(self, head: ResponseHead, body: bytes, complete: bool) -> None: ...
    def on_whole(self, head: ResponseHead, body: bytes, trailers: bytes) -> None:
        """Called in place of `on_response` and `on_end` where one read had head, body and trailers."""

    def on_body(self, data: bytes | memoryview) -> None: ...
    def on_end(self, trailer: bytes) -> None: ...
    def on_failure(self, failure: Failure, detail: str) -> None: ...
    def pause_upload(self) -> None: ...
    def resume_upload(self) -> None: ...


class Http2ConnectionOwner(Protocol):
    """The pool that made a connection of HTTP/2, as far as the connection knows it."""

    counts: EndpointCounts
    pings: PingRation
    http2: Http2Counts
    closed: bool
    """Whether the pool waits for the end of the last stream."""

    @property
    def waiting(self) -> Sequence[object]:
        """Requests that wait for a stream."""

    @property
    def max_head_bytes(self) -> int:
        """Bytes of a response's head at most."""

    def now(self) -> float:
        """Return monotonic seconds, as of the last sweep."""

    def connection_changed(self, connection: Any) -> None:
        """Called when a connection has room again, or is to be forgotten."""


class ConnectionOwner(Protocol[Connection_contra]):
    """The pool that made a connection, as far as the connection knows it."""

    closed: bool
    counts: EndpointCounts
    """Where bytes are counted."""
    last_head: ResponseHead | None
    """The last response's head: most responses of an endpoint within a second have the same."""
    hint_for_new: str
    """What to think of if a new connection is closed before any response; empty or in brackets."""
    leniency: Leniency
    """What is done with responses that are not valid to the letter."""
    tolerates_missing_close_notify: bool
    """Whether a TLS connection that ends without close_notify ends a body."""

    @property
    def max_head_bytes(self) -> int:
        """Bytes of a response's head at most, in the snapshot in force."""

    def remember(self, head: ResponseHead) -> None:
        """Recognise the next head like this one."""

    def give_back(self, connection: Connection_contra) -> None:
        """Keep a connection for the next request, or close it."""

    def forget(self, connection: Connection_contra) -> None:
        """Called when a connection is closed or has become a tunnel."""
