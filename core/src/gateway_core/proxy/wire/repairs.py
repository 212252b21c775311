"""Repairs of what upstreams send: response heads and trailers that are not valid to the letter.

A head that is valid never comes here. For the others there are two degrees, and what goes on is always the repaired
form, never the bytes as they came:

`Leniency.REPAIR`, for every response, does what RFC 9110 and 9112 let a recipient do where there is one reading:

* white space before a colon is removed (RFC 9112 section 5.1: a proxy MUST);
* a folded line becomes one line, and white space before the first field is dropped with its line (sections 5.2, 2.2);
* a minor version above 1 counts as 1 (RFC 9110 section 2.5);
* a head that ends each of its lines with a bare LF is read so (section 2.2). One that mixes bare LF and CRLF is not: a
  bare LF among CRLFs is usually text of a client in the value of a field (response splitting).

`Leniency.TOLERANT`, where the configuration says ``http1.tolerant``, takes also what nginx or HAProxy (with
``accept-unsafe-violations-in-http-response``) take: mixed line ends, empty lines before the head, any white space in
the status line, control bytes in values (which become spaces), lines that are no fields (which are dropped).

Whether the *framing* was repaired is kept apart: then it is not certain that the endpoint sees the end of its response
where the gateway does, and the connection serves no other request.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import Final, NamedTuple

from gateway_core.messages.fields import TOKEN_BYTES, VALUE_BYTES
from gateway_core.proxy.wire.fields import Field


class Leniency(IntEnum):
    """How much of what is not valid is repaired."""

    STRICT = 0
    """Nothing: requests."""
    REPAIR = 1
    """What the RFCs let a recipient repair: responses."""
    TOLERANT = 2
    """What other proxies accept as well."""


class BadResponseError(Exception):
    """An upstream's bytes are not a response that has one reading; the client gets 502."""


class StatusLine(NamedTuple):
    """A status line that is valid or was repaired."""

    is_http_1_0: bool
    status: int
    reason: bytes


class RepairedHead(NamedTuple):
    """A head as it is to be understood."""

    size: int
    """Bytes that the head took, its empty line included."""
    line: StatusLine
    fields: list[Field]
    is_framing_repaired: bool


FRAMING_NAMES: Final = frozenset({b"connection", b"content-length", b"transfer-encoding"})
"""Fields by which the end of a message, or of its connection, is found."""

_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([0-9]) ([1-9][0-9]{2})(?: (.*))?", re.DOTALL)
_LOOSE_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([0-9])[ \t]+([1-9][0-9]{2})([ \t].*)?", re.DOTALL)
_LINE_END: Final = re.compile(rb"\r?\n")
_EMPTY_LINE: Final = re.compile(rb"\r?\n\r?\n")
_CONTROLS_TO_SPACES: Final = bytes(each if each in VALUE_BYTES else 0x20 for each in range(256))
_MOST_EMPTY: Final = 16
"""Bytes of empty lines before a head at most."""
_LONGEST_EXCERPT: Final = 60
"""Bytes of what an upstream sends that a reason shows."""


def may_begin_head(data: bytes, leniency: Leniency) -> bool:
    """Whether bytes may be the beginning of a response."""
    if leniency is Leniency.TOLERANT:
        data = data[_empty_lines(data) :]
    return data.startswith(b"HTTP/1."[: len(data)])


def _empty_lines(data: bytes) -> int:
    return min(len(data) - len(data.lstrip(b"\r\n")), _MOST_EMPTY)


def _protocol_of(data: bytes) -> str:
    """Return what an endpoint that does not speak HTTP/1 speaks, as the end of a reason; empty for all else."""
    if data.startswith((b"\x15\x03", b"\x16\x03")):  # an alert or a handshake (RFC 8446 section 5.1)
        return " but TLS: its url needs https"
    if data[:2] == b"\0\0" and data[3:4] in {b"\4", b"\7"} and data[5:9] == bytes(4):  # SETTINGS or GOAWAY
        return " but HTTP/2: the upstream needs protocol: http2"
    return ""


def repair_head(data: bytes, limit: int, leniency: Leniency) -> RepairedHead | None:
    """Return the head that bytes begin with, or None if it is not complete.

    :param limit: bytes that it may have.
    :raises BadResponseError: there is no reading of it, or more than one.
    """
    if not may_begin_head(data, leniency):
        raise BadResponseError(f"what it sends is no HTTP/1 response{_protocol_of(data)}")
    start = _empty_lines(data) if leniency is Leniency.TOLERANT else 0
    found = _find_lines(data, start, leniency)
    if (len(data) if found is None else found[1]) > limit:
        raise BadResponseError("its head is too large")
    if found is None:
        return None
    lines, size, is_repaired = found
    line = _repair_status_line(lines[0], leniency)
    fields, is_framing_repaired = repair_fields(lines[1:], leniency)
    return RepairedHead(size, line, fields, is_framing_repaired or is_repaired or start > 0)


def _find_lines(data: bytes, start: int, leniency: Leniency) -> tuple[list[bytes], int, bool] | None:
    """Return the lines of a head, its size and whether its line ends are others than CRLF; None if it is incomplete."""
    if leniency is Leniency.TOLERANT:
        empty = _EMPTY_LINE.search(data, start)
        if empty is None:
            return None
        raw = data[start : empty.start()]
        return _LINE_END.split(raw), empty.end(), raw.count(b"\n") != raw.count(b"\r\n") or empty[0] != b"\r\n\r\n"
    first = data.find(b"\n")
    end_of_line = b"\n" if first >= 0 and data[first - 1 : first] != b"\r" else b"\r\n"
    end = data.find(2 * end_of_line)
    raw = data if end < 0 else data[:end]
    # Whatever is still to come, a head with two kinds of line ends is refused.
    if b"\r" in raw if end_of_line == b"\n" else raw.count(b"\n") != raw.count(b"\r\n"):
        raise BadResponseError("its head has bare LF among its line ends")
    return None if end < 0 else (raw.split(end_of_line), end + 2 * len(end_of_line), end_of_line == b"\n")


def _repair_status_line(line: bytes, leniency: Leniency) -> StatusLine:
    pattern = _LOOSE_STATUS_LINE if leniency is Leniency.TOLERANT else _STATUS_LINE
    match = pattern.fullmatch(line)
    reason = match[3] or b"" if match is not None else b""
    if leniency is Leniency.TOLERANT:
        reason = reason.strip(b" \t")
    if reason.translate(None, VALUE_BYTES):
        if leniency is not Leniency.TOLERANT:
            match = None
        reason = reason.translate(_CONTROLS_TO_SPACES)
    if match is None:
        raise BadResponseError(f"its status line is {_excerpt(line)}")
    return StatusLine(match[1] == b"0", int(match[2]), reason)


def repair_fields(lines: list[bytes], leniency: Leniency) -> tuple[list[Field], bool]:
    """Return the fields of some lines, and whether the framing was repaired.

    :raises BadResponseError: a line is no field and cannot be made one.
    """
    is_tolerant = leniency is Leniency.TOLERANT
    fields: list[Field] = []
    is_repaired = False
    for number, (unfolded, line) in enumerate(_unfold(lines), 1):
        if line[:1] in {b" ", b"\t"}:
            is_repaired = True  # before the first field: dropped with what folds into it
            continue
        spaced, colon, value = line.partition(b":")
        name = spaced.rstrip(b" \t")
        if not colon or not name or name.translate(None, TOKEN_BYTES):
            if not is_tolerant:
                # A value may be a secret, and what stands before a colon is none.
                what = f"is named {_excerpt(spaced)}" if colon else "has no colon"
                raise BadResponseError(f"header field {number} {what}")
            is_repaired = True
            continue
        lowered = name.lower()
        is_framing = lowered in FRAMING_NAMES
        if value.translate(None, VALUE_BYTES):
            # In fields of the framing, others may well skip over such a byte, or not: there is no one reading.
            if not is_tolerant or is_framing:
                raise BadResponseError(f"the value of its field {_excerpt(name)} holds control characters")
            value = value.translate(_CONTROLS_TO_SPACES)
        if is_framing and (unfolded or len(name) < len(spaced)):
            is_repaired = True
        fields.append((lowered, b"%b:%b" % (name, value)))
    return fields, is_repaired


def shown_values(values: list[bytes]) -> str:
    """Return the values of a field of the framing, as a reason shows them."""
    return " and ".join(_excerpt(value) for value in values[:3])


def _excerpt(data: bytes) -> str:
    text = data[:_LONGEST_EXCERPT].decode("latin-1")
    return f"{text!r}{'...' if len(data) > _LONGEST_EXCERPT else ''}"


def _unfold(lines: list[bytes]) -> list[tuple[bool, bytes]]:
    """Join folded lines by one space each; return whether a line was folded, and the line."""
    unfolded: list[tuple[bool, bytes]] = []
    parts: list[bytes] = []
    for line in [*lines, b""]:
        if line[:1] in {b" ", b"\t"} and parts:
            parts.append(line.strip(b" \t"))
            continue
        if parts:
            # One join each: a field of many folds is not copied for each of them.
            unfolded.append((len(parts) > 1, b" ".join(parts) if len(parts) > 1 else parts[0]))
        parts = [line]
    return unfolded
