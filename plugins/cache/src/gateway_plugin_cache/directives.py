"""Cache-Control (RFC 9111 section 5.2), and the fields that address one cache alone (RFC 9213).

What cannot be read never makes a response fresher: a number that is none counts as 0, and so do two that differ.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from gateway_plugin_cache.structured import parse_dictionary

_LONGEST: Final = 8192
"""Characters of a field that are read; a longer one counts as ``no-store``."""
_MOST_SECONDS: Final = 2**31
"""What a larger number counts as (section 1.2.2)."""


@dataclass(frozen=True, slots=True)
class Directives:
    """The directives of one message, by their names in lower case, each with all values that it has."""

    values: Mapping[str, tuple[str | None, ...]]

    def __contains__(self, name: str) -> bool:
        return name in self.values

    def seconds(self, name: str) -> int | None:
        """Return a directive's number of seconds: None without the directive, 0 for what is no single number."""
        values = self.values.get(name)
        if values is None:
            return None
        numbers = {_number(value) for value in values}
        return numbers.pop() if len(numbers) == 1 else 0


_NUMBERS: Final = frozenset({"max-age", "s-maxage", "stale-while-revalidate", "stale-if-error"})
NO_DIRECTIVES: Final = Directives({})
"""No directive."""
_TOO_LONG: Final = Directives({"no-store": (None,)})


def _number(value: str | None) -> int:
    if value is None or not (value.isascii() and value.isdigit()):
        return 0
    significant = value.lstrip("0") or "0"
    return min(int(significant), _MOST_SECONDS) if len(significant) < 12 else _MOST_SECONDS


def parse_cache_control(values: Iterable[str]) -> Directives:
    """Return the directives of all Cache-Control fields of a message."""
    text = ",".join(values)
    if not text:
        return NO_DIRECTIVES
    if len(text) > _LONGEST:
        return _TOO_LONG
    found: dict[str, tuple[str | None, ...]] = {}
    for name, value in _elements(text):
        found[name] = (*found.get(name, ()), value)
    return Directives(found)


def _elements(text: str) -> Iterator[tuple[str, str | None]]:
    for element in text.split(",") if '"' not in text else _split(text):
        name, equals, value = element.partition("=")
        stripped = name.strip(" \t").lower()
        if not stripped:
            continue
        if not equals:
            yield stripped, None
        elif name.endswith((" ", "\t")):  # there is no white space beside the equals sign (section 5.2)
            yield stripped, ""
        else:
            value = value.rstrip(" \t")
            yield stripped, re.sub(r"\\(.)", r"\1", value[1:].removesuffix('"')) if value.startswith('"') else value


def _split(text: str) -> Iterator[str]:
    """Yield what stands between the commas that no quoted string has."""
    start, is_quoted, is_escaped = 0, False, False
    for index, character in enumerate(text):
        if is_escaped:
            is_escaped = False
        elif character == '"':
            is_quoted = not is_quoted
        elif character == "\\":
            is_escaped = is_quoted
        elif character == "," and not is_quoted:
            yield text[start:index]
            start = index + 1
    yield text[start:]


def parse_targeted(text: str | None) -> Directives | None:
    """Return the directives of a targeted field (RFC 9213 section 2.1); None if it is missing, empty or malformed.

    A directive whose value has another type than it should is left out.
    """
    members = parse_dictionary(text) if text else None
    if not members:
        return None
    found: dict[str, tuple[str | None, ...]] = {}
    for name, value in members.items():
        if value is True:
            found[name] = (None,)
        elif type(value) is int and value >= 0:
            found[name] = (str(value),)
        elif isinstance(value, str) and name not in _NUMBERS:
            found[name] = (value,)
    return Directives(found)
