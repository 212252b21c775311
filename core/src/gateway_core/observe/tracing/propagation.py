"""The fields that carry a trace from one service to the next, read and written without I/O.

Two formats are read: ``traceparent`` with ``tracestate`` (W3C Trace Context, level 1 and 2) and B3, in one field or in
several (openzipkin/b3-propagation). What is not valid to the letter is as if it were not there. ``baggage`` (W3C
Baggage) is no part of a trace's identity: it goes on as it came, within the limits of its specification.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

Format = Literal["w3c", "b3", "b3multi"]

SAMPLED: Final = 0x01
"""Flag: the caller records the trace."""
RANDOM: Final = 0x02
"""Flag: the last 56 bits of the trace id are random (level 2); it is passed on as it came."""

MOST_STATE: Final = 8192
MOST_STATE_MEMBERS: Final = 32
"""Bytes and members of a ``tracestate`` that goes on; a longer one is dropped whole (section 3.3.1.1)."""
MOST_BAGGAGE: Final = 8192
MOST_BAGGAGE_MEMBERS: Final = 64
"""Bytes and members of ``baggage`` that go on; a longer one is dropped whole (W3C Baggage, section 3.3.2)."""

FIELD_NAMES: Final = frozenset({
    b"traceparent", b"tracestate", b"baggage", b"b3", b"x-b3-traceid", b"x-b3-spanid", b"x-b3-parentspanid",
    b"x-b3-sampled", b"x-b3-flags",
})  # fmt: skip
"""Names of the fields that carry a trace or baggage, in lower case."""

TraceFields = Sequence[tuple[bytes, bytes]]
"""The fields of a head that are among `FIELD_NAMES`, in their order: each name in lower case, and each whole line."""

_LONGEST_PARENT: Final = 512
_PARENT: Final = re.compile(rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")
_PARENT_LENGTH: Final = 55
_ANY_HEX: Final = b"0123456789abcdefABCDEF"
_B3_PARTS: Final = 4
_B3_SAMPLED: Final = frozenset({b"1", b"True", b"true", b"d"})
_B3_NOT_SAMPLED: Final = frozenset({b"0", b"False", b"false"})
_KEY_BYTES: Final = b"abcdefghijklmnopqrstuvwxyz0123456789_-*/"
_STATE_VALUE_BYTES: Final = bytes(range(0x20, 0x7F)).translate(None, b",=")
_LONGEST_KEY, _LONGEST_TENANT, _LONGEST_SYSTEM, _LONGEST_VALUE = 256, 241, 14, 256
_B3_NAMES: Final = (b"x-b3-traceid", b"x-b3-spanid", b"x-b3-sampled", b"x-b3-flags")
_FIELD: Final = re.compile(rb"\r\n(?:" + b"|".join(sorted(FIELD_NAMES)) + rb"):", re.IGNORECASE)
_ID_LINE: Final = b"\r\nX-Request-Id: "


class Remote(NamedTuple):
    """The span of a caller."""

    trace_id: str
    """32 hexadecimal digits in lower case."""
    span_id: str
    """16 of them."""
    flags: int
    is_decided: bool = True
    """Whether the caller has decided about sampling; B3 may leave that to us."""
    state: str = ""
    """A valid ``tracestate``, or nothing."""


def fields_of(block: bytes) -> TraceFields:
    """Return the fields of a trace in a block, each line of which has a CRLF before it."""
    if _FIELD.search(block) is None:
        return ()
    lines = [(line.partition(b":")[0].lower(), line) for line in block.split(b"\r\n")]
    return tuple([each for each in lines if each[0] in FIELD_NAMES])


def read_remote(fields: TraceFields, formats: Sequence[Format]) -> Remote | None:
    """Return the caller's span, by the first of the formats that names a valid one."""
    for each in formats:
        found = _read_w3c(fields) if each == "w3c" else _read_b3(fields)
        if found is not None:
            return found
    return None


def _values(fields: TraceFields, name: bytes) -> Sequence[bytes]:
    """Return the values of a field, in order."""
    return [line[len(name) + 1 :].strip(b" \t") for each, line in fields if each == name]


def _read_w3c(fields: TraceFields) -> Remote | None:
    parents = _values(fields, b"traceparent")
    if len(parents) != 1 or len(parents[0]) > _LONGEST_PARENT:  # several contradict each other (section 3.2)
        return None
    found, more = _PARENT.match(parents[0]), parents[0][_PARENT_LENGTH:]
    # Later versions may append something behind another dash (section 4.2).
    if found is None or (more and (found[1] == b"00" or more[:1] != b"-")):
        return None
    _, trace, span, flags = found.groups()
    state = _valid_state(_values(fields, b"tracestate")) if len(fields) > 1 else ""
    return Remote(trace.decode(), span.decode(), int(flags, 16) & (SAMPLED | RANDOM), state=state)


def _valid_state(values: Sequence[bytes]) -> str:
    """Return the members of a ``tracestate``, of one field or several; nothing if one is not valid."""
    if not values or sum(map(len, values)) + len(values) - 1 > MOST_STATE:
        return ""
    members = [member.strip(b" \t") for value in values for member in value.split(b",")]
    members = [member for member in members if member]
    keys = {member.partition(b"=")[0] for member in members}
    if len(members) > MOST_STATE_MEMBERS or len(keys) < len(members):
        return ""
    if not all(map(_is_member, members)):
        return ""
    return b",".join(members).decode("ascii")


def _is_member(member: bytes) -> bool:
    """Return whether a member of ``tracestate`` is valid (section 3.3.1.3)."""
    key, equals, value = member.partition(b"=")
    if not equals or not value or len(value) > _LONGEST_VALUE or value.translate(None, _STATE_VALUE_BYTES):
        return False
    name, at, system = key.partition(b"@")
    if (name + system).translate(None, _KEY_BYTES) or value.endswith(b" "):
        return False
    if not at:
        return name[:1].isalpha() and len(name) <= _LONGEST_KEY
    return (
        name[:1].isalnum() and len(name) <= _LONGEST_TENANT and system[:1].isalpha() and len(system) <= _LONGEST_SYSTEM
    )


def _read_b3(fields: TraceFields) -> Remote | None:
    sampled, is_debug = b"", False
    if single := _values(fields, b"b3"):
        parts = single[0].split(b"-")
        if not 2 <= len(parts) <= _B3_PARTS:
            return None
        trace, span = parts[:2]
        sampled = parts[2] if len(parts) > 2 else b""
    else:
        trace, span, sampled, flags = [(_values(fields, name) or (b"",))[0] for name in _B3_NAMES]
        is_debug = flags == b"1"
    if len(trace) not in {16, 32} or len(span) != 16 or (trace + span).translate(None, _ANY_HEX):
        return None
    if not trace.strip(b"0") or not span.strip(b"0"):
        return None
    is_sampled = is_debug or sampled in _B3_SAMPLED
    is_decided = is_sampled or sampled in _B3_NOT_SAMPLED
    return Remote(trace.decode().lower().zfill(32), span.decode().lower(), SAMPLED if is_sampled else 0, is_decided)


def read_decision(fields: TraceFields, formats: Sequence[Format]) -> bool | None:
    """Return whether a caller that names no span wants its request sampled (``b3: 0``); None if it does not say."""
    if "b3" not in formats and "b3multi" not in formats:
        return None
    sampling = (*_values(fields, b"b3"), *_values(fields, b"x-b3-sampled"))
    if (sampling and sampling[0] in _B3_SAMPLED) or _values(fields, b"x-b3-flags") == [b"1"]:
        return True
    return False if sampling and sampling[0] in _B3_NOT_SAMPLED else None


def lines_for(formats: Sequence[Format], trace_id: bytes, span_id: bytes, flags: int, state: str = "") -> bytes:
    """Return the fields for a request of a span, each line with a CRLF before it.

    ``traceparent`` is the last one: the lines before it are the same for more requests (see `encode_request`).
    """
    lines = [b"\r\ntracestate: " + state.encode("ascii")] if state and "w3c" in formats else []
    sampled = flags & SAMPLED
    if "b3multi" in formats:
        lines.append(b"\r\nX-B3-TraceId: %b\r\nX-B3-SpanId: %b\r\nX-B3-Sampled: %d" % (trace_id, span_id, sampled))
    if "b3" in formats:
        lines.append(b"\r\nb3: %b-%b-%d" % (trace_id, span_id, sampled))
    if "w3c" in formats:
        lines.append(b"\r\ntraceparent: 00-%b-%b-0%d" % (trace_id, span_id, flags))
    return b"".join(lines)


def with_lines(head: bytes, lines: bytes) -> bytes:
    """Return a head with lines before its last one, if that is X-Request-Id, else behind it.

    :param head: with its empty line.
    """
    at = head.rfind(b"\r\n", 0, len(head) - 4)
    if not head.startswith(_ID_LINE, at):
        at = len(head) - 4
    return b"".join((head[:at], lines, head[at:]))


def without_fields(head: bytes, fields: TraceFields, *, keeps_baggage: bool) -> tuple[bytes, bool]:
    """Return a head, or a part of one, without the fields of another span, and whether baggage was dropped.

    :param fields: all that are in it.
    :param keeps_baggage: whether ``baggage`` goes on if it is within the limits.
    """
    if len(fields) == 1:  # as mostly
        name, line = fields[0]
        if name != b"baggage":
            return head.replace(b"\r\n" + line, b"", 1), False
    baggage = _values(fields, b"baggage")
    keeps_baggage = keeps_baggage and is_small(baggage)
    # The longest first: what begins like a shorter one is not there any more.
    for line in sorted([line for name, line in fields if name != b"baggage" or not keeps_baggage], key=len)[::-1]:
        head = head.replace(b"\r\n" + line, b"", 1)
    return head, bool(baggage) and not keeps_baggage


def is_small(values: Sequence[bytes]) -> bool:
    """Return whether the values of ``baggage`` are within the limits together."""
    size = sum(map(len, values)) + max(0, len(values) - 1)
    return size <= MOST_BAGGAGE and sum(value.count(b",") + 1 for value in values) <= MOST_BAGGAGE_MEMBERS
