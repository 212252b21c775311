"""Find fields in a block of lines by their names.

What lines begin with is remembered by the name: names are mostly constants of plugins.
"""

from __future__ import annotations

from typing import Final

from gateway_core.messages.fields import checked_name

_MOST_NEEDLES: Final = 4096
_LONGEST_NEEDLE: Final = 64
"""Bytes of a name that is remembered: some plugins look up names that clients send."""
needles: dict[str, bytes] = {}
starts: dict[str, bytes] = {}
_spelled: dict[str, bytes] = {}


def needle_of(name: str) -> bytes:
    """Return what a line of the field begins with in a lower-cased block; names are mostly constants of plugins."""
    needle = needles.get(name)
    if needle is None:
        needle = b"\r\n" + checked_name(name).lower() + b":"
        if len(needles) < _MOST_NEEDLES and len(name) <= _LONGEST_NEEDLE:
            needles[name] = needle
    return needle


def _spelling(name: str) -> bytes:
    """Return what a line of the field begins with if the name is spelled like this."""
    spelled = b"\r\n" + checked_name(name) + b":"
    if len(_spelled) < _MOST_NEEDLES and len(name) <= _LONGEST_NEEDLE:
        _spelled[name] = spelled
    return spelled


def start_of(name: str) -> bytes:
    """Return what a line of the field begins with."""
    start = starts.get(name)
    if start is None:
        start = b"\r\n" + checked_name(name) + b": "
        if len(starts) < _MOST_NEEDLES and len(name) <= _LONGEST_NEEDLE:
            starts[name] = start
    return start


def value_in(block: bytes, lowered: bytes, name: str) -> bytes | None:
    """Return a field's first value as its bytes, or None.

    :param lowered: the block in lower case.
    """
    needle = needles.get(name) or needle_of(name)
    start = lowered.find(needle)
    if start < 0:
        return None
    start += len(needle)
    end = block.find(b"\r", start)  # five times as quick as to search for CRLF, and no value has a CR
    return (block[start:] if end < 0 else block[start:end]).strip(b" \t")


def count_in(lowered: bytes, name: str) -> int:
    """Return how many fields of a name there are in a block in lower case."""
    return lowered.count(needles.get(name) or needle_of(name))


def first_value(block: bytes, name: str) -> bytes | None:
    """Return a field's first value as its bytes if its name is spelled like this, or else in lower case; or None.

    There may be one in another spelling all the same. A block in lower case, which would find it, takes longer to make
    than two searches.
    """
    start = block.find(needle := _spelled.get(name) or _spelling(name))
    if start < 0:
        start = block.find(needle := needles.get(name) or needle_of(name))
        if start < 0:
            return None
    start += len(needle)
    end = block.find(b"\r", start)
    return (block[start:] if end < 0 else block[start:end]).strip(b" \t")
