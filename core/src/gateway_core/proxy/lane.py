"""What the pipeline asks of a lane: the client's side of one connection."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

from gateway_core.proxy.wire.forwarding import Origin, origin_of
from gateway_core.proxy.wire.request_head import RequestFacts

if TYPE_CHECKING:
    from gateway_core.proxy.service import Proxy
    from gateway_core.proxy.upstream_connection import UpstreamConnection
    from gateway_core.snapshot import Snapshot


LINGER: Final = 2.0
"""Seconds that a connection is kept after a last answer that the client may not expect to be the last: closing while it
still sends would be a reset, which may destroy the answer on its way (RFC 9112 section 9.6)."""

FRESH_GRACE: Final = 0.5
"""Seconds that a connection without a request yet is kept when the gateway drains."""


class HeadMemo:
    """What a header block means on one connection; clients repeat theirs, so the last one is remembered."""

    __slots__ = ("ending", "facts", "origin", "tail", "version")

    def __init__(self, facts: RequestFacts, peer: Peer, snapshot: Snapshot) -> None:
        self.facts = facts
        self.ending = facts.block + b"\r\n\r\n"
        """The head behind its first line."""
        self.version = snapshot.version
        """The configuration it was made under; the snapshot itself must not live on in idle connections."""
        self.origin: Origin = origin_of(facts, peer.ip, peer.scheme, peer.local_port, snapshot.trusts)
        self.origin.tls_peer = peer.tls
        self.tail = facts.kept + self.origin.tail
        """The fields that go upstream behind Host."""


class Peer:
    """Who a connection comes from, and where it came in."""

    __slots__ = ("ip", "local_port", "scheme", "tls")

    def __init__(self, transport: asyncio.BaseTransport) -> None:
        address = transport.get_extra_info("peername")
        self.ip = plain_ip(address[0]) if isinstance(address, tuple) else ""
        """Empty for a unix socket."""
        local = transport.get_extra_info("sockname")
        self.local_port: int = local[1] if isinstance(local, tuple) else 0
        secure = transport.get_extra_info("ssl_object") is not None
        self.scheme = "https" if secure else "http"
        self.tls: Mapping[str, Any] | None = (transport.get_extra_info("peercert") or None) if secure else None
        """The verified client certificate."""


def plain_ip(address: str) -> str:
    """Return an address without an IPv6 zone, and an IPv4 one that came mapped into IPv6 as IPv4."""
    address = address.partition("%")[0]
    return address[7:] if address.startswith("::ffff:") and "." in address else address


class Lane(Protocol):
    """The client's side of a connection, as the pipeline sees it while a request is under way."""

    proxy: Proxy
    peer: Peer
    version: str
    """``1.1`` or ``1.0``, of the request under way."""

    def exchange_over(self, keep_alive: bool) -> None:
        """Take note that the answer is written; the connection may be used for the next request, or not."""

    def break_off(self, flush: bool) -> None:
        """Close the connection within an answer; ``flush`` sends first what is written already."""

    def pause_upload(self) -> None:
        """Read no more of the request's body for now."""

    def resume_upload(self) -> None:
        """Go on reading the request's body."""

    def open_tunnel(self, connection: UpstreamConnection, data: bytes) -> None:
        """Join the connection with an upstream's after 101; ``data`` came behind the upstream's head."""
