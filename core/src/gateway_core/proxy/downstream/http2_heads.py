"""The heads of an HTTP/2 connection: from blocks of HPACK to what an exchange begins with.

A block becomes a head of HTTP/1.1, which the one reader of heads judges (`HeadReader`), so that nothing depends on the
protocol that a request came in. As long as the dynamic table stays the same, a block means what it meant before, and
clients that repeat their fields send such blocks. So there are four ways, from the cheapest:

* A block that came before is looked up whole. When it comes a second time it is made a `CachedHead`, with its route.
* A block that differs from one before in nothing but its ``:path`` is a `_Template` filled in. That is how clients send
  it which keep paths out of the table, since they seldom come again (RFC 7541 section 6.2.2): literal and first.
* All others are decoded. If the fields are those of a head before, but for the values of a few that mean nothing to the
  gateway (a cookie, a trace) and the path, they are not read again: they are a `_Model` with these values. As entries
  of tables are one object each, and so are runs of indices that mean the same, a few comparisons of pointers show that.
* What is left is read as a head.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from typing import Final, NamedTuple

from gateway_core.observe.tracing.propagation import FIELD_NAMES
from gateway_core.proxy.downstream.client import Client
from gateway_core.proxy.downstream.head_reader import CachedHead, HeadReader
from gateway_core.proxy.wire.field_names import plain_names
from gateway_core.proxy.wire.h2.fields import (
    MalformedFieldsError,
    RequestFields,
    handshake_lines,
    request_fields,
    trailer_fields,
)
from gateway_core.proxy.wire.h2.hpack import Decoder, Field, FieldsTooLargeError, read_string
from gateway_core.proxy.wire.h2.hpack_runs import Run
from gateway_core.proxy.wire.request_fields import RequestFacts, usual_facts
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

_END: Final = b"\r\n\r\n"

_MOST_MODELS: Final = 8
_MOST_CHANGES: Final = 4
"""Fields in which a head differs from its model at most."""


class Http2Heads:
    """Reads the blocks of one connection, in their order."""

    __slots__ = ("_client", "_decoder", "_generation", "_most", "_plain", "_snapshot", "_with_body")

    def __init__(self, client: Client, most: int) -> None:
        """Begin with an empty table.

        :param most: bytes of a list of fields at most, as it is announced in SETTINGS.
        """
        self._client, self._most = client, most
        self._decoder = Decoder(most)
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
        self._decoder.forget()

    def read(self, block: bytes, snapshot: Snapshot, has_body: bool) -> RequestHead | HeadProblem:
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
        if memory.kept:
            head = memory.known.get(block) or memory.recall(block, self._client, snapshot)
            if head is not None:
                return head
        return self._decode(block, memory, snapshot)

    def _renew(self, snapshot: Snapshot) -> None:
        """Forget what a block meant: by another table, or another configuration, it means something else."""
        for memory in (self._plain, self._with_body):
            if memory is not None:
                if memory.kept:
                    memory.forget()
                if self._snapshot is not snapshot:
                    memory.models.clear()
        self._snapshot, self._generation = snapshot, self._decoder.generation

    def _decode(self, block: bytes, memory: _Memory, snapshot: Snapshot) -> RequestHead | HeadProblem:
        decoder = self._decoder
        try:
            decoded = decoder.decode(block)
        except FieldsTooLargeError:
            return _TOO_LARGE
        known = memory.resemble(decoded, decoder.parts, snapshot)
        if known is None:
            fields = request_fields(decoded)
            if fields.protocol is not None:
                return memory.read_handshake(fields, snapshot)
            head = memory.read(b"".join((fields.line, fields.block, _END)), snapshot)
            if isinstance(head, HeadProblem):
                return head
            if not memory.has_body and head.facts.content_length > 0:
                raise MalformedFieldsError("there is a Content-Length and no body")
            memory.learn(decoded, decoder.parts, head)
            known = head
        if decoder.generation == self._generation:
            memory.remember(block, known, decoded, snapshot.limits.max_head_bytes)
        return known

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


_Parts = Sequence[Field | Run]


class _Model(NamedTuple):
    """A head of which other values of some fields make another one."""

    fields: Sequence[Field]
    head: RequestHead
    host_line: bytes
    traces: tuple[int, ...]
    """Where the fields are that carry a trace."""
    parts: _Parts
    """What the block was made of (see `Decoder.parts`)."""
    lines: Sequence[bytes]
    """The lines of each part."""


def _fill_in(lines: list[bytes], parts: _Parts, known: _Parts) -> bytes | None:
    """Put the lines of fields that are other ones into their places; return the target if that is another one too.

    :return: None if they may mean more, or if runs of indices are other ones.
    """
    if len(parts) != len(known):
        return None
    target, left = b"", _MOST_CHANGES
    for at, part in enumerate(parts):
        if part is (before := known[at]):
            continue
        if isinstance(part, Run) or isinstance(before, Run) or not left:
            return None
        name, value, line, _ = part
        if name != before[0] or line is None:  # no message may have it
            return None
        if name in plain_names or name in FIELD_NAMES:  # as pseudo-header fields never are
            lines[at] = line
        elif name == b":path" and value:
            target = value
        else:
            return None
        left -= 1
    return target


def _lines_of(part: Field | Run) -> bytes:
    """Return the lines of a part that a message may have."""
    return b"".join([each[2] or b"" for each in part.fields]) if isinstance(part, Run) else part[2] or b""


class _Memory:
    """What is remembered of heads with a body behind them, or of those without: the same fields mean something else."""

    __slots__ = ("_most", "_once", "_reader", "_templates", "has_body", "kept", "known", "models")

    def __init__(self, reader: HeadReader, most: int, *, has_body: bool) -> None:
        self._reader, self._most = reader, most
        self.has_body = has_body
        self.known: dict[bytes, CachedHead] = {}
        """Heads by blocks that came more than once."""
        self._once: dict[bytes, RequestHead] = {}
        self._templates: dict[tuple[bytes, bytes], _Template] = {}  # by what is before and behind the path
        self.kept = 0
        """Bytes of all heads that are remembered by their blocks."""
        self.models: dict[int, _Model] = {}
        """Heads by their number of fields."""

    def forget(self) -> None:
        """Forget all blocks."""
        self.known.clear()
        self._once.clear()
        self._templates.clear()
        self.kept = 0

    def recall(self, block: bytes, client: Client, snapshot: Snapshot) -> RequestHead | HeadProblem | None:
        """Return the head of a block that came before, or one like it; None if it has to be decoded."""
        before = self._once.pop(block, None)
        if before is not None:
            cached = self.known[block] = CachedHead(before, client, snapshot)
            return cached
        found = _find_path(block) if self._templates else None
        template = None if found is None else self._templates.get((block[: found[0]], block[found[1] :]))
        if found is None or template is None:
            return None
        at, end = found
        path = block[at + 2 : end]
        if block[at + 1] & 0x80:
            path = read_string(path)
        head = _with_target(template.head, path, template.head.facts) if len(path) <= template.room else None
        if head is not None:
            head.place(template.head.origin, snapshot.path_policy)
            head.came_over_http2(has_body=self.has_body)
            self._keep(block, head)
        return head

    def resemble(self, decoded: Sequence[Field], parts: _Parts, snapshot: Snapshot) -> RequestHead | None:
        """Return the head of fields that differ from others in values that mean nothing; None if it has to be read.

        :param parts: what their block was made of.
        """
        model = self.models.get(len(decoded))
        if model is None:
            return None
        head, lines = model.head, [*model.lines]
        target = _fill_in(lines, parts, model.parts)
        if is_renewed := target is None:
            lines = [each[2] or b"" for each in decoded]
            target = _fill_in(lines, decoded, model.fields)
            if target is None:
                return None
        usual, kept, traces = head.facts, b"".join(lines), model.traces
        raw = model.host_line + kept
        trace = tuple([(decoded[at][0], (decoded[at][2] or b"")[2:]) for at in traces])
        facts = usual_facts(raw, raw, kept, usual.host, usual.authorization, trace)
        if target:
            found = _with_target(head, target, facts)
        else:
            is_plain, size = head.path == head.raw_path and not head.path_flags, len(head.line) + len(raw) + len(_END)
            line, path, query = head.line, head.raw_path, head.query_string
            found = RequestHead(head.method, head.target, path, query, facts, line, size, is_plain)
        if found is None or found.size - len(_END) > snapshot.limits.max_head_bytes:
            return None
        found.place(head.origin, snapshot.path_policy)
        found.came_over_http2(has_body=self.has_body)
        if is_renewed and found.refusal is None and not found.responder and found.size * 2 <= _MOST_KEPT:
            # Runs of indices are others from here on: the next block is compared with this one.
            lines = [*map(_lines_of, parts)]
            self.models[len(decoded)] = _Model(decoded, found, model.host_line, traces, parts, lines)
        return found

    def learn(self, decoded: Sequence[Field], parts: _Parts, head: RequestHead) -> None:
        """Make a model of a head, if it says nothing but its host, its credentials and its trace.

        :param parts: what its block was made of.
        """
        facts = head.facts
        is_usual = facts.is_bare and facts.is_silent and facts.keep_alive and facts.__dict__.keys() <= {"trace"}
        is_whole = facts.block is facts.raw and facts.raw.endswith(facts.kept) and head.size * 2 <= _MOST_KEPT
        if not (is_usual and is_whole and head.line) or head.refusal is not None or head.responder:
            return
        if head.origin.is_trusted and head.origin.trust.header:
            return  # a field of any name says where the request comes from
        names, lines = [each[0] for each in decoded], [each[2] or b"" for each in decoded]
        # Not where `request_fields` does more than to put Host first: crumbs of a cookie, and a Host among the fields.
        if b"".join(lines) != facts.kept or names.count(b"cookie") > 1:
            return
        traces = tuple([at for at, name in enumerate(names) if name in FIELD_NAMES])
        if facts.trace != tuple([(names[at], lines[at][2:]) for at in traces]):
            return
        if len(self.models) >= _MOST_MODELS:
            self.models.clear()
        host_line = facts.raw[: len(facts.raw) - len(facts.kept)]
        self.models[len(decoded)] = _Model(decoded, head, host_line, traces, parts, [*map(_lines_of, parts)])

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
        head = self._reader.read(b"".join((fields.line, fields.block, lines, _END)), 0, snapshot)
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
            self.kept += head.size

    def _keep(self, block: bytes, head: RequestHead) -> bool:
        """Remember a block that came once; False if it is too large."""
        size = head.size
        if size * 2 > _MOST_KEPT:
            return False
        self.kept += size
        if self.kept > _MOST_KEPT or len(self._once) + len(self.known) + len(self._templates) >= _MOST:
            # First what came once, as targets do that never come again: what is like them is not decoded for that.
            self.kept -= sum([each.size for each in self._once.values()])
            self._once.clear()
            if self.kept > _MOST_KEPT or len(self.known) + len(self._templates) > _MOST // 2:
                self.forget()
                self.kept = size
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


def _with_target(head: RequestHead, target: bytes, facts: RequestFacts) -> RequestHead | None:
    """Return a head like another one but for its target and fields, to be placed; None if it is not that simple."""
    line = b"%b %b HTTP/1.1" % (head.method.encode(), target)
    found = match_usual_line(line.decode("latin-1"))
    if found is None or not head.line or head.responder or head.facts.max_forwards >= 0:
        return None
    method, text, path, odd, query = found.groups("")
    is_plain = not odd and "//" not in path and "/." not in path
    size = len(line) + len(facts.raw) + len(_END)
    return RequestHead(method, text, path, query, facts, line, size, is_plain)
