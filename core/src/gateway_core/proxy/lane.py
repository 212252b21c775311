"""What the pipeline asks of a lane: the client's side of one connection."""

from __future__ import annotations

import asyncio
import socket
from copy import copy
from typing import TYPE_CHECKING, Final, Protocol

from gateway_core.errors import BadPathError
from gateway_core.messages import Request, TlsInfo
from gateway_core.messages.path import is_plain_path
from gateway_core.messages.request import request_block
from gateway_core.proxy.upstream.bound_connections import BoundConnections
from gateway_core.proxy.upstream.connection import BINDS, HEAD_ONLY, IN_CHUNKS, MAY_SWITCH
from gateway_core.proxy.wire.forwarding import Arrived, Origin, believed_facts, origin_of
from gateway_core.proxy.wire.request_head import RequestFacts, read_request_block
from gateway_core.routing import Match

if TYPE_CHECKING:
    import ssl

    from gateway_core.messages.fields import FieldNames
    from gateway_core.proxy.downstream.accepted import AcceptedConnection
    from gateway_core.proxy.service import Proxy
    from gateway_core.proxy.upstream.connection import UpstreamConnection
    from gateway_core.snapshot import CompiledRoute, Snapshot, Trust


LINGER: Final = 2.0
"""Seconds that a connection is kept after a last answer that the client may not expect to be the last: closing while it
still sends would be a reset, which may destroy the answer on its way (RFC 9112 section 9.6)."""

FRESH_GRACE: Final = 0.5
"""Seconds that a connection without a request yet is kept when the gateway drains."""


class HeadMemo:
    """What a request's head means on one connection; clients repeat theirs, so the last one is remembered.

    The fields stand for every request with the same block, the request line for the very same request again. A memo
    belongs to one snapshot: lanes forget theirs when another takes its place, so that idle connections keep nothing.
    """

    __slots__ = (
        "after",
        "before",
        "facts",
        "flags",
        "found",
        "host",
        "is_usual",
        "line",
        "method",
        "origin",
        "path",
        "path_flags",
        "query_string",
        "raw_path",
        "refusal",
        "sent_by",
        "size",
        "snapshot",
        "tail",
        "target",
        "unreserved",
        "version",
        "whole",
    )

    def __init__(self, facts: RequestFacts, peer: Peer, snapshot: Snapshot) -> None:
        self.facts = facts = peer.believed(facts, snapshot)
        """What the head says, as far as its sender may say it."""
        self.snapshot = snapshot
        self.origin = peer.origin_for(facts, snapshot)
        self.tail = facts.kept + self.origin.tail
        """The fields that go upstream behind Host."""
        self.unreserved: FieldNames | None = None
        """What finds reserved fields, none of which the head has."""
        self.is_usual = False
        """Whether an answer of known length needs nothing said but that: its client keeps the connection."""

    def drop_reserved(self, request: Request, reserved: FieldNames | None) -> None:
        """Remove the fields that only a chain's bindings may set; that a head has none is remembered."""
        facts = self.facts
        if reserved is None:
            return
        if request_block(request) is not facts.block:
            request.headers.remove_any(reserved)
        elif self.unreserved is not reserved:
            if reserved.are_in(facts.lowered, facts.has_odd_names):
                request.headers.remove_any(reserved)
            else:
                self.unreserved = reserved

    def read_line(self, method: str, target: str, line: bytes = b"", version: str = "1.1") -> None:
        """Take note of the request line.

        :param line: the line itself, without its CRLF, if it is HTTP/1.1 and may go upstream as it is.
        """
        facts = self.facts
        self.line = line
        self.version = version
        self.method = method
        self.target = target
        self.raw_path, _, self.query_string = target.partition("?")
        self.path = self.raw_path
        self.path_flags = 0
        self.whole = b"%b%b\r\n\r\n" % (line, facts.raw)
        """The head as it came; a request that begins with it means the same."""
        self.size = len(self.whole)
        self.refusal: tuple[int, str] | None = None
        """Status and reason if the request is not to be routed at all."""
        if self.snapshot.path_policy.folds_case or self.origin.goes_round or not is_plain_path(self.raw_path):
            self.refusal = self._read_path()
        self.found: Match[CompiledRoute] | None = None
        """The route, once it was found from the head alone."""
        self.before = self.host = self.after = b""
        """The head as it goes upstream by the route ``sent_by``: before the authority, that if it is always the same,
        and behind it up to the last field."""
        self.sent_by: CompiledRoute | None = None
        self.flags = self._flags(method)
        """What the upstream's connection has to know of the request."""
        self.is_usual = facts.keep_alive and method != "HEAD" and version == "1.1"

    def _flags(self, method: str) -> int:
        facts = self.facts
        return (
            (HEAD_ONLY if method == "HEAD" else 0)
            | (IN_CHUNKS if facts.chunked else 0)
            | (MAY_SWITCH if facts.upgrade is not None else 0)
            | (BINDS if facts.binds else 0)
        )

    def sent_as(self, method: str) -> HeadMemo:
        """Return a memo for one request that a hook gave another method; what is the client's stays."""
        other = copy(self)
        other.flags = self._flags(method)
        other.is_usual = False
        return other

    def _read_path(self) -> tuple[int, str] | None:
        """Read a path that may not be its own match path; return status and reason if the request is refused."""
        if self.origin.goes_round:
            return 508, "the request has come round to this gateway again and again"
        try:
            self.path, self.path_flags = self.snapshot.path_policy.read(self.raw_path)
        except BadPathError as error:
            return 400, str(error)
        return None

    def request(self, request_id: str, started: float, version: str = "1.1") -> Request:
        """Return a new request with this head."""
        return Request.for_head(self, self.origin, request_id, started, version)


class Peer:
    """Who a connection comes from, and where it came in."""

    __slots__ = (
        "_arrived",
        "_is_trusted",
        "_listener",
        "_origin",
        "_origin_host",
        "_trust",
        "_trust_version",
        "bound",
        "ip",
        "is_unix",
        "local_port",
        "port",
        "scheme",
        "tls",
    )

    def __init__(
        self, transport: asyncio.BaseTransport, listener: str = "", accepted: AcceptedConnection | None = None
    ) -> None:
        address, local = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        # Not by the missing address: a TCP connection that was reset at once has none either.
        self.is_unix = getattr(transport.get_extra_info("socket"), "family", None) == socket.AF_UNIX
        if accepted is not None and accepted.source is not None:  # by a header of the PROXY protocol
            address, local, self.is_unix = accepted.source, accepted.destination, False
        self.ip = plain_ip(address[0]) if isinstance(address, tuple) else ""
        """Empty for a unix socket."""
        self.port: int = address[1] if isinstance(address, tuple) else 0
        self.local_port: int = local[1] if isinstance(local, tuple) else 0
        secure = transport.get_extra_info("ssl_object")
        self.scheme = "http" if secure is None else "https"
        self.tls: TlsInfo | None = None if secure is None else _tls_of(transport, secure)
        self.bound: BoundConnections | None = None
        """The upstream connections that belong to this one."""
        self._arrived = Arrived(self.ip, self.scheme, self.local_port, self.is_unix)
        self._listener = listener
        self._trust: Trust | None = None
        self._trust_version = ""
        self._is_trusted = False
        self._origin: Origin | None = None
        self._origin_host = ""

    def trust_in(self, snapshot: Snapshot) -> Trust:
        """Return what the listener believes by a configuration; looked up once for each.

        A listener that the configuration has no more keeps what it had: its connections go on.
        """
        trust = self._trust
        if trust is None or self._trust_version is not snapshot.version:
            trust = self._trust = snapshot.trusts.get(self._listener) or trust or snapshot.trust
            self._trust_version = snapshot.version
            self._is_trusted = trust.believes(self.ip, is_unix=self.is_unix)
        return trust

    def is_trusted_in(self, snapshot: Snapshot) -> bool:
        """Return whether the peer is a trusted proxy by a configuration."""
        if self._trust is None or self._trust_version is not snapshot.version:
            self.trust_in(snapshot)
        return self._is_trusted

    def believed(self, facts: RequestFacts, snapshot: Snapshot) -> RequestFacts:
        """Return a head without the fields that this peer may not send."""
        trust = self._trust
        if trust is None or self._trust_version is not snapshot.version:
            trust = self.trust_in(snapshot)
        if facts.is_silent and not trust.looks_at_names:
            return facts
        return believed_facts(facts, trust, is_trusted=self._is_trusted)

    def origin_for(self, facts: RequestFacts, snapshot: Snapshot) -> Origin:
        """Return where a request comes from: the same as the last one if it says nothing of proxies before us."""
        origin = self._origin
        if (
            origin is not None
            and facts.is_silent
            and facts.host == self._origin_host
            and origin.config_version is snapshot.version
        ):
            return origin
        trust = self.trust_in(snapshot)
        origin = origin_of(facts, self._arrived, trust, is_trusted=self._is_trusted)
        origin.peer = self
        origin.config_version = snapshot.version
        origin.read_path = snapshot.path_policy.read
        if facts.is_silent and not (self._is_trusted and trust.header):
            self._origin, self._origin_host = origin, facts.host
        return origin

    def close_bound(self) -> None:
        """Close the upstream connections that belong to this one, which has ended."""
        if self.bound is not None:
            self.bound.close()

    def forget_origin(self) -> None:
        """Keep nothing of the last request."""
        self._origin = None


def _tls_of(transport: asyncio.BaseTransport, tls: ssl.SSLObject) -> TlsInfo:
    cipher, certificate = tls.cipher(), transport.get_extra_info("peercert")
    return TlsInfo(tls.version() or "", "" if cipher is None else cipher[0], certificate or None)


def plain_ip(address: str) -> str:
    """Return an address without an IPv6 zone, and an IPv4 one that came mapped into IPv6 as IPv4."""
    address = address.partition("%")[0]
    return address[7:] if address.startswith("::ffff:") and "." in address else address


def plain_memo(block: bytes, peer: Peer, snapshot: Snapshot) -> HeadMemo | None:
    """Return what a header block means, or None if the request is not for the fast lane."""
    limits = snapshot.limits
    if len(block) > limits.max_head_bytes or block.count(b"\r\n") > limits.max_headers:
        return None
    facts = read_request_block(block, is_trusted=peer.is_trusted_in(snapshot))
    if facts is None or not facts.is_plain or (facts.upgrade is not None and facts.content_length > 0):
        return None
    return HeadMemo(facts, peer, snapshot)


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
