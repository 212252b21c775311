"""What the gateway must know of a request's header block (RFC 9110 section 7, RFC 9112 sections 3, 5, 6)."""

from __future__ import annotations

import re
from typing import Final

from gateway_core.proxy.wire.authority import valid_host
from gateway_core.proxy.wire.bound import binds_connection
from gateway_core.proxy.wire.fields import (
    HOP_BY_HOP,
    Field,
    content_length,
    join_lines,
    list_members,
    split_block,
    value_of,
)

METHODS: Final = {
    name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "REPORT")
}
"""Methods that the fast lane takes; others are as good, but rare."""

TARGET_BYTES: Final = (
    bytes(range(0x21, 0x7F)).replace(b"#", b"").replace(b'"', b"").replace(b"<", b"").replace(b">", b"")
)
"""Bytes of a request-target: printable ASCII without what RFC 3986 keeps out of URIs and clients never send."""

FORWARDING: Final = frozenset(
    {
        b"forwarded",
        b"via",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-port",
        b"x-forwarded-proto",
        b"x-request-id",
    }
)
"""Fields that the gateway writes itself; what came in is weighed by who sent it."""

_FRAMING: Final = frozenset({b"content-length", b"expect", b"host"})
_LOOK_ALIKES: Final = frozenset(
    [name.replace(b"-", b"_") for name in {*FORWARDING, b"content-length", b"transfer-encoding"} if b"-" in name]
)
"""What CGI and WSGI take for a field that the gateway writes: they tell no ``_`` from ``-``. These go no further."""

_MOST_FORWARDS_DIGITS: Final = 9
_SPECIAL: Final = HOP_BY_HOP | FORWARDING | _FRAMING | _LOOK_ALIKES | {b"max-forwards"}


_SPECIAL_LINE: Final = re.compile(rb"\r\n(?:%b):" % b"|".join(sorted(_SPECIAL)), re.IGNORECASE)


def has_special_fields(block: bytes) -> bool:
    """Whether a block has a field that does not simply go on; a glance before anything is parsed."""
    return _SPECIAL_LINE.search(block) is not None


_MOST_HOSTS: Final = 1024
_hosts: dict[bytes, str] = {}
"""Authorities that were found to be valid; a gateway serves few."""


class RequestFacts:
    """What a request's header block means to the gateway; never changed, so it serves every request with that block."""

    __slots__ = (
        "binds",
        "block",
        "chunked",
        "content_length",
        "expect",
        "forwarding",
        "host",
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
        self.binds = binds_connection(self.lowered)
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
        """Values of the fields in `FORWARDING`, several of one name joined by commas."""
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


def read_request_block(block: bytes, http_1_0: bool = False) -> RequestFacts | None:
    """Return what a header block says, or None if it is not valid to the letter.

    None is for: any syntax error, no Host in HTTP/1.1 or more than one or a malformed one, a Content-Length that is
    repeated, listed or no number, one together with Transfer-Encoding, any Transfer-Encoding but a single ``chunked``.
    """
    fields = split_block(block)
    if fields is None:
        return None
    facts = RequestFacts(block)
    special: dict[bytes, list[bytes]] = {}
    kept: list[Field] = []
    for field in fields:
        if field[0] in _SPECIAL:
            special.setdefault(field[0], []).append(value_of(field[1]))
        else:
            kept.append(field)
    if not (_read_host(facts, special, http_1_0) and _read_framing(facts, special, http_1_0)):
        return None
    if b"max-forwards" in special:
        kept += _read_max_forwards(facts, fields)
    if b"connection" in special:
        kept = _read_connection(facts, special, fields, kept, http_1_0)
    elif http_1_0:
        facts.keep_alive = False
    for name in FORWARDING.intersection(special):
        facts.forwarding[name] = b", ".join(special[name])
    facts.kept = join_lines(kept)
    return facts


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
    facts: RequestFacts, special: dict[bytes, list[bytes]], fields: list[Field], kept: list[Field], http_1_0: bool
) -> list[Field]:
    options = list_members(special[b"connection"])
    facts.keep_alive = b"close" not in options if not http_1_0 else b"keep-alive" in options and b"close" not in options
    if b"upgrade" in options and not http_1_0:
        protocols = [name for name in list_members(special.get(b"upgrade", [])) if not name.startswith(b"h2")]
        facts.upgrade = protocols[0] if protocols else None
    listed = frozenset(options)
    remaining = [field for field in kept if field[0] not in listed]
    if len(remaining) < len(kept):
        facts.block = join_lines([field for field in fields if field[0] not in listed or field[0] in _SPECIAL])
        facts.lowered = facts.block.lower()
    return remaining
