"""How urgent a response is by its client (RFC 9218 section 4)."""

from __future__ import annotations

from typing import Final, NamedTuple

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
