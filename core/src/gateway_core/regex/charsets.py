"""Sets of characters: as masks that can be compared, and in the words of RE2.

For comparing, Unicode is cut into 132 symbols: each ASCII character, and four kinds of all others. A mask may have a
kind of which the set holds only a part, never the other way round, so two sets that overlap have masks that overlap.
"""

from __future__ import annotations

import re
import sys
from functools import lru_cache
from typing import Final

from gateway_core.regex.nodes import Chars, Range

_ASCII: Final = 128
_WORD, _DIGIT, _SPACE, _OTHER = (1 << (_ASCII + kind) for kind in range(4))
_FAR: Final = _WORD | _DIGIT | _SPACE | _OTHER
EVERYTHING: Final = (1 << _ASCII) - 1 | _FAR
SYMBOLS: Final = _ASCII + 4

_KINDS: Final = {
    "w": _WORD | _DIGIT,
    "W": _SPACE | _OTHER,
    "d": _DIGIT,
    "D": _FAR ^ _DIGIT,
    "s": _SPACE,
    "S": _FAR ^ _SPACE,
}
_SAMPLED: Final = 64
"""Ranges up to this length are looked at character by character; longer ones count as having every kind."""


@lru_cache(maxsize=4096)
def mask_of(chars: Chars) -> int:
    """Return the symbols that a set may have."""
    flags = re.DOTALL | re.IGNORECASE * chars.ignore_case | re.ASCII * chars.ascii_only
    # The ASCII part is what `re` itself says; a dot is written as a dot only where it takes a newline.
    source = r"[^\n]" if chars.source == "." and chars.negated else chars.source
    fullmatch = re.compile(source if not source.startswith("#") else rf"\{source}", flags).fullmatch
    mask = sum(1 << code for code in range(_ASCII) if fullmatch(chr(code)))
    far = _whole_kinds(chars) if chars.negated else _possible_kinds(chars)
    return mask | (_FAR ^ far if chars.negated else far)


def _possible_kinds(chars: Chars) -> int:
    kinds = 0
    for low, high in chars.ranges:
        if high < _ASCII:
            # The long s, the Kelvin sign and the dotted capital I are i, k and s to re.IGNORECASE.
            kinds |= _WORD * (chars.ignore_case and any(low <= ord(letter) <= high for letter in "iksIKS"))
        elif high - low > _SAMPLED:
            kinds |= _FAR
        else:
            kinds |= _WORD * chars.ignore_case
            for code in range(max(low, _ASCII), high + 1):
                kinds |= _kind_of(chr(code))
    for category in chars.categories:
        kinds |= _FAR * category.isupper() if chars.ascii_only else _KINDS[category]
    return kinds


def _whole_kinds(chars: Chars) -> int:
    """Return the kinds all of whose characters are in the set that is negated."""
    kinds = 0
    for category in chars.categories:
        kinds |= _FAR * category.isupper() if chars.ascii_only else _KINDS[category]
    if any(low <= _ASCII and high == sys.maxunicode for low, high in chars.ranges):
        kinds = _FAR
    return kinds


def _kind_of(character: str) -> int:
    if character.isdecimal():
        return _DIGIT
    if character.isalnum():
        return _WORD
    return _SPACE if character.isspace() else _OTHER


def to_re2(chars: Chars) -> str:
    """Return the set as a class of RE2, spelt out in code points, so that its tables of Unicode do not matter."""
    ranges = list(chars.ranges)
    for category in chars.categories:
        ranges += _category(category, chars.ascii_only)
    if chars.ignore_case:
        ranges += _other_cases(chars)
    ranges = _merged(ranges)
    if chars.negated:
        ranges = _complement(ranges)
    # RE2 reads UTF-8, which has no surrogates; the text has U+FFFD for them.
    parts = [rf"\x{{{low:X}}}-\x{{{high:X}}}" if low != high else rf"\x{{{low:X}}}" for low, high in ranges]
    return f"[{''.join(parts)}]" if parts else r"[^\x{0}-\x{10FFFF}]"


def _other_cases(chars: Chars) -> list[Range]:
    plain = Chars(chars.source, chars.ranges, chars.categories, negated=False)
    body = "".join(f"\\U{low:08x}-\\U{high:08x}" for low, high in plain.ranges)
    body += "".join(f"\\{category}" for category in plain.categories)
    if not body:
        return []
    flags = re.IGNORECASE | re.ASCII * chars.ascii_only
    return [(ord(found), ord(found)) for found in re.compile(f"[{body}]", flags).findall(_cased())]


@lru_cache(maxsize=1)
def _cased() -> str:
    """Return every character that has another case, or is the other case of one."""
    characters = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]
    return "".join([each for each in characters if each.lower() != each or each.upper() != each])


@lru_cache(maxsize=16)
def _category(letter: str, ascii_only: bool) -> tuple[Range, ...]:
    """Return the characters of a category of `re`, as ranges."""
    everything = "".join(map(chr, range(sys.maxunicode + 1)))
    pattern = re.compile(rf"\{letter}+", re.ASCII if ascii_only else re.UNICODE)
    return tuple([(found.start(), found.end() - 1) for found in pattern.finditer(everything)])


def _merged(ranges: list[Range]) -> list[Range]:
    merged: list[Range] = []
    for low, high in sorted(ranges):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return merged


def _complement(ranges: list[Range]) -> list[Range]:
    found: list[Range] = []
    begin = 0
    for low, high in ranges:
        if begin < low:
            found.append((begin, low - 1))
        begin = high + 1
    if begin <= sys.maxunicode:
        found.append((begin, sys.maxunicode))
    return found
