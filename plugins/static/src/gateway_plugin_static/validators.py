"""Validators of a file (RFC 9110 section 8.8)."""

from __future__ import annotations

from typing import Final, Literal

from gateway_plugin_sdk.conditions import Validators

EtagKind = Literal["strong", "weak", "none"]

_NOT_A_TIME: Final = 315_619_200
"""1980-01-02: what archives and reproducible builds write for no time (0, 1, 1980-01-01) identifies no contents."""
_TICK: Final = 0.02
"""Seconds in which a file may change twice with one time of modification, on file systems of Linux."""
_COARSE_TICK: Final = 2.0
"""The same on file systems that keep whole seconds, such as FAT and ext3."""


def validators_of(
    modified_ns: int, size: int, now: float, *, etag: EtagKind, has_modified: bool, coding: str = ""
) -> Validators:
    """Return the validators of a file.

    An ETag is weak while the file may change again without another time of modification.

    :param now: seconds since the epoch.
    :param coding: the content coding of a variant, whose ETag is another one than the plain file's.
    """
    seconds = modified_ns // 10**9
    if seconds < _NOT_A_TIME:
        return Validators(None, None, False)
    age = abs(now - modified_ns / 1e9)
    tag = None
    if etag != "none":
        opaque = f'"{modified_ns:x}-{size:x}{coding and "-" + coding}"'
        may_change = age < (_TICK if modified_ns % 10**9 else _COARSE_TICK)
        tag = f"W/{opaque}" if etag == "weak" or may_change else opaque
    return Validators(tag, min(seconds, int(now)) if has_modified else None, now - seconds >= 1.0)
