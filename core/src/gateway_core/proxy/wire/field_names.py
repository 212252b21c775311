"""What the names of a request's fields mean, before any value is read.

Nearly every field is an ordinary one, spelled as clients spell it: a look-up among the names that were seen before
(`plain_names`) is all that it costs. Others are classified (`Kind`): fields that the gateway reads itself, those that
only a trusted proxy may send, and spellings that CGI takes for one of them.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from gateway_core.messages.fields import FRAMING_FIELDS, TOKEN_BYTES
from gateway_core.observe.tracing.propagation import FIELD_NAMES
from gateway_core.proxy.wire.fields import name_of
from gateway_core.proxy.wire.untrusted import GATEWAY_FIELDS, LOOP_FIELDS, folded, is_untrusted

if TYPE_CHECKING:
    from gateway_core.snapshot.listeners import Trust

_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})
SPECIAL_NAMES: Final = FRAMING_FIELDS | GATEWAY_FIELDS | {b"expect", b"host", b"max-forwards"}
"""Names of the fields that the gateway reads."""


class Kind(IntEnum):
    """What a field name means to the gateway before any value is read."""

    PLAIN = 0
    """An ordinary field, spelled as such."""
    SPECIAL = 1
    """Read by the gateway: framing, hop-by-hop, or one that it writes itself."""
    UNTRUSTED = 2
    """Goes on only from trusted peers."""
    ODD = 3
    """An ordinary field whose name has other characters than letters, digits and ``-``."""
    ODD_UNTRUSTED = 4
    """An untrusted field, disguised."""
    DISGUISED = 5
    """What CGI takes for a field that the gateway writes itself: never forwarded, from any peer."""
    TRACE = 6
    """Carries a trace or baggage (`gateway_core.observe.tracing.propagation`): an ordinary field without tracing."""


def classify(name: bytes, special: frozenset[bytes]) -> Kind:
    """Return the kind of a lower-case name.

    :param special: names that the gateway reads itself.
    """
    if name in special:
        return Kind.SPECIAL
    if name in FIELD_NAMES:
        return Kind.TRACE
    plain = folded(name)
    if plain == name:
        return Kind.UNTRUSTED if is_untrusted(plain) else Kind.PLAIN
    if plain in GATEWAY_FIELDS or plain in _FRAMING:
        return Kind.DISGUISED
    return Kind.ODD_UNTRUSTED if is_untrusted(plain) else Kind.ODD


_SPECIAL_LINE: Final = re.compile(
    rb"\r\n(?:(?:%b):|[a-z0-9-]*[^a-z0-9:\r\n-])" % b"|".join(sorted(SPECIAL_NAMES)), re.IGNORECASE
)


def has_special_fields(block: bytes) -> bool:
    """Whether a block has a field that does not simply go on, or one with an odd name; a glance before parsing."""
    return _SPECIAL_LINE.search(block) is not None


_COMMON: Final = (
    b"accept accept-charset accept-encoding accept-language authorization cache-control content-encoding "
    b"content-language content-type cookie date dnt from if-match if-modified-since if-none-match if-range "
    b"if-unmodified-since origin pragma priority purpose range referer sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform "
    b"sec-fetch-dest sec-fetch-mode sec-fetch-site sec-fetch-user sec-gpc sec-websocket-extensions sec-websocket-key "
    b"sec-websocket-protocol sec-websocket-version upgrade-insecure-requests user-agent "
    b"x-amzn-trace-id x-api-key x-csrf-token x-requested-with"
).split()
_MOST_NAMES: Final = 1024
_LONGEST_NAME: Final = 48
AUTHORIZATION: Final = b"authorization"

plain_names: set[bytes] = set()
"""Names of ordinary fields, spelled as they came: they are tokens, and there is nothing to know of them."""
other_names: dict[bytes, tuple[bytes, Kind, bool]] = {}
"""All other names, spelled as they came: that in lower case, the kind, and whether only trusted peers may send it."""
# Clients choose names, so the number of those that are remembered, and their length, are bounded.


def read_name(name: bytes) -> tuple[bytes, Kind, bool] | None:
    """Return what there is to know of a name (see `other_names`), and remember it; None if it is not a token."""
    if not name or name.translate(None, TOKEN_BYTES):
        return None
    lowered = name.lower()
    kind = classify(lowered, SPECIAL_NAMES)
    is_claim = kind in {Kind.UNTRUSTED, Kind.ODD_UNTRUSTED} or lowered in GATEWAY_FIELDS - LOOP_FIELDS
    found = lowered, kind, is_claim
    if len(name) <= _LONGEST_NAME and len(plain_names) + len(other_names) < _MOST_NAMES:
        # A field named Close is looked at because Connection may list it without meaning it.
        if kind is Kind.PLAIN and lowered not in {AUTHORIZATION, b"close"}:
            plain_names.add(name)
        else:
            other_names[name] = found
    return found


for _name in (*_COMMON, *SPECIAL_NAMES, *FIELD_NAMES):
    read_name(_name)
    read_name(_name.title())


SortedLines = tuple[
    dict[bytes, list[bytes]], list[bytes], list[bytes], dict[bytes, Kind], list[bytes], list[tuple[bytes, bytes]]
]


def sort_lines(lines: list[tuple[bytes, bytes, bytes]], is_trusted: bool) -> SortedLines | None:
    """Sort lines that may mean something; None if one has a name that is not valid.

    Returns the values of the fields that the gateway reads, by their names in lower case, and the lines of those; the
    lines that their sender may not send; the kinds of other names that mean something; the values of Authorization;
    the fields of a trace.
    :param lines: each with its name and value.
    """
    special: dict[bytes, list[bytes]] = {}
    unusual: dict[bytes, Kind] = {}
    dropped: list[bytes] = []
    forged: list[bytes] = []
    credentials: list[bytes] = []
    trace: list[tuple[bytes, bytes]] = []
    for line, spelled, value in lines:
        found = other_names.get(spelled) or read_name(spelled)
        if found is None:
            return None
        name, kind, is_claim = found
        if is_claim and not is_trusted:
            forged.append(line)
        elif kind is Kind.SPECIAL:
            special.setdefault(name, []).append(value.strip(b" \t"))
            dropped.append(line)
        elif kind is Kind.TRACE:
            trace.append((name, line))
        elif kind is not Kind.PLAIN:
            unusual[name] = kind
        elif name == AUTHORIZATION:
            credentials.append(value)
    return special, dropped, forged, unusual, credentials, trace


# -- lines
#
# Many a client sends the same line with every request, and many clients the same as others: to find a whole line among
# those that were seen costs less than to read its name. A line of an ordinary field is the same to every client, so
# nothing has to be forgotten but for the memory. Only fields are kept whose values are few; a client that makes up
# others has the rest learned over again, at the cost of a look-up each.

_MOST_LINES: Final = 2048
_LONGEST_LINE: Final = 256

REPEATING: Final = frozenset(
    spelled
    for name in (
        b"accept accept-charset accept-encoding accept-language cache-control content-type dnt origin pragma priority "
        b"sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform sec-fetch-dest sec-fetch-mode sec-fetch-site sec-fetch-user "
        b"upgrade-insecure-requests user-agent"
    ).split()
    for spelled in (name, name.title())
)
"""Names of ordinary fields whose lines are worth remembering."""

_known_lines: set[bytes] = set()
is_known_line: Final = _known_lines.__contains__
"""Whether a line is known to be valid and to mean nothing to the gateway."""


def know_line(line: bytes) -> None:
    """Remember a valid line of one of the fields in `REPEATING`."""
    if len(line) <= _LONGEST_LINE:
        if len(_known_lines) >= _MOST_LINES:
            _known_lines.clear()
        _known_lines.add(line)


def request_trailers(block: bytes, *, is_trusted: bool) -> bytes:
    """Return the trailer fields of a request that may go on: what only a proxy may send is no trailer of a client's.

    :param block: fields that are valid, and that RFC 9110 section 6.5.1 allows as trailers.
    """
    unwanted = {Kind.SPECIAL, Kind.DISGUISED} if is_trusted else set(Kind) - {Kind.PLAIN, Kind.ODD}
    lines = block.split(b"\r\n")[1:]
    return b"".join([b"\r\n" + line for line in lines if classify(name_of(line), SPECIAL_NAMES) not in unwanted])


def is_removed(name: str, trusts: Collection[Trust]) -> bool:
    """Whether a field is gone before routes are matched, whatever listener the request comes in at.

    :param name: in lower case.
    :param trusts: those of all listeners.
    """
    line = b"\r\n%b:" % name.encode("latin-1", "replace")
    if all(trust.stripped is not None and trust.stripped.are_in(line) for trust in trusts):
        return True
    key = folded(line[2:-1])
    is_reserved = any(trust.reserved is not None and trust.reserved.are_in(line) for trust in trusts)
    is_claim = is_reserved or (key not in LOOP_FIELDS and is_untrusted(key))
    return is_claim and not any(trust.has_trusted_peers for trust in trusts)
