"""What the gateway must know of a request's header block (RFC 9110 section 7, RFC 9112 sections 3, 5, 6)."""

from __future__ import annotations

import re
from collections.abc import Collection
from copy import copy
from typing import Final

from gateway_core.proxy.wire.authority import valid_host
from gateway_core.proxy.wire.bound import credentials_bind
from gateway_core.proxy.wire.fields import (
    HOP_BY_HOP,
    Field,
    content_length,
    join_lines,
    list_members,
    split_block,
    value_of,
)
from gateway_core.proxy.wire.untrusted import GATEWAY_FIELDS, Kind, classify, folded

METHODS: Final = {
    name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "REPORT")
}
"""Methods that the fast lane takes; others are as good, but rare."""

TARGET_BYTES: Final = (
    bytes(range(0x21, 0x7F)).replace(b"#", b"").replace(b'"', b"").replace(b"<", b"").replace(b">", b"")
)
"""Bytes of a request-target: printable ASCII without what RFC 3986 keeps out of URIs and clients never send."""


_FRAMING: Final = frozenset({b"content-length", b"expect", b"host"})
_MOST_FORWARDS_DIGITS: Final = 9
_SPECIAL: Final = HOP_BY_HOP | GATEWAY_FIELDS | _FRAMING | {b"max-forwards"}

_SPECIAL_LINE: Final = re.compile(
    rb"\r\n(?:(?:%b):|[a-z0-9-]*[^a-z0-9:\r\n-])" % b"|".join(sorted(_SPECIAL)), re.IGNORECASE
)


def has_special_fields(block: bytes) -> bool:
    """Whether a block has a field that does not simply go on, or one with an odd name; a glance before parsing."""
    return _SPECIAL_LINE.search(block) is not None


_COMMON: Final = (
    b"accept accept-charset accept-encoding accept-language authorization cache-control content-encoding "
    b"content-language content-type cookie date dnt from if-match if-modified-since if-none-match if-range "
    b"if-unmodified-since origin pragma priority purpose range referer sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform "
    b"sec-fetch-dest sec-fetch-mode sec-fetch-site sec-fetch-user sec-gpc sec-websocket-extensions sec-websocket-key "
    b"sec-websocket-protocol sec-websocket-version traceparent tracestate upgrade-insecure-requests user-agent "
    b"x-amzn-trace-id x-api-key x-csrf-token x-requested-with"
).split()
_MOST_NAMES: Final = 1024
_LONGEST_NAME: Final = 48
_kinds: dict[bytes, Kind] = {name: classify(name, _SPECIAL) for name in (*_COMMON, *_SPECIAL)}
"""Kinds of names by lower-case name; clients choose names, so their number and their length are bounded."""


_PLAIN: Final = Kind.PLAIN
_SPECIAL_KIND: Final = Kind.SPECIAL
_UNTRUSTED: Final = Kind.UNTRUSTED


def _kind_of(name: bytes) -> Kind:
    kind = _kinds.get(name)
    if kind is not None:
        return kind
    kind = classify(name, _SPECIAL)
    if len(name) <= _LONGEST_NAME and len(_kinds) < _MOST_NAMES:
        _kinds[name] = kind
    return kind


_MOST_HOSTS: Final = 1024
_hosts: dict[bytes, str] = {}
"""Authorities that were found to be valid; a gateway serves few."""


class RequestFacts:
    """What a request's header block means to the gateway; never changed, so it serves every request with that block."""

    __slots__ = (
        "binds",
        "block",
        "chunked",
        "claims",
        "content_length",
        "expect",
        "forwarding",
        "has_odd_names",
        "host",
        "is_silent",
        "keep_alive",
        "kept",
        "lowered",
        "max_forwards",
        "raw",
        "upgrade",
    )

    def __init__(self, block: bytes) -> None:
        self.raw = block
        """The block as it came."""
        self.block = block
        """The block as plugins see it: without fields that are for this hop only because Connection lists them."""
        self.lowered = block.lower()
        self.binds = credentials_bind(self.lowered)
        """Whether the upstream's connection belongs to this client from here on."""
        self.host = ""
        """The authority asked for, as sent."""
        self.content_length = -1
        """Bytes of the body; -1 if the head does not say."""
        self.chunked = False
        self.expect = False
        """Whether the client waits for 100 (RFC 9110 section 10.1.1)."""
        self.max_forwards = -1
        """How many times more an OPTIONS may be forwarded (RFC 9110 section 7.6.2); -1 if the head does not say."""
        self.keep_alive = True
        """False if Connection says close."""
        self.upgrade: bytes | None = None
        """The protocol to change to, if the client asks for one that we tunnel (RFC 9110 section 7.8)."""
        self.forwarding: dict[bytes, bytes] = {}
        """Values of the fields in `GATEWAY_FIELDS`, several of one name joined by commas."""
        self.claims: tuple[bytes, ...] = ()
        """Lower-case names of the fields that go on only from trusted peers."""
        self.is_silent = True
        """Whether nothing in the head says where the request comes from."""
        self.has_odd_names = False
        """Whether a name has other characters than letters, digits and ``-``."""
        self.kept = b""
        """The fields that go on as they are."""

    @property
    def is_bare(self) -> bool:
        """Whether nothing but its fields goes upstream: no body, no upgrade."""
        return self.content_length < 0 and not self.chunked and self.upgrade is None

    @property
    def is_plain(self) -> bool:
        """Whether the fast lane may take a request with this head."""
        return not self.chunked and not self.expect and self.max_forwards < 0

    def without(self, names: Collection[bytes]) -> RequestFacts:
        """Return what the head says without some fields, none of which frames it.

        :param names: in lower case.
        """
        other = copy(self)
        other.block = _without(self.block, names)
        other.lowered = other.block.lower()
        other.kept = _without(self.kept, names)
        other.forwarding = {name: value for name, value in self.forwarding.items() if name not in names}
        other.claims = tuple(name for name in self.claims if name not in names)
        other.is_silent = not other.forwarding and not other.claims
        return other


def _without(block: bytes, names: Collection[bytes]) -> bytes:
    lines = block.split(b"\r\n")
    return b"\r\n".join([line for line in lines if line.partition(b":")[0].lower() not in names])


def read_request_block(block: bytes, http_1_0: bool = False) -> RequestFacts | None:
    """Return what a header block says, or None if it is not valid to the letter.

    None is for: any syntax error, no Host in HTTP/1.1 or more than one or a malformed one, a Content-Length that is
    repeated, listed or no number, one together with Transfer-Encoding, any Transfer-Encoding but a single ``chunked``.
    """
    fields = split_block(block)
    if fields is None:
        return None
    facts = RequestFacts(block)
    special, kept = _sort(facts, fields)
    if not (_read_host(facts, special, http_1_0) and _read_framing(facts, special, http_1_0)):
        return None
    if b"max-forwards" in special:
        kept += _read_max_forwards(facts, fields)
    if b"connection" in special:
        kept = _read_connection(facts, special, kept, http_1_0)
    elif http_1_0:
        facts.keep_alive = False
    for name in GATEWAY_FIELDS.intersection(special):
        facts.forwarding[name] = b", ".join(special[name])
        facts.is_silent = False
    facts.kept = join_lines(kept)
    return facts


def _sort(facts: RequestFacts, fields: list[Field]) -> tuple[dict[bytes, list[bytes]], list[Field]]:
    """Return the values of the fields that the gateway reads, and the fields that go on."""
    special: dict[bytes, list[bytes]] = {}
    kept: list[Field] = []
    kinds, unusual = _kinds, []
    for field in fields:
        kind = kinds.get(field[0])
        if kind is _PLAIN:
            kept.append(field)
        elif kind is _SPECIAL_KIND:
            special.setdefault(field[0], []).append(value_of(field[1]))
        else:
            kept.append(field)
            unusual.append(field[0])
    return special, _read_unusual(facts, unusual, kept) if unusual else kept


def _read_unusual(facts: RequestFacts, names: list[bytes], kept: list[Field]) -> list[Field]:
    """Record the untrusted fields; return the fields without those that are never forwarded."""
    claims: list[bytes] = []
    odd: dict[bytes, Kind] = {}
    for name in names:
        kind = _kind_of(name)
        if kind is _UNTRUSTED:
            claims.append(name)
        elif kind is not _PLAIN:
            odd[name] = kind
    if odd:
        kept = _read_odd(facts, odd, claims, kept)
    facts.claims = tuple(claims)
    facts.is_silent = not claims
    return kept


def _read_odd(facts: RequestFacts, odd: dict[bytes, Kind], claims: list[bytes], kept: list[Field]) -> list[Field]:
    """Sort out names with odd characters; the claims among them are appended to the others."""
    plain = {folded(name) for name in claims}
    dropped = set()
    for name, kind in odd.items():
        # A trusted proxy passes a client's X_Real_IP on beside its own X-Real-IP: there are not to be two.
        if kind is Kind.DISGUISED or (kind is Kind.ODD_UNTRUSTED and folded(name) in plain):
            dropped.add(name)
        else:
            facts.has_odd_names = True
            if kind is Kind.ODD_UNTRUSTED:
                claims.append(name)
    if not dropped:
        return kept
    facts.block = _without(facts.block, dropped)
    facts.lowered = facts.block.lower()
    return [field for field in kept if field[0] not in dropped]


def _read_host(facts: RequestFacts, special: dict[bytes, list[bytes]], http_1_0: bool) -> bool:
    hosts = special.get(b"host", [])
    if len(hosts) != 1:
        return http_1_0 and not hosts
    host = _hosts.get(hosts[0])
    if host is None:
        if not valid_host(hosts[0]):
            return False
        host = hosts[0].decode("latin-1")
        if len(_hosts) < _MOST_HOSTS:  # each is short, or it would not be valid
            _hosts[hosts[0]] = host
    facts.host = host
    return True


def _read_framing(facts: RequestFacts, special: dict[bytes, list[bytes]], http_1_0: bool) -> bool:
    lengths = special.get(b"content-length")
    codings = special.get(b"transfer-encoding")
    if lengths is not None:
        facts.content_length = content_length(lengths[0])
        if len(lengths) != 1 or facts.content_length < 0 or codings is not None:
            return False
    if codings is not None:
        if http_1_0 or len(codings) != 1 or codings[0].lower() != b"chunked":
            return False
        facts.chunked = True
    expectations = special.get(b"expect")
    if expectations is not None:
        facts.expect = not http_1_0 and b"100-continue" in list_members(expectations)
    return True


def _read_max_forwards(facts: RequestFacts, fields: list[Field]) -> list[Field]:
    """Return the lines of Max-Forwards, which go on; what is no number means nothing."""
    lines = [field for field in fields if field[0] == b"max-forwards"]
    number = value_of(lines[0][1])
    if len(lines) == 1 and number.isdigit() and len(number) <= _MOST_FORWARDS_DIGITS:
        facts.max_forwards = int(number)
    return lines


def _read_connection(
    facts: RequestFacts, special: dict[bytes, list[bytes]], kept: list[Field], http_1_0: bool
) -> list[Field]:
    options = list_members(special[b"connection"])
    facts.keep_alive = b"close" not in options if not http_1_0 else b"keep-alive" in options and b"close" not in options
    if b"upgrade" in options and not http_1_0:
        protocols = [name for name in list_members(special.get(b"upgrade", [])) if not name.startswith(b"h2")]
        facts.upgrade = protocols[0] if protocols else None
    # A client must not have what a proxy wrote for us removed by listing it.
    listed = frozenset(options).difference(facts.claims)
    remaining = [field for field in kept if field[0] not in listed]
    if len(remaining) < len(kept):
        facts.block = _without(facts.block, listed - _SPECIAL)
        facts.lowered = facts.block.lower()
    return remaining
