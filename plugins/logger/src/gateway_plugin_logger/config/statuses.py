"""Sets of statuses: ``404``, ``500-599``, ``5xx``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_STATUS: Final = re.compile(r"([1-9])xx|([1-9][0-9]{2})(?:-([1-9][0-9]{2}))?")


def parse_statuses(texts: Iterable[str | int]) -> frozenset[int]:
    """Return every status that the texts name.

    :raises ValueError: one of them is no status and no range.
    """
    statuses: set[int] = set()
    for text in texts:
        match = _STATUS.fullmatch(str(text))
        if match is None:
            raise ValueError(f"{text!r} is no status: write 404, 500-599 or 5xx")
        hundreds, first, last = match.groups()
        low, high = (int(hundreds) * 100, int(hundreds) * 100 + 99) if hundreds else (int(first), int(last or first))
        if low > high:
            raise ValueError(f"{text!r} ends before it begins")
        statuses.update(range(low, high + 1))
    return frozenset(statuses)
