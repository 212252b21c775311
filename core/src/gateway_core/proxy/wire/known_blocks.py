"""What header blocks mean that came before but for the trace at their end.

A client sends the same fields with each request, on whichever connection, but for ``traceparent``, which is another one
each time (W3C Trace Context section 3.2) and which tools add to the fields that there are. So the rest is looked up as
a whole. What is remembered are blocks with nothing unusual, and only once they came a second time: traffic in which
nothing is repeated then costs little.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from gateway_core.proxy.wire.request_fields import RequestFacts, read_fields, usual_facts

TRACE_STARTS: Final = (b"\r\ntraceparent: 00-", b"\r\nTraceparent: 00-")
"""What a line with a trace of version 00 begins with, as clients write it."""
_VALUE_AT: Final = len(b"\r\ntraceparent: ")
_SIZE: Final = _VALUE_AT + 55
TRACE_PLACE: Final = slice(-_SIZE, len(TRACE_STARTS[0]) - _SIZE)
"""Where a block has that if the line is its last one."""
_VALUE_BYTES: Final = b"0123456789abcdef-"
_NAME: Final = b"traceparent"

_LARGEST: Final = 2048
"""Bytes of a block that is remembered."""
MOST: Final = 1024
MOST_SEEN: Final = 8192
_MOST_CREDIT: Final = 100
_PAUSE: Final = 1000


class Known(NamedTuple):
    """What is known of a block without its trace."""

    fields: int
    """Their number, that of the trace included."""
    seen: bytes | None
    """See `RequestFacts.block`; None if plugins see all of it."""
    kept: bytes
    host: str
    authorization: bytes | None


class KnownBlocks:
    """Blocks that came more than once, from peers that are not trusted.

    Where few of them come again, most are read without a look at what is remembered.
    """

    __slots__ = ("_credit", "_known", "_pause", "_seen_once")

    def __init__(self) -> None:
        # Clients choose blocks, so both are emptied when they are full.
        self._known: dict[bytes, Known] = {}
        self._seen_once: set[int] = set()
        """Hashes of blocks that came once."""
        self._credit = _MOST_CREDIT
        """Blocks that may be new, on balance, before `_pause` begins."""
        self._pause = 0
        """Blocks that are still to be read without a look-up."""

    @property
    def size(self) -> tuple[int, int]:
        """Blocks that are remembered, and those of which it is remembered that they came."""
        return len(self._known), len(self._seen_once)

    def read(self, block: bytes, text: bytes, most: int) -> RequestFacts | None:
        """Return what `read_fields` does for a block that has one of `TRACE_STARTS` at `TRACE_PLACE`."""
        if self._pause:
            self._pause -= 1
            return read_fields(block, text, most, is_trusted=False)
        rest, trace = block[:-_SIZE], block[-_SIZE:]
        known = self._known.get(rest)
        if known is None or known[0] > most or trace[_VALUE_AT:].translate(None, _VALUE_BYTES):
            self._credit -= 1
            if self._credit < 0:
                self._credit, self._pause = _MOST_CREDIT, _PAUSE
            facts = read_fields(block, text, most, is_trusted=False)
            if facts is not None and known is None:
                self._remember(rest, trace, facts)
            return facts
        if self._credit < _MOST_CREDIT:
            self._credit += 1
        _, seen, kept, host, authorization = known
        seen = block if seen is None else seen + trace
        return usual_facts(block, seen, kept + trace, host, authorization, ((_NAME, trace[2:]),))

    def _remember(self, rest: bytes, trace: bytes, facts: RequestFacts) -> None:
        """Remember a block that came a second time, if it means nothing but its host, its credentials and its trace."""
        digest = hash(rest)
        if digest not in self._seen_once:
            if len(self._seen_once) >= MOST_SEEN:
                self._seen_once.clear()
            self._seen_once.add(digest)
            return
        is_usual = facts.is_bare and facts.is_silent and facts.keep_alive and list(facts.__dict__) == ["trace"]
        if not is_usual or facts.trace != ((_NAME, trace[2:]),) or len(rest) > _LARGEST:
            return
        if len(self._known) >= MOST:
            self._known.clear()
        seen = None if facts.block is facts.raw else facts.block[:-_SIZE]
        count = rest.count(b"\r\n") + 1
        self._known[rest] = Known(count, seen, facts.kept[:-_SIZE], facts.host, facts.authorization)
