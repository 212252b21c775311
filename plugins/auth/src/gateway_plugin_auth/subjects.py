"""Who a caller is, by its claims."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gateway_plugin_sdk import MISSING, ClaimReader


def subject_of(claims: Mapping[str, Any], readers: Iterable[ClaimReader], *, is_asked_for: bool) -> str | None:
    """Return the caller's name: the first claim that is there, a text or a whole number; an empty text is no name.

    :param is_asked_for: whether a caller without one has no name (None), or the empty one.
    """
    for read in readers:
        value = read(claims)
        if isinstance(value, str):
            return None if is_asked_for and not value else value
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if value is not MISSING:
            return None
    return None if is_asked_for else ""
