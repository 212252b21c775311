"""When a file is put aside, under what name, and which old ones go: decisions only."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from gateway_plugin_logger.config.sinks import Rotation

_STAMP: Final = "%Y%m%dT%H%M%SZ"
_SUFFIX: Final = re.compile(r"\.([0-9]{8}T[0-9]{6}Z)(?:-([0-9]+))?(\.gz)?")


def is_due(rotation: Rotation, *, size: int, last_written: float, now: float) -> bool:
    """Whether a file must be put aside before more is written to it.

    :param size: its bytes; an empty file is never put aside.
    :param last_written: when it was last written to, seconds since 1970.
    """
    if not size:
        return False
    if rotation.max_size and size >= rotation.max_size:
        return True
    return rotation.every > 0 and now // rotation.every > last_written // rotation.every


def aside_name(name: str, now: float, taken: Iterable[str]) -> str:
    """Return the name that a file is put aside under: its own, the time, and a number if that is taken."""
    stamped = f"{name}.{datetime.fromtimestamp(now, UTC).strftime(_STAMP)}"
    used = {other.removesuffix(".gz") for other in taken}
    candidate, number = stamped, 0
    while candidate in used:
        number += 1
        candidate = f"{stamped}-{number}"
    return candidate


def old_files(name: str, names: Iterable[str]) -> list[str]:
    """Return which names are of files that were put aside from ``name``, oldest first."""
    found = []
    for other in names:
        match = _SUFFIX.fullmatch(other.removeprefix(name)) if other.startswith(name) else None
        if match:
            found.append((match[1], int(match[2] or 0), other))
    return [other for _, _, other in sorted(found)]


def to_remove(rotation: Rotation, olds: list[str], name: str, now: float) -> list[str]:
    """Return which of the old files, oldest first, are to be removed."""
    surplus = olds[: max(0, len(olds) - rotation.keep)] if rotation.keep else []
    if not rotation.keep_for:
        return surplus
    expired = [old for old in olds if now - _put_aside_at(name, old) > rotation.keep_for]
    return sorted({*surplus, *expired})


def to_compress(rotation: Rotation, olds: list[str]) -> list[str]:
    """Return which of the old files, oldest first, are to be compressed: all but the newest."""
    return [old for old in olds[:-1] if not old.endswith(".gz")] if rotation.compress else []


def _put_aside_at(name: str, old: str) -> float:
    match = _SUFFIX.fullmatch(old.removeprefix(name))
    if match is None:
        raise ValueError(f"{old!r} was not put aside from {name!r}")
    return datetime.strptime(match[1], _STAMP).replace(tzinfo=UTC).timestamp()
