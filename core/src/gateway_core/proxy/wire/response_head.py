"""The strict reading of an upstream's answer head (RFC 9112 sections 4 to 6)."""

from __future__ import annotations

from typing import Final

from gateway_core.messages.fields import VALUE_BYTES
from gateway_core.proxy.wire.bound import challenge_binds
from gateway_core.proxy.wire.fields import (
    HOP_BY_HOP,
    Field,
    content_length,
    join_lines,
    list_members,
    split_block,
    value_of,
)

NO_BODY: Final = -2
"""``length`` of an answer that has no body whatever its head says."""

UNTIL_CLOSE: Final = -1
"""``length`` of an answer that ends with its connection."""

CHUNKED: Final = -3
"""``length`` of an answer in chunks."""

_SPECIAL: Final = HOP_BY_HOP | {b"content-length", b"x-request-id"}


class BadAnswerError(Exception):
    """An upstream's bytes are not an answer that has one reading; the client gets 502."""


class ResponseHead:
    """An answer's head; never changed, so it serves every answer with the same bytes."""

    __slots__ = (
        "binds",
        "block",
        "content_length",
        "ending",
        "keep_alive",
        "length",
        "plain",
        "reason",
        "size",
        "status",
        "upgrade",
    )

    def __init__(self, raw: bytes, status: int, reason: str) -> None:
        self.ending = raw + b"\r\n\r\n"
        """The head with its empty line, by which the next one like it is recognised."""
        self.size = len(self.ending)
        self.status = status
        self.reason = reason
        self.block = b""
        """The fields that go on: neither Content-Length nor X-Request-Id, which are the gateway's."""
        self.content_length: int | None = None
        """What the head says, which for HEAD and 304 is not what follows."""
        self.length = UNTIL_CLOSE
        """Bytes of the body, or `UNTIL_CLOSE`, `CHUNKED`; `NO_BODY` only by status."""
        self.keep_alive = True
        self.binds = False
        """Whether the connection belongs to its client from here on."""
        self.upgrade: bytes | None = None
        self.plain = b""
        """The head as it goes to a client that keeps its connection, up to its last fields: with the length of a body,
        but for a body in chunks. Empty for an answer without a body, or one that ends with its connection."""


def read_response_head(raw: bytes) -> ResponseHead:
    """Return what an answer's head says.

    :param raw: the head from its first byte to before the empty line.
    :raises BadAnswerError: it is not valid to the letter, or its framing has more than one reading.
    """
    end = raw.find(b"\r\n")
    line, block = (raw, b"") if end < 0 else (raw[:end], raw[end:])
    head = _read_status_line(raw, line)
    fields = split_block(block)
    if fields is None:
        raise BadAnswerError("header fields are not valid")
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
    http_1_0 = line[7:8] == b"0"
    head.keep_alive = b"close" not in options and (not http_1_0 or b"keep-alive" in options)
    head.block = join_lines(kept)
    head.binds = challenge_binds(block.lower())
    if b"upgrade" in options or head.status == 101:
        head.upgrade = b", ".join(special.get(b"upgrade", []))
    _read_framing(head, special, http_1_0)
    if head.length >= 0 or head.length == CHUNKED:
        head.plain = b"HTTP/1.1 %d %b%b" % (head.status, line[13:], head.block)
        if head.length >= 0:
            head.plain += b"\r\nContent-Length: %d" % head.length
    return head


def _read_status_line(raw: bytes, line: bytes) -> ResponseHead:
    code = line[9:12]
    if (
        line[:7] != b"HTTP/1."
        or line[7:9] not in {b"0 ", b"1 "}
        or not code.isdigit()
        or line[12:13] not in {b"", b" "}
    ):
        raise BadAnswerError("bad status line")
    reason = line[13:]
    if reason.translate(None, VALUE_BYTES) or int(code) < 100 or len(code) != 3:
        raise BadAnswerError("bad status line")
    return ResponseHead(raw, int(code), reason.decode("latin-1"))


def _read_framing(head: ResponseHead, special: dict[bytes, list[bytes]], http_1_0: bool) -> None:
    lengths = special.get(b"content-length")
    codings = special.get(b"transfer-encoding")
    if lengths is not None:
        number = content_length(lengths[0])
        if len(lengths) != 1 or number < 0:
            raise BadAnswerError("bad Content-Length")
        head.content_length = head.length = number
    if codings is not None:
        if lengths is not None or http_1_0 or len(codings) != 1 or codings[0].lower() != b"chunked":
            raise BadAnswerError("bad Transfer-Encoding")
        head.length = CHUNKED
    if head.status < 200 or head.status in {204, 304}:
        head.length = NO_BODY
