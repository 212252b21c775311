"""The fields that say to an upstream where a request came from (RFC 7239, RFC 9110 section 7.6.3).

What came in is believed only from a trusted proxy; fields of other peers were removed before (`believed_facts`), and is
replaced here. A trusted proxy speaks one of two languages: X-Forwarded-*, or Forwarded if it sent none of the first. A
proxy that writes X-Forwarded-* passes on what its client sent as Forwarded, so the two are never mixed.

Lists grow on the right: the last entry is what the peer itself saw. The client is the last entry that is not a trusted
proxy's, or the one that ``client_address`` names. Entries left of it are the client's own words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from gateway_core.messages.addresses import canonical_address, entries_from_right, read_forwarded
from gateway_core.messages.path import ReadPath, read_path
from gateway_core.messages.request_ids import id_line
from gateway_core.proxy.wire.fields import list_members, valid_host
from gateway_core.proxy.wire.request_fields import RequestFacts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gateway_core.messages.received import Peer
    from gateway_core.snapshot.listeners import Trust

_SCHEMES: Final = {"http": "http", "https": "https", "ws": "http", "wss": "https", "ssl": "https"}
_SWITCHES: Final = {"on": "https", "off": "http", "true": "https", "false": "http", "1": "https", "0": "http"}
_SCHEME_FIELDS: Final = (
    (b"x-forwarded-scheme", _SCHEMES),
    (b"x-forwarded-protocol", _SCHEMES),
    (b"x-forwarded-ssl", _SWITCHES),
    (b"front-end-https", _SWITCHES),
    (b"x-scheme", _SCHEMES),
    (b"x-url-scheme", _SCHEMES),
    (b"cloudfront-forwarded-proto", _SCHEMES),
    (b"fastly-ssl", _SWITCHES),
)
"""Where trusted proxies that send no X-Forwarded-Proto say the scheme; the first that is there counts."""

_DEFAULT_PORTS: Final = {"http": b"80", "https": b"443"}
_X_FORWARDED: Final = frozenset({b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"})
_MOST_PORT: Final = 65535
_MOST_ID: Final = 128
CDN_ID: Final = b"gateway"
"""Our entry of CDN-Loop."""
_MOST_ROUNDS: Final = 8
"""Entries of ours at most: more are a loop. Several gateways in a row may go by one name."""
_ID_BYTES: Final = b"-._~+/=:@ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


class Arrived(NamedTuple):
    """What the connection itself shows."""

    peer_ip: str
    """Address of the other end; empty for a unix socket, which counts as ``unknown``."""
    scheme: str
    port: int
    """The port that the connection came in at; 0 for a unix socket."""
    is_unix: bool = False
    is_http2: bool = False
    """Whether requests come over HTTP/2."""

    def via(self, own: bytes) -> bytes:
        """Return an entry of ours in Via with the protocol of the requests (RFC 9110 section 7.6.3).

        :param own: the entry for HTTP/1.1; empty if there is none.
        """
        return _via_2(own) if self.is_http2 and own else own


def _via_2(own: bytes) -> bytes:
    return b"2" + own[len(b"1.1") :]


class Origin:
    """Where a connection's requests come from, and the fields that say so; one per connection and header block."""

    __slots__ = (
        "_arrived",
        "_facts",
        "_lines",
        "client_ip",
        "config_version",
        "id_line",
        "is_loop",
        "is_trusted",
        "peer",
        "peer_ip",
        "read_path",
        "scheme",
        "tail",
        "trust",
    )

    def __init__(
        self,
        facts: RequestFacts,
        arrived: Arrived,
        trust: Trust,
        from_proxy: FromProxy | None,
        peer: Peer | None,
        config_version: str,
        read_path: ReadPath,
    ) -> None:
        """Describe where a request comes from.

        :param from_proxy: what a trusted proxy says; None if the peer is none.
        :param read_path: how paths are read under the configuration.
        """
        self._facts, self._arrived, self.trust = facts, arrived, trust
        self._lines = None if from_proxy is None else from_proxy[1]
        self.peer_ip = arrived.peer_ip
        self.client_ip, self.scheme = (arrived.peer_ip, arrived.scheme) if from_proxy is None else from_proxy[0][:2]
        self.peer: Peer = peer  # type: ignore[assignment]  # only heads without a connection have none
        self.config_version = config_version
        self.read_path = read_path
        self.id_line = b""
        """The request id that a trusted proxy gave, as the line that ends a head; empty if there is none."""
        self.is_trusted = from_proxy is not None
        """Whether the peer is a trusted proxy."""
        self.is_loop = False
        """Whether Via, or CDN-Loop, shows a loop (RFC 9110 section 7.6.3, RFC 8586)."""
        # The usual client needs no lines: nothing that it sent is among them, and plugins rarely write such fields.
        usual = _usual_tail(facts, arrived, trust) if from_proxy is None else from_proxy[2]
        self.tail = usual or b"".join([line for _, line in self.lines])
        """The block of the forwarding fields."""

    @property
    def lines(self) -> Sequence[tuple[bytes, bytes]]:
        """The forwarding fields by their lower-case names, X-Request-Id left out."""
        if self._lines is None:
            self._lines = _lines(
                self._facts, self._arrived, _Client(self.peer_ip, self.scheme), self._arrived.via(self.trust.via)
            )
        return self._lines

    def lines_for(self, given: dict[bytes, bytes]) -> Sequence[tuple[bytes, bytes]]:
        """Return the forwarding fields as if only these had come in."""
        return origin_of(
            self._facts.with_forwarding(given), self._arrived, self.trust, is_trusted=self.is_trusted
        ).lines


def origin_of(
    facts: RequestFacts,
    arrived: Arrived,
    trust: Trust,
    *,
    is_trusted: bool,
    peer: Peer | None = None,
    config_version: str = "",
    read_path: ReadPath = read_path,
) -> Origin:
    """Return whom a request comes from and the forwarding fields that go upstream.

    :param facts: the head without what is not believed (see `believed_facts`).
    :param peer: the other end of the connection; None without one.
    :param config_version: version of the configuration in force.
    :param read_path: how paths are read under it.
    """
    from_proxy = _from_proxy(facts, arrived, trust) if is_trusted else None
    origin = Origin(facts, arrived, trust, from_proxy, peer, config_version, read_path)
    if facts.forwarding:
        if is_trusted:
            given = facts.forwarding.get(b"x-request-id", b"")
            origin.id_line = id_line(given) if _is_id(given) else b""
        origin.is_loop = _is_loop(facts.forwarding, trust.via)
    return origin


def _usual_tail(facts: RequestFacts, arrived: Arrived, trust: Trust) -> bytes:
    """Return the block of `_lines` for a client on IPv4 that sent none of these fields; empty for any other."""
    peer, scheme, port, _, is_http2 = arrived
    host, via = facts.host, trust.via
    if facts.forwarding or not peer or ":" in peer or not host or not port:
        return b""
    fields = (
        f"\r\nX-Forwarded-For: {peer}\r\nX-Forwarded-Proto: {scheme}\r\nX-Forwarded-Host: {host}"
        f'\r\nX-Forwarded-Port: {port}\r\nForwarded: for={peer};proto={scheme};host="{host}"'
    )
    return fields.encode("latin-1") + (
        b"\r\nVia: " + (_via_2(via) if is_http2 else via) if via else b"\r\nCDN-Loop: " + CDN_ID
    )


def _is_loop(forwarding: Mapping[bytes, bytes], own_via: bytes) -> bool:
    """Return whether a request passed this gateway, or others of its name, too often to be on its way anywhere."""
    passed = forwarding.get(b"via" if own_via else b"cdn-loop")
    if passed is None:
        return False
    members = list_members([passed])
    if not own_via:  # an entry may have parameters (RFC 8586 section 2)
        return [member.partition(b";")[0].rstrip() for member in members].count(CDN_ID) >= _MOST_ROUNDS
    return members.count(own_via) + members.count(_via_2(own_via)) >= _MOST_ROUNDS


class _Client(NamedTuple):
    """What is believed of where a request came from."""

    client_ip: str
    scheme: str
    host: bytes = b""
    port: bytes = b""
    forwarded_for: bytes = b""
    """The chain so far, as X-Forwarded-For."""
    forwarded: bytes = b""
    """The chain so far, as Forwarded."""


FromProxy = tuple[_Client, list[tuple[bytes, bytes]], bytes]


def _lines(facts: RequestFacts, arrived: Arrived, client: _Client, own_via: bytes) -> list[tuple[bytes, bytes]]:
    """Return the forwarding fields by their lower-case names.

    :param own_via: our entry of Via; empty if there is none, and CDN-Loop has one instead.
    """
    peer = arrived.peer_ip.encode() or b"unknown"
    host = client.host or facts.host.encode("latin-1")
    port = client.port or (b"%d" % arrived.port if arrived.port else b"")
    element = b"for=%b;proto=%b" % (_node(arrived.peer_ip), client.scheme.encode())
    if host:
        element += b';host="%b"' % host  # nothing to escape: `valid_host` was asked
    via, loop = facts.forwarding.get(b"via", b""), facts.forwarding.get(b"cdn-loop", b"")
    if own_via:
        via = _appended(via, own_via)
    else:
        loop = _appended(loop, CDN_ID)
    lines = [
        (b"x-forwarded-for", b"\r\nX-Forwarded-For: " + _appended(client.forwarded_for, peer)),
        (b"x-forwarded-proto", b"\r\nX-Forwarded-Proto: " + client.scheme.encode()),
    ]
    if host:
        lines.append((b"x-forwarded-host", b"\r\nX-Forwarded-Host: " + host))
    if port:
        lines.append((b"x-forwarded-port", b"\r\nX-Forwarded-Port: " + port))
    lines.append((b"forwarded", b"\r\nForwarded: " + _appended(client.forwarded, element)))
    if via:
        lines.append((b"via", b"\r\nVia: " + via))
    if loop:
        lines.append((b"cdn-loop", b"\r\nCDN-Loop: " + loop))
    return lines


def _appended(chain: bytes, entry: bytes) -> bytes:
    return chain + b", " + entry if chain else entry


def _node(address: str) -> bytes:
    """Return an address as a node of Forwarded; empty is ``unknown`` (RFC 7239 section 6)."""
    return b'"[%b]"' % address.encode() if ":" in address else address.encode() or b"unknown"


# -- what a trusted proxy says

_MOST_KEPT: Final = 1024
_LONGEST_KEPT: Final = 4096
"""Bytes of a head at most whose meaning is remembered: with `_MOST_KEPT` they bound the memory."""


def _read_from_proxy(facts: RequestFacts, arrived: Arrived, trust: Trust) -> FromProxy:
    client = _client_of(facts, arrived, trust)
    lines = _lines(facts, arrived, client, arrived.via(trust.via))
    return client, lines, b"".join([line for _, line in lines])


def _from_proxy(facts: RequestFacts, arrived: Arrived, trust: Trust) -> FromProxy:
    """Return what a trusted proxy says of a request, and the fields to send: known if its client was there before."""
    forwarding = facts.forwarding
    reads_other_fields = trust.header or (facts.claims and b"x-forwarded-proto" not in forwarding)
    if reads_other_fields or len(facts.raw) > _LONGEST_KEPT:
        return _read_from_proxy(facts, arrived, trust)
    # All that `_client_of` and `_lines` look at; the request id, which is another one each time, is not among it.
    if b"x-request-id" in forwarding:
        forwarding = {name: value for name, value in forwarding.items() if name != b"x-request-id"}
    key = (facts.host, arrived, *forwarding.items())
    from_proxy: FromProxy | None = trust.memo.get(key)
    if from_proxy is None:
        from_proxy = _read_from_proxy(facts, arrived, trust)
        if len(trust.memo) >= _MOST_KEPT:
            trust.memo.clear()
        trust.memo[key] = from_proxy
    return from_proxy


def _client_of(facts: RequestFacts, arrived: Arrived, trust: Trust) -> _Client:
    given = {name: value.decode("latin-1") for name, value in facts.forwarding.items()}
    is_x = not _X_FORWARDED.isdisjoint(given)
    chain = given.get(b"x-forwarded-for", "")
    elements, is_whole = ([], False) if is_x else read_forwarded(given.get(b"forwarded", ""))
    if not chain:
        entries = [each.get("for", "") for each in elements]
    else:
        entries = list(entries_from_right(chain)) if "," in chain else [chain.strip(" \t")]
    addresses = [canonical_address(entry) for entry in entries]
    place = _place_of_client(addresses, trust)
    client_ip = _client_ip(facts, addresses, place, trust) or arrived.peer_ip
    element = elements[min(place, len(elements) - 1)] if elements else {}
    scheme, is_scheme_given = _scheme(facts, given, element, place, len(entries))
    host = _host(given, element, place, len(entries))
    scheme = scheme or arrived.scheme
    port = _port(given, place, len(entries))
    if not port and is_scheme_given:
        # Our own port would not go with the scheme of the proxy's.
        port = _port_of(host or facts.host.encode("latin-1")) or _DEFAULT_PORTS[scheme]
    forwarded_for = chain or ", ".join([address or "unknown" for address in reversed(addresses)])
    forwarded = given[b"forwarded"] if is_whole else _agreeing(given, addresses)
    return _Client(client_ip, scheme, host, port, forwarded_for.encode("latin-1"), forwarded.encode("latin-1"))


def _place_of_client(addresses: list[str | None], trust: Trust) -> int:
    """Return the client's place in a chain, counted from the right: the first that is not a trusted proxy's."""
    if trust.hops:
        return trust.hops - 1
    for place, address in enumerate(addresses):
        if address is None or not trust.is_trusted(address):
            return place
    return max(len(addresses) - 1, 0)


def _client_ip(facts: RequestFacts, addresses: list[str | None], place: int, trust: Trust) -> str | None:
    """Return the client's address; None if there is none, or it is no address."""
    if trust.header:
        values = _values(facts.raw, trust.header)
        return canonical_address(values[0].decode("latin-1")) if len(values) == 1 else None
    if trust.hops and b"x-forwarded-for" not in facts.forwarding:
        return None
    return addresses[place] if place < len(addresses) else None


def _values(block: bytes, name: bytes) -> list[bytes]:
    lines = [line.partition(b":") for line in block.split(b"\r\n")[1:]]
    return [value.strip(b" \t") for key, _, value in lines if key.lower() == name]


def _at_client(value: str, place: int, entries: int) -> str:
    """Return the member of a list that belongs to the client's hop.

    A list that has as many members as the chain of addresses grew with it. Any other is not a proxy's per hop, and its
    first member is what the first proxy saw.
    """
    if "," not in value:
        return value.strip(" \t")
    members = [member.strip(" \t") for member in value.split(",")]
    return members[-1 - place] if len(members) == entries and place < entries else members[0]


def _scheme(
    facts: RequestFacts, given: dict[bytes, str], element: dict[str, str], place: int, entries: int
) -> tuple[str, bool]:
    """Return the scheme that the client used, empty if it is not known, and whether a proxy gave it."""
    if (proto := given.get(b"x-forwarded-proto")) is not None:
        scheme = _SCHEMES.get(_at_client(proto, place, entries).lower(), "")
    elif "proto" in element:
        scheme = _SCHEMES.get(element["proto"].lower(), "")
    else:
        scheme = ""
        for name, meanings in _SCHEME_FIELDS:
            if name in facts.claims:
                value = b",".join(_values(facts.raw, name)).decode("latin-1")
                scheme = meanings.get(_at_client(value, place, entries).lower(), "")
                break
    return scheme, bool(scheme)


def _host(given: dict[bytes, str], element: dict[str, str], place: int, entries: int) -> bytes:
    value = given.get(b"x-forwarded-host")
    text = element.get("host") if value is None else _at_client(value, place, entries)
    if not text:
        return b""
    host = text.encode("latin-1")
    return host if valid_host(host) else b""


def _port(given: dict[bytes, str], place: int, entries: int) -> bytes:
    value = given.get(b"x-forwarded-port")
    text = "" if value is None else _at_client(value, place, entries)
    is_port = text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) <= _MOST_PORT
    return text.encode() if is_port else b""


def _port_of(host: bytes) -> bytes:
    port = host.rpartition(b":")[2]
    return port if port.isdigit() and port != host else b""


def _agreeing(given: dict[bytes, str], addresses: list[str | None]) -> str:
    """Return Forwarded as it came if it names the same chain as X-Forwarded-For, else that chain as Forwarded."""
    if value := given.get(b"forwarded", ""):
        elements, is_whole = read_forwarded(value)
        if is_whole and [canonical_address(each.get("for", "")) for each in elements] == addresses:
            return value
    return ", ".join(["for=" + _node(address or "").decode() for address in reversed(addresses)])


def _is_id(value: bytes) -> bool:
    return 0 < len(value) <= _MOST_ID and not value.translate(None, _ID_BYTES)
