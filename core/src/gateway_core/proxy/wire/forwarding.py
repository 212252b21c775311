"""The fields that tell an upstream where a request came from (RFC 7239, RFC 9110 section 7.6.3).

What came in is believed only if the peer is a trusted proxy; otherwise it is replaced, so that an upstream may take the
leftmost address for the client's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, cast

from gateway_core.proxy.wire.fields import list_members
from gateway_core.proxy.wire.request_head import RequestFacts

if TYPE_CHECKING:
    from gateway_core.messages.request import Peer

VIA: Final = b"1.1 gateway"
_SCHEMES: Final = frozenset({"http", "https", "ws", "wss"})
_MOST_ID: Final = 128
_MOST_ROUNDS: Final = 8
"""Gateways of ours in a row at most: more is a loop, since all of them go by one name."""
_ID_BYTES: Final = b"-._~+/=:@ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


class Origin:
    """Where a connection's requests come from, and the fields that say so; one per connection and header block."""

    __slots__ = ("client_ip", "config_version", "goes_round", "peer", "peer_ip", "request_id", "scheme", "tail")

    def __init__(self, client_ip: str, peer_ip: str, scheme: str, request_id: str, tail: bytes) -> None:
        self.client_ip = client_ip
        self.peer_ip = peer_ip
        self.peer: Peer = cast("Peer", None)
        self.config_version = ""
        self.scheme = scheme
        self.request_id = request_id
        """The id that a trusted proxy gave; empty if there is none."""
        self.goes_round = False
        """Whether it was here so often that it will not stop coming (RFC 9110 section 7.6.3)."""
        self.tail = tail
        """The block of the forwarding fields, X-Request-Id left out."""


def origin_of(facts: RequestFacts, peer_ip: str, scheme: str, port: int, trusts: Callable[[str], bool]) -> Origin:
    """Return whom a request comes from and the forwarding fields that go upstream.

    :param peer_ip: address of the connection's other end; empty for a unix socket, which counts as ``unknown``.
    :param scheme: scheme of the connection.
    :param port: port that the connection came in at; 0 for a unix socket.
    :param trusts: whether an address is a trusted proxy's.
    """
    given = facts.forwarding if peer_ip and trusts(peer_ip) else {}
    peer = peer_ip.encode() or b"unknown"
    before = given.get(b"x-forwarded-for", b"")
    proto = given.get(b"x-forwarded-proto", b"").lower().decode("latin-1")
    if proto not in _SCHEMES:
        proto = scheme
    host = given.get(b"x-forwarded-host") or facts.host.encode("latin-1")
    default_port = str(port).encode() if port else b""
    via = facts.forwarding.get(b"via")
    lines = [
        b"\r\nX-Forwarded-For: " + (before + b", " + peer if before else peer),
        b"\r\nX-Forwarded-Proto: " + proto.encode(),
        b"\r\nX-Forwarded-Host: " + host if host else b"",
        b"\r\nX-Forwarded-Port: " + (given.get(b"x-forwarded-port") or default_port) if port else b"",
        b"\r\nForwarded: " + _forwarded(given.get(b"forwarded"), peer, host, proto),
        b"\r\nVia: " + (via + b", " + VIA if via else VIA),
    ]
    origin = Origin(_client_ip(before, peer_ip, trusts), peer_ip, proto, _given_id(given), b"".join(lines))
    origin.goes_round = via is not None and list_members([via]).count(VIA) >= _MOST_ROUNDS
    return origin


def _client_ip(forwarded_for: bytes, peer_ip: str, trusts: Callable[[str], bool]) -> str:
    """Return the rightmost address that is not a trusted proxy's; the leftmost if all are."""
    client = peer_ip
    for address in reversed(forwarded_for.decode("latin-1").split(",")):
        text = address.strip()
        if not text:
            break
        client = text
        if not trusts(text):
            break
    return client


def _forwarded(given: bytes | None, peer: bytes, host: bytes, proto: str) -> bytes:
    address = b'"[%b]"' % peer if b":" in peer else peer
    element = b"for=%b;proto=%b" % (address, proto.encode())
    if host:
        element += b';host="%b"' % host.replace(b"\\", b"").replace(b'"', b"")
    return given + b", " + element if given else element


def _given_id(given: dict[bytes, bytes]) -> str:
    value = given.get(b"x-request-id", b"")
    return value.decode("latin-1") if 0 < len(value) <= _MOST_ID and not value.translate(None, _ID_BYTES) else ""
