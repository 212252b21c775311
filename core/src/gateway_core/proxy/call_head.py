"""The heads of requests that the gateway makes itself."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from gateway_core.proxy.attempt_owner import PreparedRequest
from gateway_core.proxy.request_body import RequestBody
from gateway_core.proxy.wire.request_head import HEAD_ONLY, IN_CHUNKS
from gateway_core.upstreams.endpoint import Endpoint


class HeadMaker(Protocol):
    """Makes the head of a call for each endpoint."""

    @property
    def method(self) -> str: ...

    def head_for(self, endpoint: Endpoint, body: RequestBody | None) -> PreparedRequest:
        """Return the head, and the flags of `UpstreamConnection.send`.

        :raises UpstreamError: it cannot be sent.
        """


class CallHead(NamedTuple):
    """The head of a request that the gateway made."""

    method: str
    target: str
    """Path and query, as they go on the wire."""
    block: bytes = b""
    """Fields, each line with a CRLF before it; without Host and those that frame the body."""
    host: bytes = b""
    """The value of Host if it is not the endpoint's authority."""

    def head_for(self, endpoint: Endpoint, body: RequestBody | None) -> PreparedRequest:
        flags, framing = HEAD_ONLY if self.method == "HEAD" else 0, b""
        if body is not None and body.is_complete:
            framing = b"\r\nContent-Length: %d" % body.received
        elif body is not None:
            framing = b"\r\nTransfer-Encoding: chunked"
            flags |= IN_CHUNKS
        line = f"{self.method} {self.target} HTTP/1.1\r\nHost: ".encode("latin-1")
        host = self.host or endpoint.authority
        return b"".join((line, host, self.block, framing, b"\r\n\r\n")), flags
