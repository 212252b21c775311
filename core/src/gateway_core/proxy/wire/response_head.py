"""The reading of an upstream's response head (RFC 9112 sections 4 to 6).

Most heads are valid to the letter and read in one pass. The others go through `gateway_core.proxy.wire.repairs`, which
returns the same parts or refuses them; how the body is framed is decided here for both.
"""

from __future__ import annotations

from copy import copy
from typing import Final

from gateway_core.messages.fields import FRAMING_FIELDS, VALUE_BYTES
from gateway_core.proxy.wire.fields import (
    Field,
    announced_trailers,
    challenge_binds,
    content_length,
    join_lines,
    list_members,
    split_block,
    value_of,
)
from gateway_core.proxy.wire.repairs import BadResponseError, Leniency, repair_head, shown_values

__all__ = [
    "CHUNKED",
    "NO_BODY",
    "UNTIL_CLOSE",
    "BadResponseError",
    "ResponseHead",
    "read_response_head",
]

NO_BODY: Final = -2
"""``length`` of a response that has no body whatever its head says."""

UNTIL_CLOSE: Final = -1
"""``length`` of a response that ends with its connection."""

CHUNKED: Final = -3
"""``length`` of a response in chunks."""

UPGRADE_REQUIRED: Final = 426
"""The one final status with which Upgrade goes on: it is what the client is to ask for (RFC 9110 section 15.5.22)."""

_SPECIAL: Final = FRAMING_FIELDS | {b"x-request-id"}


class ResponseHead:
    """A response's head; never changed, so it serves every response with the same bytes."""

    __slots__ = (
        "binds",
        "block",
        "content_length",
        "encoded",
        "ending",
        "has_date",
        "keep_alive",
        "length",
        "lowered",
        "plain",
        "reason",
        "size",
        "status",
        "trailer",
        "upgrade",
    )

    def __init__(self, raw: bytes, status: int, reason: bytes) -> None:
        self.ending = raw
        """The head as it came, with its empty line, by which the next one like it is recognised."""
        self.size = len(raw)
        self.status = status
        self.reason = reason.decode("latin-1")
        self.block = b""
        """The fields that go on: neither Content-Length nor X-Request-Id, which are the gateway's."""
        self.lowered = b""
        """These fields in lower case."""
        self.content_length: int | None = None
        """What the head says, which for HEAD and 304 is not what follows."""
        self.length = UNTIL_CLOSE
        """Bytes of the body, or `UNTIL_CLOSE`, `CHUNKED`; `NO_BODY` only by status."""
        self.keep_alive = True
        """Whether the connection may serve another request; not if the framing was repaired."""
        self.has_date = False
        """Whether there is a Date, which a recipient must add otherwise (RFC 9110 section 6.6.1)."""
        self.binds = False
        """Whether the connection belongs to its client from here on."""
        self.trailer = b""
        """The line of a Trailer field, which goes on where trailers can follow: with a body in chunks."""
        self.upgrade: bytes | None = None
        """The protocols that Upgrade offers, or changes to."""
        self.plain = b""
        """The head as it goes to a client that keeps its connection, up to its last fields: with the length of a body,
        but for a body in chunks. Empty for a response without a body, one that ends with its connection, or a 426."""

        self.encoded: tuple[bytes, bytes] | None = None
        """The head as it goes to clients of HTTP/2 that get all of the body: lines that were added, and all of the
        block with them but for the request's id. Without Content-Length it is that of a response with trailers."""

    def know_encoded(self, added: bytes, encoded: bytes) -> None:
        """Note how the head goes over HTTP/2, for the next response with it."""
        self.encoded = added, encoded

    def came_over_http2(self, *, ends: bool) -> None:
        """Note that frames say what ends the body; with ``ends`` there is none."""
        if self.length == UNTIL_CLOSE:
            self.length = 0 if ends else CHUNKED
            self.plain = b"HTTP/1.1 %d %b%b" % (self.status, self.reason.encode("latin-1"), self.block)
            if ends:
                self.plain += b"\r\nContent-Length: 0"
        self.keep_alive = True

    def with_block(self, block: bytes) -> ResponseHead:
        """Return this head with other fields; its framing is the same."""
        made = copy(self)
        made.block, made.lowered, made.encoded = block, block.lower(), None
        if made.plain:
            made.plain = made.plain.replace(self.block, block, 1)
        return made


def read_response_head(data: bytes, limit: int, leniency: Leniency = Leniency.REPAIR) -> ResponseHead | None:
    """Return the head that bytes begin with, or None if it is not complete.

    :param data: what came of a response so far, from its first byte.
    :param limit: bytes that a head may have, its empty line included.
    :param leniency: what is done with a head that is not valid to the letter.
    :raises BadResponseError: it has no reading, or more than one.
    """
    end = data.find(b"\r\n\r\n", 0, limit)
    if end >= 0:
        begin = data.find(b"\r\n")
        line, block = data[:begin], data[begin:end]
        if _is_valid(line) and (fields := split_block(block)) is not None:
            is_http_1_0 = line[7:8] == b"0"
            return _make_head(data[: end + 4], is_http_1_0, int(line[9:12]), line[13:], fields, block, leniency)
    repaired = repair_head(data, limit, leniency)
    if repaired is None:
        return None
    head = _make_head(data[: repaired.size], *repaired.line, repaired.fields, join_lines(repaired.fields), leniency)
    if repaired.is_framing_repaired:
        head.keep_alive = False
    return head


def _is_valid(line: bytes) -> bool:
    """Whether a status line is valid to the letter."""
    code = line[9:12]
    return (
        line[:7] == b"HTTP/1."
        and line[7:9] in {b"0 ", b"1 "}
        and len(code) == 3
        and code.isdigit()
        and code[:1] != b"0"
        and line[12:13] in {b"", b" "}
        and not line.translate(None, VALUE_BYTES)
    )


def _make_head(
    raw: bytes,
    is_http_1_0: bool,
    status: int,
    reason: bytes,
    fields: list[Field],
    block: bytes,
    leniency: Leniency,
) -> ResponseHead:
    """Return what a head means.

    :param block: the fields as they are to be understood.
    """
    head = ResponseHead(raw, status, reason)
    special: dict[bytes, list[bytes]] = {}
    kept: list[Field] = []
    for field in fields:
        if field[0] in _SPECIAL:
            special.setdefault(field[0], []).append(value_of(field[1]))
        else:
            kept.append(field)
    options = frozenset(list_members(special.get(b"connection", [])))
    if options:
        kept = [field for field in kept if field[0] not in options]
    head.block = join_lines(kept)
    lowered = head.lowered = head.block.lower()
    head.has_date = lowered.find(b"\r\ndate:") >= 0  # not one that Connection names, which does not go on
    head.binds = challenge_binds(block.lower())
    if b"upgrade" in options or status == 101:
        head.upgrade = b", ".join(special.get(b"upgrade", []))
    if b"trailer" in special and b"trailer" not in options:
        head.trailer = announced_trailers(special[b"trailer"])
    is_repaired = _read_framing(head, special, is_http_1_0, leniency)
    head.keep_alive = not is_repaired and b"close" not in options and (not is_http_1_0 or b"keep-alive" in options)
    if (head.length >= 0 or head.length == CHUNKED) and (status != UPGRADE_REQUIRED or not head.upgrade):
        head.plain = b"HTTP/1.1 %d %b%b" % (status, reason, head.block)
        if head.length >= 0:
            head.plain += b"\r\nContent-Length: %d" % head.length
    return head


def _read_framing(head: ResponseHead, special: dict[bytes, list[bytes]], is_http_1_0: bool, leniency: Leniency) -> bool:
    """Decide how the body is framed (RFC 9112 section 6.3); return whether that was repaired."""
    is_repaired = False
    lengths = special.get(b"content-length")
    codings = special.get(b"transfer-encoding")
    if codings is not None:
        if leniency is Leniency.TOLERANT and [coding.lower() for coding in codings] == [b"identity"]:
            codings, is_repaired = None, True  # a coding of RFC 2616 that meant none
        elif len(codings) != 1 or codings[0].lower() != b"chunked" or (lengths and leniency < Leniency.TOLERANT):
            beside = " beside a Content-Length" if lengths else ""
            raise BadResponseError(f"its Transfer-Encoding is {shown_values(codings)}{beside}")
        else:
            # Beside a Content-Length it overrides that; to HTTP/1.0 it is a repaired framing (section 6.1).
            is_repaired = is_http_1_0 or lengths is not None
            head.length = CHUNKED
    if lengths is not None and codings is None:
        number = content_length(lengths[0]) if len(lengths) == 1 else -1
        if number < 0:
            # One value that was sent several times counts once (RFC 9110 section 8.6).
            numbers = {content_length(value.strip(b" \t")) for text in lengths for value in text.split(b",")}
            number, is_repaired = numbers.pop(), True
            if numbers or number < 0:
                raise BadResponseError(f"its Content-Length is {shown_values(lengths)}")
        head.content_length = head.length = number
    if head.status < 200 or head.status in {204, 304}:
        head.length = NO_BODY
    return is_repaired
