"""Parts of a representation that a request asks for (RFC 9110 section 14).

Not part of the stable contract: the gateway's own plugins use it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

Range = tuple[int, int]
"""First byte, and the one behind the last."""

Ranges = Sequence[Range] | Literal["whole", "unsatisfiable"]

_LONGEST: Final = 4096
"""Characters of a Range that are looked at."""
_DIGITS: Final = 18
"""A number of more digits is beyond the end of any file."""


def parse_ranges(value: str, size: int, most: int) -> Ranges:
    """Return the parts that a Range field asks for, in its order, each within the whole.

    The whole is sent for what cannot be read, for other units than bytes, for more ranges than there may be, and
    for those that together are as long as the whole: ranges that overlap cost more than they spare (section 17.15).

    :param most: ranges that one request may ask for.
    """
    unit, _, texts = value.partition("=")
    specs = [text for text in texts.split(",") if text.strip(" \t")]  # empty elements: section 5.6.1.2
    if unit.strip(" \t").lower() != "bytes" or len(value) > _LONGEST or not 0 < len(specs) <= most:
        return "whole"
    ranges: list[Range] = []
    for spec in specs:
        part = _range(spec, size)
        if part is None:
            return "whole"
        if part[0] < part[1]:
            ranges.append(part)
    if not ranges:
        return "unsatisfiable"
    return "whole" if len(ranges) > 1 and sum(end - start for start, end in ranges) >= size else ranges


def _range(spec: str, size: int) -> Range | None:
    """Return the part that one range takes of the whole, empty if it takes nothing; None if it is none."""
    texts = spec.strip(" \t").split("-")
    if len(texts) != 2 or not all(not text or (text.isascii() and text.isdigit()) for text in texts):
        return None
    first, last = map(_number, texts)
    if first is not None:
        return None if last is not None and last < first else (first, size if last is None else min(last + 1, size))
    if last is None or (last and not size):  # the last bytes of no bytes are no part that could be named
        return None
    return max(0, size - last), size


def _number(digits: str) -> int | None:
    if not digits:
        return None
    significant = digits.lstrip("0")
    return int(significant or "0") if len(significant) <= _DIGITS else int(10**_DIGITS)


def content_range(part: Range, size: int) -> str:
    """Return the value of Content-Range."""
    return f"bytes {part[0]}-{part[1] - 1}/{size}"


def multipart(parts: Sequence[Range], size: int, media_type: str, boundary: str) -> list[bytes | Range]:
    """Return a body of the type multipart/byteranges (section 14.6): texts, and the ranges that stand between them."""
    body: list[bytes | Range] = []
    for number, part in enumerate(parts):
        head = f"--{boundary}\r\nContent-Type: {media_type}\r\nContent-Range: {content_range(part, size)}\r\n\r\n"
        body += [(head if number == 0 else "\r\n" + head).encode("latin-1"), part]
    return [*body, f"\r\n--{boundary}--\r\n".encode()]
