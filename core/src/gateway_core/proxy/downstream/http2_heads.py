"""The heads of an HTTP/2 connection: from blocks of HPACK to what an exchange begins with.

A block becomes a head of HTTP/1.1, which the one reader of heads judges (`HeadReader`), so that nothing depends on the
protocol that a request came in. As long as the dynamic table stays the same, a block means what it meant before, and
clients that repeat their fields send such blocks. So there are three ways, from the cheapest:

* A block that came before is looked up whole. When it comes a second time it is made a `CachedHead`, with its route.
* A block that differs from one before in nothing but its ``:path`` is a `_Template` filled in. That is how clients send
  it which keep paths out of the table, since they seldom come again (RFC 7541 section 6.2.2): literal and first.
* All others are decoded.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from typing import Final, NamedTuple

from gateway_core.proxy.downstream.client import Client
from gateway_core.proxy.downstream.head_reader import CachedHead, HeadReader
from gateway_core.proxy.wire.h2.fields import (
    MalformedFieldsError,
    RequestFields,
    handshake_lines,
    request_fields,
    trailer_fields,
)
from gateway_core.proxy.wire.h2.hpack import Decoder, Field, FieldsTooLargeError, read_string
from gateway_core.proxy.wire.request_head import HeadProblem, RequestHead, match_usual_line
from gateway_core.reasons import BAD_REQUEST, HEAD_TOO_LARGE, METHOD_UNSUPPORTED
from gateway_core.snapshot import Snapshot

_MOST: Final = 64
"""Blocks that are remembered, and templates."""

_MOST_KEPT: Final = 65_536
"""Bytes of heads that are remembered: a client chooses them, and how many connections do so."""

_TOO_LARGE: Final = HeadProblem(431, HEAD_TOO_LARGE, "the fields are larger than limits.max_head_bytes")

_PATH: Final = 0x04
"""The first byte of a ``:path`` that enters no table."""

_INDEXED: Final = bytes(range(0x81, 0xFF))
"""Fields that are one byte: indices into the tables."""

_PSEUDO_FIELDS: Final = 5


class Http2Heads:
    """Reads the blocks of one connection, in their order."""

    __slots__ = ("_client", "_decoder", "_generation", "_most", "_plain", "_snapshot", "_with_body")

    def __init__(self, client: Client, most: int) -> None:
        """Begin with an empty table.

        :param most: bytes of a list of fields at most, as it is announced in SETTINGS.
        """
        self._client = client
        self._decoder = Decoder(most)
        self._most = most
        self._plain: _Memory | None = None
        self._with_body: _Memory | None = None
        self._generation = 0
        self._snapshot: Snapshot | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is remembered that belongs to a configuration."""
        return self._plain is None and self._with_body is None

    def clear(self) -> None:
        """Forget everything but the table, which is the client's as well."""
        self._plain = self._with_body = self._snapshot = None

    def read(self, block: bytes, snapshot: Snapshot, *, has_body: bool) -> RequestHead | HeadProblem:
        """Return the head of a request, or why there is none that is served.

        :param has_body: whether the stream does not end with this block.
        :raises Http2ConnectionError: the block is no HPACK.
        :raises MalformedFieldsError: its fields make no request.
        """
        if self._snapshot is not snapshot or self._generation != self._decoder.generation:
            self._renew(snapshot)
        memory = self._with_body if has_body else self._plain
        if memory is None:
            memory = _Memory(HeadReader(self._client), self._most, has_body=has_body)
            if has_body:
                self._with_body = memory
            else:
                self._plain = memory
        head = memory.known.get(block)
        if head is not None:
            return head
        return memory.recall(block, self._client, snapshot) or self._decode(block, memory, snapshot)

    def _renew(self, snapshot: Snapshot) -> None:
        """Forget what a block meant: by another table, or another configuration, it means something else."""
        self._snapshot, self._generation = snapshot, self._decoder.generation
        for memory in (self._plain, self._with_body):
            if memory is not None:
                memory.forget()

    def _decode(self, block: bytes, memory: _Memory, snapshot: Snapshot) -> RequestHead | HeadProblem:
        decoder = self._decoder
        try:
            decoded = decoder.decode(block)
        except FieldsTooLargeError:
            return _TOO_LARGE
        fields = request_fields(decoded)
        if fields.protocol is not None:
            return memory.read_handshake(fields, snapshot)
        head = memory.read(b"".join((fields.line, fields.block, b"\r\n\r\n")), snapshot)
        if isinstance(head, RequestHead):
            if not memory.has_body and head.facts.content_length > 0:
                raise MalformedFieldsError("there is a Content-Length and no body")
            if decoder.generation == self._generation:
                memory.remember(block, head, decoded, snapshot.limits.max_head_bytes)
        return head

    def read_trailers(self, block: bytes) -> bytes:
        """Return the trailer fields behind a body, as lines.

        :raises Http2ConnectionError: the block is no HPACK.
        :raises MalformedFieldsError: they are no trailers, or too large.
        """
        try:
            return trailer_fields(self._decoder.decode(block))
        except FieldsTooLargeError as error:
            raise MalformedFieldsError(str(error)) from None

    def skip(self, block: bytes) -> None:
        """Decode a block only to keep the dynamic table in step.

        :raises Http2ConnectionError: the block is no HPACK.
        """
        with contextlib.suppress(FieldsTooLargeError):
            self._decoder.decode(block)


class _Template(NamedTuple):
    """A head of which another path makes another one."""

    head: RequestHead
    room: int
    """Bytes that the path may have."""


class _Memory:
    """What is remembered of heads with a body behind them, or of those without: the same fields mean something else."""

    __slots__ = ("_kept", "_most", "_once", "_reader", "_templates", "has_body", "known")

    def __init__(self, reader: HeadReader, most: int, *, has_body: bool) -> None:
        self._reader = reader
        self._most = most
        self.has_body = has_body
        self.known: dict[bytes, CachedHead] = {}
        """Heads by blocks that came more than once."""
        self._once: dict[bytes, RequestHead] = {}
        self._templates: dict[tuple[bytes, bytes], _Template] = {}  # by what is before and behind the path
        self._kept = 0  # bytes of all of them

    def forget(self) -> None:
        """Forget all blocks."""
        if self._kept:
            self.known.clear()
            self._once.clear()
            self._templates.clear()
            self._kept = 0

    def recall(self, block: bytes, client: Client, snapshot: Snapshot) -> RequestHead | HeadProblem | None:
        """Return the head of a block that came before, or one like it; None if it has to be decoded."""
        before = self._once.pop(block, None)
        if before is not None:
            cached = self.known[block] = CachedHead(before, client, snapshot)
            return cached
        found = _find_path(block)
        template = None if found is None else self._templates.get((block[: found[0]], block[found[1] :]))
        if found is None or template is None:
            return None
        at, end = found
        path = block[at + 2 : end]
        if block[at + 1] & 0x80:
            path = read_string(path)
        head = _with_target(template.head, path) if len(path) <= template.room else None
        if head is not None:
            head.place(template.head.origin, snapshot.path_policy)
            head.came_over_http2(has_body=self.has_body)
            self._keep(block, head)
        return head

    def read(self, data: bytes, snapshot: Snapshot) -> RequestHead | HeadProblem:
        """Return what a head of HTTP/1 is."""
        head = self._reader.read(data, 0, snapshot)
        if head is None:
            return HeadProblem(400, BAD_REQUEST, "the fields are no head")
        if isinstance(head, RequestHead):
            head.came_over_http2(has_body=self.has_body)
        return head

    def read_handshake(self, fields: RequestFields, snapshot: Snapshot) -> RequestHead | HeadProblem:
        """Return the head with which HTTP/1 asks for another protocol."""
        protocol = fields.protocol or b""
        lines = handshake_lines(protocol, os.urandom(16))
        head = self._reader.read(b"".join((fields.line, fields.block, lines, b"\r\n\r\n")), 0, snapshot)
        if isinstance(head, RequestHead):
            head.came_over_http2(has_body=False)
            if head.facts.upgrade is None:
                # Upstreams are never asked for it (RFC 9220 section 3); a 2xx would open a tunnel all the same.
                head.facts.ask_for(protocol)
                refusal = 501, METHOD_UNSUPPORTED, f"the protocol {protocol!r} is not tunnelled"
                head.place(head.origin, snapshot.path_policy, head.refusal or refusal)
        return head or HeadProblem(400, BAD_REQUEST, "the fields are no head")

    def remember(self, block: bytes, head: RequestHead, decoded: Sequence[Field], most: int) -> None:
        """Know a block again that changed nothing in the table, and others that differ from it in their path.

        :param most: bytes of a head at most.
        """
        if not self._keep(block, head):
            return
        found = _find_path(block)
        if found is not None and head.refusal is None and not block[: found[0]].translate(None, _INDEXED):
            left = min(self._most - sum([each[3] for each in decoded]), most - head.size)
            room = left + len(head.target)
            self._templates[block[: found[0]], block[found[1] :]] = _Template(head, room)
            self._kept += head.size

    def _keep(self, block: bytes, head: RequestHead) -> bool:
        """Remember a block that came once; False if it is too large."""
        size = head.size
        if size * 2 > _MOST_KEPT:
            return False
        self._kept += size
        if self._kept > _MOST_KEPT or len(self._once) + len(self.known) + len(self._templates) >= _MOST:
            self.forget()
            self._kept = size
        self._once[block] = head
        return True


def _find_path(block: bytes) -> tuple[int, int] | None:
    """Return where a literal ``:path`` begins and ends, if what is before it is one byte for each field."""
    at = block.find(_PATH, 0, _PSEUDO_FIELDS)
    if at < 0 or at + 1 >= len(block):
        return None
    size = block[at + 1] & 0x7F
    end = at + 2 + size
    return (at, end) if size < 0x7F and end <= len(block) else None


def _with_target(head: RequestHead, target: bytes) -> RequestHead | None:
    """Return a head like another one but for its target, to be placed; None if it is not as simple as that."""
    line = b"%b %b HTTP/1.1" % (head.method.encode(), target)
    found = match_usual_line(line.decode("latin-1"))
    if found is None or not head.line or head.responder or head.facts.max_forwards >= 0:
        return None
    method, text, path, odd, query = found.groups("")
    is_plain = not odd and "//" not in path and "/." not in path
    size = head.size - len(head.line) + len(line)
    return RequestHead(method, text, path, query, head.facts, line, size, is_plain)
