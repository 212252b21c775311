"""How urgent a response is by its client (RFC 9218 section 4)."""

from __future__ import annotations

from typing import Final, NamedTuple

from gateway_core.proxy.wire.h2.errors import ErrorCode, Http2ConnectionError

_URGENCIES: Final = {f"u={urgency}": urgency for urgency in range(8)}
_INCREMENTAL: Final = {"i", "i=?1"}


class Priority(NamedTuple):
    """What a Priority field or a PRIORITY_UPDATE says."""

    urgency: int | None
    """0 is the most urgent; None if it is not said."""
    is_incremental: bool
    """Whether parts of the response are of use."""


def read_priority(value: str) -> Priority:
    """Return what a value says; what is not understood says nothing."""
    members = [member.partition(";")[0].strip(" \t") for member in value.split(",")]
    urgency = next((_URGENCIES[member] for member in members if member in _URGENCIES), None)
    return Priority(urgency, not _INCREMENTAL.isdisjoint(members))


_MOST_EARLY: Final = 256
"""Streams whose priorities are kept where a client may begin any number of them."""


class EarlyPriorities:
    """Priorities of streams that are still to begin: a client may send PRIORITY_UPDATE first (section 7.1)."""

    __slots__ = ("kept",)

    def __init__(self) -> None:
        self.kept: dict[int, Priority] = {}
        """By stream; almost always none."""

    def keep(self, stream_id: int, priority: Priority, room: float) -> None:
        """Keep the latest priority of a stream.

        :param room: streams that the client may still begin; infinite if nothing limits them.
        :raises Http2ConnectionError: it prioritizes more streams than that.
        """
        if stream_id not in self.kept:
            if len(self.kept) >= room:
                detail = "PRIORITY_UPDATE is for more streams than may be begun"
                raise Http2ConnectionError(ErrorCode.PROTOCOL_ERROR, detail)
            if len(self.kept) >= _MOST_EARLY:
                return
        self.kept[stream_id] = priority

    def take(self, stream_id: int) -> Priority | None:
        """Return what was kept for a stream that begins, and forget the streams before it, which cannot any more."""
        found = self.kept.get(stream_id)
        self.kept = {each: priority for each, priority in self.kept.items() if each > stream_id}
        return found
