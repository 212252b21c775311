"""What the gateway must know of a request's header block (RFC 9110 section 7, RFC 9112 sections 3, 5, 6).

One pass over the lines finds those that are not simply passed on: a line of an ordinary field is known, because it
came before, or its name is (`field_names`). Most heads have few others, such as Host, and a short way reads these
(`_read_usual`). In all other cases `_read_notable` does, which knows everything: framing, Connection, what only proxies
may send, disguised names. Both come to the same result (`RequestFacts`), and neither copies the fields that go on: what
does not go on is cut out of the block.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from copy import copy
from itertools import filterfalse
from types import MappingProxyType
from typing import Final

from gateway_core.messages.fields import VALUE_BYTES
from gateway_core.observe.tracing.propagation import TraceFields
from gateway_core.proxy.wire.field_names import (
    AUTHORIZATION,
    REPEATING,
    SPECIAL_NAMES,
    Kind,
    is_known_line,
    know_line,
    other_names,
    plain_names,
    sort_lines,
)
from gateway_core.proxy.wire.fields import (
    announced_trailers,
    content_length,
    credential_binds,
    known_hosts,
    list_members,
    only_host,
    without_lines,
    without_names,
)
from gateway_core.proxy.wire.untrusted import GATEWAY_FIELDS, folded

_KEEP_ALIVE: Final = [b"keep-alive"]
_CONNECTION_VALUES: Final = frozenset({b" keep-alive", b" close"})
_MOST_USUAL: Final = 8
"""Fields with a meaning that a head has at most: to cut out each of many one by one is quadratic work."""
_FEW_OPTIONS: Final = 4
"""Options of Connection that are searched for one by one; a client may list thousands."""
_MOST_FORWARDS_DIGITS: Final = 9
# To look up a member of an Enum costs more than to compare it.
_SPECIAL, _UNTRUSTED, _TRACE = Kind.SPECIAL, Kind.UNTRUSTED, Kind.TRACE
_UNKNOWN_NAME: Final = (b"", Kind.PLAIN, False)


class RequestFacts:
    """What a request's header block means to the gateway.

    Never changed once it is known what its sender may say (`drop`), so it serves every request with that block.
    """

    __slots__ = (
        "__dict__", "_lowered", "authorization", "block", "chunked", "content_length", "host", "is_bare", "is_silent",
        "keep_alive", "kept", "raw",
    )  # fmt: skip

    # What few heads have, and few requests ask for, has its default here; a head that has it keeps it in ``__dict__``.
    sent: tuple[str, bytes] | None = None
    """Request-target and block as they came, if they were rewritten before they were read; else None."""
    binds = False
    """Whether the upstream's connection belongs to this client from here on."""
    expect = False
    """Whether the client waits for 100 (RFC 9110 section 10.1.1)."""
    max_forwards = -1
    """How many times more an OPTIONS may be forwarded (RFC 9110 section 7.6.2); -1 if the head does not say."""
    takes_trailers = False
    """Whether the client says in TE that it reads trailers (RFC 9110 section 10.1.4)."""
    trailer = b""
    """The Trailer field with the names of those that may come, as a line (RFC 9110 section 6.6.2)."""
    upgrade: bytes | None = None
    """The protocol to change to, if the client asks for one that we tunnel (RFC 9110 section 7.8)."""
    forwarding: Mapping[bytes, bytes] = MappingProxyType({})
    """Values of the fields in `GATEWAY_FIELDS`, several of one name joined by commas."""
    claims: tuple[bytes, ...] = ()
    """Lower-case names of the fields that go on only from trusted peers."""
    trace: TraceFields = ()
    """The fields that carry a trace or baggage; they are in `block` and `kept` as well."""
    has_odd_names = False
    """Whether a name has other characters than letters, digits and ``-``."""
    call: tuple[bool, float | None] | None = None
    """Of a call of gRPC or gRPC-Web, once that was asked: whether it is one of gRPC, and its timeout in seconds."""

    def __init__(self, raw: bytes, block: bytes, kept: bytes, host: str) -> None:
        self.raw = raw
        """The block that was read."""
        self.block = block
        """The block as plugins see it: without fields that are for this hop only because Connection lists them."""
        self.kept = kept
        """The fields that go on as they are."""
        self.host = host
        """The authority asked for, as sent."""
        self.content_length = -1
        """Bytes of the body; -1 if the head does not say."""
        self.chunked = False
        self.keep_alive = True
        """False if Connection says close."""
        self.is_bare = True
        """Whether there is nothing but the fields: no body, no protocol to change to, no connection of its own."""
        self.is_silent = True
        """Whether nothing in the head says where the request comes from."""
        self.authorization: bytes | None = None
        """The value of Authorization, with white space around it, if it is known that there is exactly one."""
        self._lowered: bytes | None = None

    def ask_for(self, protocol: bytes) -> None:
        """Note a protocol that no line asks for."""
        self.upgrade = protocol

    def know_call(self, call: tuple[bool, float | None]) -> None:
        """Note what the fields say of a call."""
        self.call = call

    def have_unknown_length(self) -> None:
        """Note that a body follows whose length nobody knows: over HTTP/1 it goes on in chunks."""
        self.chunked, self.is_bare = True, False

    @property
    def lowered(self) -> bytes:
        """The block in lower case; made on first use."""
        lowered = self._lowered
        if lowered is None:
            lowered = self._lowered = self.block.lower()
        return lowered

    def with_forwarding(self, given: Mapping[bytes, bytes]) -> RequestFacts:
        """Return a copy with other values of the fields in `GATEWAY_FIELDS`."""
        other = copy(self)
        other.forwarding = given
        return other

    def hide(self, names: Collection[bytes]) -> None:
        """Leave out some fields of what plugins see, by their names in lower case."""
        self.block = without_names(self.block, names)
        self._lowered = None
        self.__dict__.pop("call", None)
        if AUTHORIZATION in names:
            self.authorization = None
        if self.trace:
            self.trace = tuple([each for each in self.trace if each[0] not in names])

    def drop(self, names: Collection[bytes]) -> None:
        """Leave out some fields that do not frame the message, by names in lower case; for who has just read them."""
        self.hide(names)
        if not GATEWAY_FIELDS.issuperset(names):  # those are not among the fields that go on as they are
            self.kept = without_names(self.kept, names)
            self.claims = tuple([name for name in self.claims if name not in names])
        self.forwarding = {name: value for name, value in self.forwarding.items() if name not in names}
        self.is_silent = not self.forwarding and not self.claims


def usual_facts(
    raw: bytes, block: bytes, kept: bytes, host: str, authorization: bytes | None, trace: TraceFields
) -> RequestFacts:
    """Return the facts of a head that says nothing but these."""
    facts = RequestFacts(raw, block, kept, host)
    facts.authorization = authorization
    if trace:
        facts.trace = trace
    return facts


def read_request_block(
    block: bytes, http_1_0: bool = False, *, is_trusted: bool = True, sent: tuple[str, bytes] | None = None
) -> RequestFacts | None:
    """Return what a header block says, or None if it is not valid to the letter.

    None is for: any syntax error, no Host in HTTP/1.1 or more than one or a malformed one, a Content-Length that is
    repeated, listed or no number, one together with Transfer-Encoding, any Transfer-Encoding but a single ``chunked``.

    :param is_trusted: False leaves out the fields that only a proxy may send, while the names are looked up in any
        case; `believed_facts` would do the same later at several times the cost.
    :param sent: see `RequestFacts.sent`.
    """
    return read_fields(block, block[2:] + b"\r\n" if block else b"", sys.maxsize, is_trusted, http_1_0, sent)


def read_fields(
    block: bytes,
    text: bytes,
    most: int,
    is_trusted: bool,
    http_1_0: bool = False,
    sent: tuple[str, bytes] | None = None,
) -> RequestFacts | None:
    """Return what `read_request_block` does, and None also for more fields than ``most``.

    :param text: the block's lines, each of which ends with CRLF instead of beginning with it.
    """
    lines = text.splitlines()
    if len(lines) > most or text.translate(None, VALUE_BYTES) != b"\r\n" * len(lines):  # see `valid_lines`
        return None
    plain, repeating, notable = plain_names, REPEATING, []
    # The hot loop: a line that came before costs nothing, and every other one of an ordinary field one look-up.
    for line in filterfalse(is_known_line, lines):
        name, colon, value = line.partition(b":")
        if not colon:
            return None
        if name not in plain:
            notable.append((line, name, value))
        elif name in repeating:
            know_line(line)
    if len(notable) == 1 and not http_1_0 and sent is None:
        line, name, value = notable[0]
        if name in (b"Host", b"host") and (host := known_hosts.get(value)) is not None:  # as mostly
            kept = block[len(line) + 2 :] if line is lines[0] else block.replace(b"\r\n" + line, b"", 1)
            return RequestFacts(block, block, kept, host)
    facts = None if http_1_0 or sent is not None else _read_usual(block, notable, is_trusted)
    return facts or _read_notable(block, notable, http_1_0, is_trusted, sent)


def _read_usual(block: bytes, notable: list[tuple[bytes, bytes, bytes]], is_trusted: bool) -> RequestFacts | None:
    """Return what a head says that has nothing but what most have; None if it has to be looked at closer."""
    if len(notable) > _MOST_USUAL:
        return None
    special, seen, kept, authorization, trace = {}, block, block, None, []
    for line, spelled, value in notable:
        name, kind, is_claim = other_names.get(spelled, _UNKNOWN_NAME)
        if is_claim and not is_trusted:
            seen = seen.replace(b"\r\n" + line, b"", 1)
        elif kind is _SPECIAL and name not in special:
            special[name] = value
        elif name == AUTHORIZATION and value[:2] == b" B" and authorization is None:
            authorization = value  # Bearer, Basic: they bind no connection
            continue
        elif kind is _TRACE:
            trace.append((name, line))
            continue
        else:
            return None
        kept = kept.replace(b"\r\n" + line, b"", 1)
    host = known_hosts.get(special.pop(b"host", b""))
    if host is None:
        return None
    facts = usual_facts(block, seen, kept, host, authorization, tuple(trace))
    return facts if not special or _read_usual_special(facts, special) else None


def _read_usual_special(facts: RequestFacts, special: dict[bytes, bytes]) -> bool:
    """Note what the fields say that the gateway reads, each of which came once; return whether they are usual ones."""
    length, connection = special.pop(b"content-length", None), special.pop(b"connection", None)
    if length is not None:
        facts.content_length, facts.is_bare = content_length(length.strip(b" \t")), False
        if facts.content_length < 0:
            return False
    if connection is not None:
        facts.keep_alive = connection == b" keep-alive"
        if connection not in _CONNECTION_VALUES:
            return False
    if special:
        facts.forwarding = {name: value.strip(b" \t") for name, value in special.items()}
        facts.is_silent = False
    return GATEWAY_FIELDS.issuperset(special)


def facts_of_refused(block: bytes, *, is_trusted: bool) -> RequestFacts:
    """Return what can be known of the fields of a head that is refused; for logs.

    :param block: fields each of which is valid by itself.
    """
    lines = [(line, *line.partition(b":")[::2]) for line in block.split(b"\r\n")[1:]]
    special, _, forged, unusual, _, trace = sort_lines(lines, is_trusted) or ({}, [], [], {}, [], [])
    facts = RequestFacts(block, without_lines(block, forged), b"", only_host(special.get(b"host", ())) or "")
    facts.trace = tuple(trace)
    _read_unusual(facts, unusual)
    facts.keep_alive = False
    return facts


def _read_notable(
    block: bytes,
    lines: list[tuple[bytes, bytes, bytes]],
    http_1_0: bool,
    is_trusted: bool,
    sent: tuple[str, bytes] | None,
) -> RequestFacts | None:
    """Return what a block says whose lines are valid but for the names of some; None if it is not valid.

    :param lines: those that may mean something, each with its name and value.
    """
    found = sort_lines(lines, is_trusted)
    if found is None:
        return None
    special, dropped, forged, unusual, credentials, trace = found
    host = only_host(special.get(b"host", ()))
    if host is None and (not http_1_0 or b"host" in special):
        return None
    seen = without_lines(block, forged) if forged else block
    facts = RequestFacts(block, seen, without_lines(seen, dropped), host or "")
    if sent is not None:
        facts.sent = sent
    if trace:
        facts.trace = tuple(trace)
    if len(credentials) == 1:
        facts.authorization = credentials[0]
    if binds := any(map(credential_binds, credentials)):
        facts.binds = True
    if unusual:
        _read_unusual(facts, unusual)
    if (len(special) > 1 or http_1_0) and not _read_special(facts, special, http_1_0):
        return None
    is_framed = facts.chunked or facts.content_length >= 0 or facts.upgrade is not None or facts.takes_trailers
    facts.is_bare = not (binds or is_framed)
    return facts


def _read_special(facts: RequestFacts, special: dict[bytes, list[bytes]], http_1_0: bool) -> bool:
    """Note what the fields say that the gateway reads; return whether they are valid."""
    if not _read_framing(facts, special, http_1_0):
        return False
    if b"max-forwards" in special:
        values = special[b"max-forwards"]
        if len(values) == 1 and values[0].isdigit() and len(values[0]) <= _MOST_FORWARDS_DIGITS:
            facts.max_forwards = int(values[0])  # what is no number means nothing
        facts.kept += b"".join([b"\r\nMax-Forwards: " + value for value in values])
    if b"connection" in special:
        _read_connection(facts, special, http_1_0)
    elif http_1_0:
        facts.keep_alive = False
    if b"te" in special:
        facts.takes_trailers = b"trailers" in list_members(special[b"te"])
    if b"trailer" in special:
        facts.trailer = announced_trailers(special[b"trailer"])
    forwarding = {name: b", ".join(values) for name, values in special.items() if name in GATEWAY_FIELDS}
    if forwarding:
        facts.forwarding, facts.is_silent = forwarding, False
    return True


def _read_unusual(facts: RequestFacts, names: dict[bytes, Kind]) -> None:
    """Record the untrusted fields, and drop those that are never forwarded."""
    claims = [name for name, kind in names.items() if kind is _UNTRUSTED]
    if len(claims) < len(names):
        _read_odd(facts, {name: kind for name, kind in names.items() if kind is not _UNTRUSTED}, claims)
    facts.claims = tuple(claims)
    facts.is_silent = not claims


def _read_odd(facts: RequestFacts, odd: dict[bytes, Kind], claims: list[bytes]) -> None:
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
    if dropped:
        facts.block = without_names(facts.block, dropped)
        facts.kept = without_names(facts.kept, dropped)


def _read_framing(facts: RequestFacts, special: dict[bytes, list[bytes]], http_1_0: bool) -> bool:
    lengths = special.get(b"content-length")
    codings = special.get(b"transfer-encoding")
    if lengths is not None:
        length = facts.content_length = content_length(lengths[0])
        if len(lengths) != 1 or length < 0 or codings is not None:
            return False
    if codings is not None:
        if http_1_0 or len(codings) != 1 or codings[0].lower() != b"chunked":
            return False
        facts.chunked = True
    expectations = special.get(b"expect")
    if expectations is not None:
        facts.expect = not http_1_0 and b"100-continue" in list_members(expectations)
    return True


def _read_connection(facts: RequestFacts, special: dict[bytes, list[bytes]], http_1_0: bool) -> None:
    options = list_members(special[b"connection"])
    facts.keep_alive = b"close" not in options if not http_1_0 else b"keep-alive" in options and b"close" not in options
    if b"upgrade" in options and not http_1_0:
        protocols = [name for name in list_members(special.get(b"upgrade", [])) if not name.startswith(b"h2")]
        facts.upgrade = protocols[0] if protocols else None
    if options == _KEEP_ALIVE:
        return  # the usual list, and never a field that would go on
    # A client must not have what a proxy wrote for us removed by listing it.
    listed = frozenset(options).difference(facts.claims)
    if len(listed) <= _FEW_OPTIONS and not any(b"\r\n%b:" % name in facts.lowered for name in listed):
        return
    remaining = without_names(facts.kept, listed)
    if len(remaining) < len(facts.kept):
        facts.kept = remaining
        facts.hide(listed - SPECIAL_NAMES)
