"""What header blocks mean that came before, as they are or but for the trace at their end.

A client sends the same fields with each request, on whichever connection, but for ``traceparent``, which is another one
each time (W3C Trace Context section 3.2) and which tools add to the fields that there are. So the rest is looked up as
a whole; and so is the first block of a connection, since programs that make one for each request send the same block on
all of them. What is remembered are blocks with nothing unusual, and only once they came a second time: traffic in which
nothing is repeated then costs little.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from gateway_core.proxy.wire.request_fields import RequestFacts, read_fields, usual_facts

TRACE_STARTS: Final = (b"\r\ntraceparent: 00-", b"\r\nTraceparent: 00-")
"""What a line with a trace of version 00 begins with, as clients write it."""
_VALUE_AT: Final = len(b"\r\ntraceparent: ")
TRACE_SIZE: Final = _VALUE_AT + 55
TRACE_PLACE: Final = slice(-TRACE_SIZE, len(TRACE_STARTS[0]) - TRACE_SIZE)
"""Where a block has that if the line is its last one."""
_VALUE_BYTES: Final = b"0123456789abcdef-"
_NAME: Final = b"traceparent"
_LINE_END: Final = b"\r\n"

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
    keep_alive: bool


class KnownBlocks:
    """Blocks that came more than once, from peers that are not trusted.

    Where few of them come again, most are read without a look at what is remembered.
    """

    __slots__ = ("_credit", "_known", "_pause", "_seen_once", "_trace_size")

    def __init__(self, trace_size: int) -> None:
        """Remember nothing yet.

        :param trace_size: `TRACE_SIZE`; or 0 for blocks that are the same as a whole.
        """
        self._trace_size = trace_size
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

    def read(self, block: bytes, most: int) -> RequestFacts | None:
        """Return what `read_fields` does for a block, which has one of `TRACE_STARTS` if it has a trace."""
        if self._pause:
            self._pause -= 1
            return read_fields(block, block[2:] + _LINE_END, most, is_trusted=False)
        end = len(block) - self._trace_size
        rest, trace = block[:end], block[end:]
        known = self._known.get(rest)
        if known is None or known[0] > most or trace[_VALUE_AT:].translate(None, _VALUE_BYTES):
            self._credit -= 1
            if self._credit < 0:
                self._credit, self._pause = _MOST_CREDIT, _PAUSE
            facts = read_fields(block, block[2:] + _LINE_END, most, is_trusted=False)
            if facts is not None and known is None:
                self._remember(rest, trace, facts)
            return facts
        if self._credit < _MOST_CREDIT:
            self._credit += 1
        _, seen, kept, host, authorization, keep_alive = known
        seen = block if seen is None else seen + trace
        facts = usual_facts(block, seen, kept + trace, host, authorization, ((_NAME, trace[2:]),) if trace else ())
        facts.keep_alive = keep_alive
        return facts

    def _remember(self, rest: bytes, trace: bytes, facts: RequestFacts) -> None:
        """Remember a block that came a second time, if it means nothing but its host, its credentials and its trace."""
        digest = hash(rest)
        if digest not in self._seen_once:
            if len(self._seen_once) >= MOST_SEEN:
                self._seen_once.clear()
            self._seen_once.add(digest)
            return
        expected = {"trace": ((_NAME, trace[2:]),)} if trace else {}
        if not (facts.is_bare and facts.is_silent) or facts.__dict__ != expected or len(rest) > _LARGEST:
            return
        if not (facts.kept.endswith(trace) and facts.block.endswith(trace)):
            return  # behind it is a field that the gateway has written
        if len(self._known) >= MOST:
            self._known.clear()
        size = len(trace)
        seen = None if facts.block is facts.raw else facts.block[: len(facts.block) - size]
        kept = facts.kept[: len(facts.kept) - size]
        self._known[rest] = Known(
            rest.count(b"\r\n") + bool(trace), seen, kept, facts.host, facts.authorization, facts.keep_alive
        )
