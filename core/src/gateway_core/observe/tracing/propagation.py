"""The fields that carry a trace from one service to the next, read and written without I/O.

Two formats are read: ``traceparent`` with ``tracestate`` (W3C Trace Context, level 1 and 2) and B3, in one field or in
several (openzipkin/b3-propagation). What is not valid to the letter is as if it were not there. ``baggage`` (W3C
Baggage) is no part of a trace's identity: it goes on as it came, within the limits of its specification.
"""

from __future__ import annotations

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

_LONGEST_PARENT: Final = 512
_PARENT_LENGTH: Final = 55
_HEX: Final = b"0123456789abcdef"
_ANY_HEX: Final = _HEX + b"ABCDEF"
_ZEROS: Final = b"0" * 32
_B3_PARTS: Final = 4
_B3_SAMPLED: Final = frozenset({b"1", b"True", b"true", b"d"})
_B3_NOT_SAMPLED: Final = frozenset({b"0", b"False", b"false"})
_KEY_BYTES: Final = b"abcdefghijklmnopqrstuvwxyz0123456789_-*/"
_STATE_VALUE_BYTES: Final = bytes(range(0x20, 0x7F)).translate(None, b",=")
_LONGEST_KEY, _LONGEST_TENANT, _LONGEST_SYSTEM, _LONGEST_VALUE = 256, 241, 14, 256
_B3_NEEDLES: Final = (b"\r\nx-b3-traceid:", b"\r\nx-b3-spanid:", b"\r\nx-b3-sampled:", b"\r\nx-b3-flags:")
_SPAN_NEEDLES: Final = (
    b"\r\ntraceparent:", b"\r\ntracestate:", b"\r\nb3:", b"\r\nx-b3-parentspanid:", *_B3_NEEDLES,
)  # fmt: skip
_BAGGAGE: Final = b"\r\nbaggage:"
_NOTHING: Final = (b"",)


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


def has_fields(lowered: bytes) -> bool:
    """Return whether a block of fields may have one that carries a trace or baggage.

    :param lowered: the block in lower case, each line with a CRLF before it.
    """
    # One look for each is faster than one regular expression for all: most heads have none.
    return b"\r\ntrace" in lowered or b"\r\nbaggage:" in lowered or b"\r\nb3:" in lowered or b"\r\nx-b3-" in lowered


def read_remote(block: bytes, lowered: bytes, formats: Sequence[Format]) -> Remote | None:
    """Return the caller's span, by the first of the formats that names a valid one.

    :param block: lines with a CRLF before each, as they came, and the same in lower case.
    """
    for each in formats:
        found = _read_w3c(block, lowered) if each == "w3c" else _read_b3(block, lowered)
        if found is not None:
            return found
    return None


def _values(block: bytes, lowered: bytes, needle: bytes) -> Sequence[bytes]:
    """Return the values of a field, in order.

    :param needle: a CRLF, its name in lower case, and a colon.
    """
    start = lowered.find(needle)
    if start < 0:
        return ()
    found = []
    while start >= 0:
        begin = start + len(needle)
        end = block.find(b"\r\n", begin)
        found.append(block[begin : end if end >= 0 else len(block)].strip(b" \t"))
        start = lowered.find(needle, begin)
    return found


def _read_w3c(block: bytes, lowered: bytes) -> Remote | None:
    parents = _values(block, lowered, b"\r\ntraceparent:")
    if len(parents) != 1 or len(parents[0]) > _LONGEST_PARENT:  # several contradict each other (section 3.2)
        return None
    value = parents[0]
    version, trace, span, flags = value[:2], value[3:35], value[36:52], value[53:55]
    is_formed = len(value) >= _PARENT_LENGTH and value[2:3] == value[35:36] == value[52:53] == b"-"
    is_longer = len(value) > _PARENT_LENGTH
    # Later versions may append something behind another dash (section 4.2).
    if not is_formed or (is_longer and (version == b"00" or value[55:56] != b"-")):
        return None
    if (version + trace + span + flags).translate(None, _HEX) or version == b"ff":
        return None
    if trace == _ZEROS or span == _ZEROS[:16]:
        return None
    state = _valid_state(_values(block, lowered, b"\r\ntracestate:"))
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


def _read_b3(block: bytes, lowered: bytes) -> Remote | None:
    sampled, is_debug = b"", False
    if single := _values(block, lowered, b"\r\nb3:"):
        parts = single[0].split(b"-")
        if not 2 <= len(parts) <= _B3_PARTS:
            return None
        trace, span = parts[:2]
        sampled = parts[2] if len(parts) > 2 else b""
    else:
        trace, span, sampled, flags = [(_values(block, lowered, needle) or _NOTHING)[0] for needle in _B3_NEEDLES]
        is_debug = flags == b"1"
    if len(trace) not in {16, 32} or len(span) != 16 or (trace + span).translate(None, _ANY_HEX):
        return None
    if not trace.strip(b"0") or not span.strip(b"0"):
        return None
    is_sampled = is_debug or sampled in _B3_SAMPLED
    is_decided = is_sampled or sampled in _B3_NOT_SAMPLED
    return Remote(trace.decode().lower().zfill(32), span.decode().lower(), SAMPLED if is_sampled else 0, is_decided)


def lines_for(formats: Sequence[Format], trace_id: str, span_id: str, flags: int, state: str = "") -> bytes:
    """Return the fields for a request of a span, each line with a CRLF behind it."""
    if len(formats) == 1 and formats[0] == "w3c" and not state:  # as almost always
        return f"traceparent: 00-{trace_id}-{span_id}-0{flags}\r\n".encode("ascii")
    lines = ""
    for each in formats:
        if each == "w3c":
            lines += f"traceparent: 00-{trace_id}-{span_id}-0{flags}\r\n"
            if state:
                lines += f"tracestate: {state}\r\n"
        elif each == "b3":
            lines += f"b3: {trace_id}-{span_id}-{flags & SAMPLED}\r\n"
        else:
            lines += f"X-B3-TraceId: {trace_id}\r\nX-B3-SpanId: {span_id}\r\nX-B3-Sampled: {flags & SAMPLED}\r\n"
    return lines.encode("ascii")


def without_fields(head: bytes, *, keeps_baggage: bool) -> tuple[bytes, bool]:
    """Return a head without the fields of another span, and whether baggage was dropped.

    :param head: with its first line and its empty line.
    :param keeps_baggage: whether ``baggage`` goes on if it is within the limits.
    """
    lowered = head.lower()
    for needle in _SPAN_NEEDLES:
        start = lowered.find(needle)
        while start >= 0:
            end = lowered.index(b"\r\n", start + 2)
            head, lowered = head[:start] + head[end:], lowered[:start] + lowered[end:]
            start = lowered.find(needle)
    if _BAGGAGE not in lowered or (keeps_baggage and is_small(_values(head, lowered, _BAGGAGE))):
        return head, False
    while (start := lowered.find(_BAGGAGE)) >= 0:
        end = lowered.index(b"\r\n", start + 2)
        head, lowered = head[:start] + head[end:], lowered[:start] + lowered[end:]
    return head, True


def is_small(values: Sequence[bytes]) -> bool:
    """Return whether the values of ``baggage`` are within the limits together."""
    size = sum(map(len, values)) + max(0, len(values) - 1)
    return size <= MOST_BAGGAGE and sum(value.count(b",") + 1 for value in values) <= MOST_BAGGAGE_MEMBERS
