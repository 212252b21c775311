"""Who a client is, where it came in and what it may say of itself, from the moment that it is accepted."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Hashable
from typing import Final

from gateway_core.config import ListenConfig
from gateway_core.messages import TlsInfo
from gateway_core.messages.headers import block_of, headers_of_block
from gateway_core.proxy.upstream.connection import UpstreamConnection
from gateway_core.proxy.upstream.pool import BoundConnections
from gateway_core.proxy.wire.field_names import request_trailers
from gateway_core.proxy.wire.forwarding import Arrived, Origin, origin_of
from gateway_core.proxy.wire.request_fields import RequestFacts, facts_of_refused
from gateway_core.proxy.wire.request_head import HeadProblem, RequestHead
from gateway_core.proxy.wire.untrusted import LOOP_FIELDS
from gateway_core.proxy_protocol import Address
from gateway_core.reasons import MISDIRECTED, NO_ROUTE
from gateway_core.routing import Refusal, Router
from gateway_core.snapshot import CompiledRoute, Snapshot, Trust
from gateway_core.snapshot.listeners import CompiledListener, client_auth_of
from gateway_core.upstreams.endpoint import Endpoint

_REFUSALS: Final = {
    Refusal.NO_LISTENER: (404, NO_ROUTE, "no listener of the address serves the host"),
    Refusal.MISDIRECTED: (421, MISDIRECTED, "the connection began with a listener of other client authentication"),
}
_NOT_COVERED: Final = 421, MISDIRECTED, "the host is neither the server name of TLS nor on its certificate"
"""Browsers use one connection of HTTP/2 for all names of its certificate (RFC 9113 section 9.1.1)."""


class AcceptedConnection:
    """Where a connection came in, who it is from, and its place in the limits.

    An acceptor makes it, `Proxy.reserve` counts it, and the connection's protocol takes the place over once TLS and a
    header of the PROXY protocol are read.
    """

    __slots__ = ("address", "covers", "destination", "ip", "is_anonymous", "is_counted", "listener", "source")

    def __init__(self, address: str, ip: str | None) -> None:
        """Describe a connection as the socket shows it.

        :param address: that of the listeners, as configured.
        :param ip: of the other end; None if that has none that distinguishes clients: a unix socket, or a load balancer
            whose header is still to come.
        """
        self.address = address
        self.ip = ip or ""
        """The client's address, as it is counted."""
        self.is_anonymous = ip is None
        """Whether the client has no address that distinguishes it from others."""
        self.is_counted = False
        """Whether it has a place in the limits that no protocol has taken over."""
        self.listener: ListenConfig | None = None
        """The listener with whose settings TLS began; None without TLS."""
        self.covers: Callable[[str], bool] | None = None
        """Whether a Host is the name that the client asked for in its TLS handshake, or on the certificate that it was
        shown; None if it asked for no name."""
        self.source: tuple[str, int] | None = None
        """Address and port of the client by a header of the PROXY protocol: it is the peer, not the socket's."""
        self.destination: tuple[str, int] | None = None
        """Address and port that the client connected to, by the same header."""

    def identify(self, ip: str | None) -> None:
        """Take the client's address from a header of the PROXY protocol; None if it has none."""
        self.ip, self.is_anonymous = plain_ip(ip or ""), ip is None

    def hold_place(self, is_counted: bool) -> None:
        """Note whether it has a place in the limits."""
        self.is_counted = is_counted


class Client:
    """The other end of one connection.

    What a configuration believes of it is looked up once for each configuration.
    """

    __slots__ = (
        "__dict__",
        "_address",
        "_arrived",
        "_believes_names",
        "_covers",
        "_is_alone",
        "_is_trusted",
        "_listener",
        "_local",
        "_may_be_trusted",
        "_origin",
        "_origin_host",
        "_router",
        "_secured",
        "_trust",
        "_trust_version",
        "bound",
        "ip",
        "is_unix",
        "local_port",
        "port",
        "scheme",
    )

    # What few connections have, and no request asks for, has its default here.
    _tls: TlsInfo | None = None
    _client_auth: Hashable = None  # with which the TLS handshake was made
    # Of the configuration that was taken over last, see `_adopt`:
    _is_alone: bool  # no other listener shares the address
    _may_be_trusted: bool
    _is_trusted: bool
    _believes_names: bool  # no field is looked for by its name

    def __init__(
        self, transport: asyncio.BaseTransport, listener: str = "", accepted: AcceptedConnection | None = None
    ) -> None:
        """Read the addresses of a connection.

        :param listener: the address of the listeners, by which a configuration knows them.
        :param accepted: what its acceptor knows of it; None if the event loop accepted it.
        """
        info = transport.get_extra_info
        address, local = info("peername"), info("sockname")
        if accepted is not None and accepted.source is not None:  # by a header of the PROXY protocol
            address, local = accepted.source, accepted.destination
        self._address, self._local = address, local
        if isinstance(address, tuple):
            self.is_unix = False
            self.ip, self.port = address[0], address[1]
            """Empty and 0 for a unix socket."""
            if ":" in self.ip:
                self.ip = plain_ip(self.ip)
        else:
            # By the missing address alone it cannot be known: a TCP connection that was reset at once has none either.
            self.is_unix = getattr(info("socket"), "family", None) == socket.AF_UNIX
            self.ip, self.port = "", 0
        self.local_port: int = local[1] if isinstance(local, tuple) else 0
        self._secured = None if info("ssl_object") is None else transport
        self.scheme = "http" if self._secured is None else "https"
        self.bound: BoundConnections | None = None
        """The upstream connections that belong to this one."""
        self._arrived = Arrived(self.ip, self.scheme, self.local_port, self.is_unix)
        self._listener = listener
        self._covers: Callable[[str], bool] | None = None
        if accepted is not None:
            self._covers = accepted.covers
            began = None if accepted.listener is None else accepted.listener.tls
            if began is not None and began.client_ca:  # without authorities no certificate is asked for
                self._client_auth = client_auth_of(began)
        self._trust: Trust | None = None
        self._trust_version = ""  # of the configuration that `_adopt` took over
        self._router: Router[CompiledRoute] | None = None
        self._origin: Origin | None = None
        self._origin_host = ""

    @property
    def tls(self) -> TlsInfo | None:
        """What its TLS handshake has shown; None without TLS. Read on demand: most requests never ask."""
        if self._tls is None and self._secured is not None:
            self._tls = _tls_of(self._secured)
        return self._tls

    @property
    def source(self) -> Address | None:
        """Address and port that it came from, by a PROXY header if there was one; None for a unix socket."""
        return self._address[:2] if isinstance(self._address, tuple) else None

    @property
    def destination(self) -> Address | None:
        """Address and port that it came in at."""
        return self._local[:2] if isinstance(self._local, tuple) else None

    def listener_in(self, snapshot: Snapshot, host: str) -> CompiledListener | Refusal:
        """Return the listener that takes a request of this client, or why none does.

        :param host: the Host of the request.
        """
        return snapshot.listener_for(self._listener, host, self._client_auth)

    def may_begin_http2_in(self, snapshot: Snapshot) -> bool:
        """Return whether a listener of the client's address speaks HTTP/2 with who begins with it; behind TLS it has to
        be chosen before (RFC 9113 section 3.2).
        """
        if self._secured is not None:
            return False
        table = snapshot.listeners.get(self._listener)
        # A listener that is no more keeps what it had.
        return table is None or any(rule.payload.config.http2 for rule in table.rules)

    def go_on_with_http2(self) -> None:
        """Note that all requests come over HTTP/2."""
        self._arrived = self._arrived._replace(is_http2=True)
        self._origin = None

    @property
    def chose_http2(self) -> bool:
        """Whether the TLS handshake ended with HTTP/2."""
        return self._secured is not None and self._secured.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"

    def router_in(self, snapshot: Snapshot, host: str) -> Router[CompiledRoute]:
        """Return the routes that a request of this client may take; looked up once where the listener is alone."""
        is_same = self._trust_version is snapshot.version and self._is_alone
        if is_same and self._router is not None:
            return self._router
        listener = self.listener_in(snapshot, host)
        router = snapshot.router if isinstance(listener, Refusal) else listener.router
        if is_same:
            self._router = router
        return router

    def trust_in(self, snapshot: Snapshot, host: str) -> Trust:
        """Return what the listener believes by a configuration; looked up once for each where it is alone.

        A listener that the configuration has no more keeps what it had: its connections go on.
        """
        if self._trust_version is not snapshot.version:
            self._adopt(snapshot)
        if not self._is_alone:
            listener = self.listener_in(snapshot, host)
            self._use(snapshot.trust if isinstance(listener, Refusal) else listener.trust)
        assert self._trust is not None
        return self._trust

    def _adopt(self, snapshot: Snapshot) -> None:
        table = snapshot.listeners.get(self._listener)
        self._trust_version = snapshot.version
        if table is not None and table.only is not None:
            self._is_alone, self._router = True, table.only.router
            self._use(table.only.trust)
            self._may_be_trusted = self._is_trusted
            return
        self._is_alone, self._router = table is None, None
        trusts = [self._trust or snapshot.trust] if table is None else [rule.payload.trust for rule in table.rules]
        self._use(trusts[0])
        self._may_be_trusted = any(trust.believes(self.ip, is_unix=self.is_unix) for trust in trusts)

    def _use(self, trust: Trust) -> None:
        if trust is not self._trust:
            self._trust = trust
            self._is_trusted = trust.has_trusted_peers and trust.believes(self.ip, is_unix=self.is_unix)
            self._believes_names = not trust.looks_at_names

    def is_trusted_in(self, snapshot: Snapshot) -> bool:
        """Return whether the peer is a trusted proxy of any listener of its address by a configuration."""
        if self._trust_version is not snapshot.version:
            self._adopt(snapshot)
        return self._may_be_trusted

    # -- heads

    def place(self, head: RequestHead, snapshot: Snapshot) -> None:
        """Say what a head that was just read means when this client sends it."""
        facts, trust = head.facts, self._trust
        if trust is None or not self._is_alone or self._trust_version is not snapshot.version:
            trust = self.trust_in(snapshot, facts.host)
        if trust.looks_at_names or not (facts.is_silent or self._is_trusted):
            facts = believed_facts(facts, trust, is_trusted=self._is_trusted)
        refusal = None
        if not self._is_alone and isinstance(found := self.listener_in(snapshot, facts.host), Refusal):
            refusal = _REFUSALS[found]
        if self._origin is None and facts.is_silent and not self._is_trusted:  # the first request of most connections
            origin = Origin(facts, self._arrived, trust, None, self, snapshot.version, snapshot.path_policy.read)
            self._origin, self._origin_host = origin, facts.host
        else:
            origin = self._origin_for(facts, snapshot, trust)
        if refusal is None and self._covers is not None and self._arrived.is_http2 and not self._covers(facts.host):
            refusal, self._origin = _NOT_COVERED, None  # the next head with this Host is looked at as well
        head.place(origin, snapshot.path_policy, refusal)

    def usual_origin(self, snapshot: Snapshot) -> tuple[Origin | None, str]:
        """Return where requests come from that say nothing of it, and the host for which that is so.

        There is none if something else distinguishes them: another listener, fields of the configuration's.
        """
        origin = self._origin
        is_usual = origin is not None and origin.config_version is self._trust_version is snapshot.version
        return (origin if is_usual and self._is_alone and self._believes_names else None), self._origin_host

    def refused(self, problem: HeadProblem, snapshot: Snapshot) -> RequestHead:
        """Return a head of which only a part could be read, for the log."""
        facts = facts_of_refused(problem.block, is_trusted=self.is_trusted_in(snapshot))
        path, _, query = problem.target.partition("?")
        head = RequestHead(problem.method, problem.target, path, query, facts, b"", 0)
        self.place(head, snapshot)
        return head

    def trailers(self, block: bytes, origin: Origin | None = None) -> bytes:
        """Return the trailer fields of a request that this client may send.

        :param block: fields that may be trailers at all (`ChunkDecoder.trailer`).
        :param origin: that of the request, which may be for another listener than the last one; the last one's if None.
        """
        trust, is_trusted = (self._trust, self._is_trusted) if origin is None else (origin.trust, origin.is_trusted)
        if not block or trust is None:
            return b""
        headers = headers_of_block(request_trailers(block, is_trusted=is_trusted))
        for lines in (trust.stripped, trust.reserved):
            if lines is not None:
                headers.remove_any(lines)
        return block_of(headers)

    def _origin_for(self, facts: RequestFacts, snapshot: Snapshot, trust: Trust) -> Origin:
        """Return where a request comes from: the same as the last one if it says nothing of proxies before us."""
        origin = self._origin
        if (
            origin is not None
            and facts.is_silent
            and facts.host == self._origin_host
            and origin.config_version is snapshot.version
        ):
            return origin
        origin = origin_of(
            facts,
            self._arrived,
            trust,
            is_trusted=self._is_trusted,
            peer=self,
            config_version=snapshot.version,
            read_path=snapshot.path_policy.read,
        )
        if facts.is_silent and not (self._is_trusted and trust.header):
            self._origin, self._origin_host = origin, facts.host
        return origin

    @property
    def remembers(self) -> bool:
        """Whether it keeps something of a configuration that is large, or of the last request."""
        return self._origin is not None or self._router is not None

    def forget(self) -> None:
        """Keep nothing of the last request, and of a configuration only what is believed of this client by it.

        A connection may outlive any number of configurations: each one's routes would be kept by a stream.
        """
        self._origin = self._router = None

    # -- upstream connections that belong to this client

    def keep_bound(self, endpoint: Endpoint, connection: UpstreamConnection) -> None:
        """Keep an upstream's connection, which knows its user, for this client alone."""
        if self.bound is None:
            self.bound = BoundConnections()
        self.bound.keep(endpoint, connection)


def believed_facts(facts: RequestFacts, trust: Trust, *, is_trusted: bool) -> RequestFacts:
    """Return a head without stripped fields, and without untrusted fields unless a trusted proxy sent it.

    :param facts: just read; it is changed.
    """
    unwanted: set[bytes] = set()
    lowered = facts.lowered if trust.looks_at_names else b""
    if trust.stripped is not None:
        unwanted.update(trust.stripped.pattern.findall(lowered))
    if trust.reserved is not None:
        found = trust.reserved.pattern.findall(lowered)
        # From a trusted proxy its own spelling counts; another one is its client's.
        unwanted.update(found if not is_trusted else [name for name in found if name != trust.header])
    if not is_trusted:
        unwanted.update(facts.claims)
        unwanted.update(name for name in facts.forwarding if name not in LOOP_FIELDS)
    if unwanted:
        facts.drop(unwanted)
    return facts


def _tls_of(transport: asyncio.BaseTransport) -> TlsInfo:
    tls: ssl.SSLObject = transport.get_extra_info("ssl_object")
    cipher, certificate = tls.cipher(), transport.get_extra_info("peercert")
    encoded = tls.getpeercert(binary_form=True) if certificate else None
    return TlsInfo(tls.version() or "", "" if cipher is None else cipher[0], certificate or None, encoded)


def plain_ip(address: str) -> str:
    """Return an address without an IPv6 zone, and an IPv4 one that came mapped into IPv6 as IPv4."""
    if ":" not in address:
        return address
    address = address.partition("%")[0]
    return address[7:] if address.startswith("::ffff:") and "." in address else address
