"""What the gateway must know of a request's header block (RFC 9110 section 7, RFC 9112 sections 3, 5, 6)."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from gateway_core.messages.fields import TOKEN_BYTES
from gateway_core.proxy.wire.authority import valid_host
from gateway_core.proxy.wire.bound import credential_binds
from gateway_core.proxy.wire.fields import HOP_BY_HOP, announced_trailers, content_length, list_members, split_lines
from gateway_core.proxy.wire.untrusted import GATEWAY_FIELDS, LOOP_FIELDS, Kind, classify, folded

METHODS: Final = {
    name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "REPORT")
}
"""Methods that are looked up; others are as good, but rare."""

TARGET_BYTES: Final = (
    bytes(range(0x21, 0x7F)).replace(b"#", b"").replace(b'"', b"").replace(b"<", b"").replace(b">", b"")
)
"""Bytes of a request-target: printable ASCII without what RFC 3986 keeps out of URIs and clients never send."""


_FRAMING: Final = frozenset({b"content-length", b"expect", b"host"})
_FEW_OPTIONS: Final = 4
"""Options of Connection that are searched for one by one; a client may list thousands."""
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
_PLAIN: Final = Kind.PLAIN
_SPECIAL_KIND: Final = Kind.SPECIAL
_UNTRUSTED: Final = Kind.UNTRUSTED
_AUTHORIZATION: Final = b"authorization"

_plain_names: set[bytes] = set()
"""Names of ordinary fields, spelled as they came: they are tokens, and there is nothing to know of them."""
_other_names: dict[bytes, tuple[bytes, Kind, bool]] = {}
"""All other names, spelled as they came: that in lower case, the kind, and whether only trusted peers may send it."""
# Clients choose names, so the number of those that are remembered, and their length, are bounded.


def _read_name(name: bytes) -> tuple[bytes, Kind, bool] | None:
    """Return what there is to know of a name (see `_other_names`), and remember it; None if it is not a token."""
    if not name or name.translate(None, TOKEN_BYTES):
        return None
    lowered = name.lower()
    kind = classify(lowered, _SPECIAL)
    is_claim = kind in {Kind.UNTRUSTED, Kind.ODD_UNTRUSTED} or lowered in GATEWAY_FIELDS - LOOP_FIELDS
    found = lowered, kind, is_claim
    if len(name) <= _LONGEST_NAME and len(_plain_names) + len(_other_names) < _MOST_NAMES:
        if kind is _PLAIN and lowered != _AUTHORIZATION:
            _plain_names.add(name)
        else:
            _other_names[name] = found
    return found


for _name in (*_COMMON, *_SPECIAL):
    _read_name(_name)
    _read_name(_name.title())


_MOST_HOSTS: Final = 1024
_hosts: dict[bytes, str] = {}
"""Authorities that were found to be valid; a gateway serves few."""


class RequestFacts:
    """What a request's header block means to the gateway.

    Never changed once it is known what its sender may say (`drop`), so it serves every request with that block.
    """

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
        "sent",
        "takes_trailers",
        "trailer",
        "upgrade",
    )

    def __init__(self, block: bytes) -> None:
        self.raw = block
        """The block that was read."""
        self.sent: tuple[str, bytes] | None = None
        """Request-target and block as they came, if they were rewritten before they were read; else None."""
        self.block = block
        """The block as plugins see it: without fields that are for this hop only because Connection lists them."""
        self.lowered = b""
        self.binds = False
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
        self.takes_trailers = False
        """Whether the client says in TE that it reads trailers (RFC 9110 section 10.1.4)."""
        self.trailer = b""
        """The Trailer field with the names of those that may come, as a line (RFC 9110 section 6.6.2)."""
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

    def drop(self, names: Collection[bytes]) -> None:
        """Leave out some fields, none of which frames the message; for who has just read the head.

        :param names: in lower case.
        """
        self.block = _without(self.block, names)
        self.lowered = self.block.lower()
        if not GATEWAY_FIELDS.issuperset(names):  # those are not among the fields that go on as they are
            self.kept = _without(self.kept, names)
            self.claims = tuple([name for name in self.claims if name not in names])
        for name in GATEWAY_FIELDS.intersection(names):
            self.forwarding.pop(name, None)
        self.is_silent = not self.forwarding and not self.claims


def _without(block: bytes, names: Collection[bytes]) -> bytes:
    return b"\r\n".join([line for line in block.split(b"\r\n") if line.partition(b":")[0].lower() not in names])


def _name_of(line: bytes) -> bytes:
    return line.partition(b":")[0].lower()


def read_request_block(block: bytes, http_1_0: bool = False, *, is_trusted: bool = True) -> RequestFacts | None:
    """Return what a header block says, or None if it is not valid to the letter.

    From a peer that is not trusted, the fields that only a proxy may send are left out here, while the names are looked
    up in any case; `believed_facts` would do the same later at several times the cost.

    None is for: any syntax error, no Host in HTTP/1.1 or more than one or a malformed one, a Content-Length that is
    repeated, listed or no number, one together with Transfer-Encoding, any Transfer-Encoding but a single ``chunked``.
    """
    lines = split_lines(block)
    if lines is None:
        return None
    facts = RequestFacts(block)
    special: dict[bytes, list[bytes]] = {}
    kept = _sort(facts, special, lines, is_trusted)
    return facts if kept is not None and _read_special(facts, special, kept, http_1_0) else None


def facts_of_refused(block: bytes, *, is_trusted: bool) -> RequestFacts:
    """Return what can be known of the fields of a head that is refused; for logs.

    :param block: fields each of which is valid by itself.
    """
    facts, special = RequestFacts(block), dict[bytes, list[bytes]]()
    _sort(facts, special, split_lines(block) or [], is_trusted)
    facts.lowered = facts.block.lower()
    _read_host(facts, special, http_1_0=True)
    facts.keep_alive = False
    return facts


def request_trailers(block: bytes, *, is_trusted: bool) -> bytes:
    """Return the trailer fields of a request that may go on: what only a proxy may send is no trailer of a client's.

    :param block: fields that are valid, and that RFC 9110 section 6.5.1 allows as trailers.
    """
    unwanted = {Kind.SPECIAL, Kind.DISGUISED} if is_trusted else set(Kind) - {Kind.PLAIN, Kind.ODD}
    lines = block.split(b"\r\n")[1:]
    return b"".join([b"\r\n" + line for line in lines if classify(_name_of(line), _SPECIAL) not in unwanted])


def _sort(
    facts: RequestFacts, special: dict[bytes, list[bytes]], lines: list[bytes], is_trusted: bool
) -> list[bytes] | None:
    """Gather the values of the fields that the gateway reads, and return those that go on; None if one is not valid."""
    kept: list[bytes] = []
    forged: list[bytes] = []
    unusual: dict[bytes, Kind] = {}
    plain, others = _plain_names, _other_names
    # The hot loop: one look-up is all that an ordinary field costs.
    for line in lines:
        name, colon, value = line.partition(b":")
        if name in plain and colon:
            kept.append(line)
            continue
        found = others.get(name) or _read_name(name)
        if found is None or not colon:
            return None
        name, kind, is_claim = found
        if is_claim and not is_trusted:
            forged.append(line)
            continue
        if kind is _SPECIAL_KIND:
            special.setdefault(name, []).append(value.strip(b" \t"))
            continue
        kept.append(line)
        if kind is not _PLAIN:
            unusual[name] = kind
        elif name == _AUTHORIZATION and credential_binds(value):
            facts.binds = True
    if forged:
        facts.block = _block_without(forged, lines)
    if unusual:
        kept = _read_unusual(facts, unusual, kept)
    return kept


def _block_without(dropped: list[bytes], lines: list[bytes]) -> bytes:
    for line in dropped:
        lines.remove(line)  # or one that is equal, which is to be dropped as well
    return b"\r\n".join((b"", *lines)) if lines else b""


def _read_special(facts: RequestFacts, special: dict[bytes, list[bytes]], kept: list[bytes], http_1_0: bool) -> bool:
    """Note what the fields say that the gateway reads, and what goes on; return whether they are valid."""
    facts.lowered = facts.block.lower()
    if not (_read_host(facts, special, http_1_0) and _read_framing(facts, special, http_1_0)):
        return False
    if len(special) > 1 or http_1_0:  # Host, which must be there otherwise, is nearly always all
        if b"max-forwards" in special:
            kept += _read_max_forwards(facts, special)
        if b"connection" in special:
            kept = _read_connection(facts, special, kept, http_1_0)
        if b"te" in special:
            facts.takes_trailers = b"trailers" in list_members(special[b"te"])
        if b"trailer" in special:
            facts.trailer = announced_trailers(special[b"trailer"])
        for name in GATEWAY_FIELDS.intersection(special):
            facts.forwarding[name] = b", ".join(special[name])
            facts.is_silent = False
    if http_1_0 and b"connection" not in special:
        facts.keep_alive = False
    facts.kept = b"\r\n".join((b"", *kept)) if kept else b""
    return True


def _read_unusual(facts: RequestFacts, names: dict[bytes, Kind], kept: list[bytes]) -> list[bytes]:
    """Record the untrusted fields; return the fields without those that are never forwarded."""
    claims = [name for name, kind in names.items() if kind is _UNTRUSTED]
    if len(claims) < len(names):
        odd: dict[bytes, Kind] = {name: kind for name, kind in names.items() if kind is not _UNTRUSTED}
        kept = _read_odd(facts, odd, claims, kept)
    facts.claims = tuple(claims)
    facts.is_silent = not claims
    return kept


def _read_odd(facts: RequestFacts, odd: dict[bytes, Kind], claims: list[bytes], kept: list[bytes]) -> list[bytes]:
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
    return [line for line in kept if _name_of(line) not in dropped]


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


def _read_max_forwards(facts: RequestFacts, special: dict[bytes, list[bytes]]) -> list[bytes]:
    """Return the lines of Max-Forwards, which go on; what is no number means nothing."""
    values = special[b"max-forwards"]
    if len(values) == 1 and values[0].isdigit() and len(values[0]) <= _MOST_FORWARDS_DIGITS:
        facts.max_forwards = int(values[0])
    return [b"Max-Forwards: " + value for value in values]


def _read_connection(
    facts: RequestFacts, special: dict[bytes, list[bytes]], kept: list[bytes], http_1_0: bool
) -> list[bytes]:
    options = list_members(special[b"connection"])
    facts.keep_alive = b"close" not in options if not http_1_0 else b"keep-alive" in options and b"close" not in options
    if b"upgrade" in options and not http_1_0:
        protocols = [name for name in list_members(special.get(b"upgrade", [])) if not name.startswith(b"h2")]
        facts.upgrade = protocols[0] if protocols else None
    # A client must not have what a proxy wrote for us removed by listing it.
    listed = frozenset(options).difference(facts.claims)
    if len(listed) <= _FEW_OPTIONS and not any(b"\r\n%b:" % name in facts.lowered for name in listed):
        return kept  # the usual case: "close" and "keep-alive" are no fields
    remaining = [line for line in kept if _name_of(line) not in listed]
    if len(remaining) < len(kept):
        facts.block = _without(facts.block, listed - _SPECIAL)
        facts.lowered = facts.block.lower()
    return remaining
