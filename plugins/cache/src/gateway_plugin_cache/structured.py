"""Dictionaries of structured fields (RFC 9651 section 4.2.2), as targeted cache control uses them.

Only what such a field can mean is kept: booleans, integers, tokens and strings. Parameters are read and dropped, and a
member of another type is None. A field that does not parse to the letter is no field at all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

Value = bool | int | str | None

_LONGEST: Final = 4096
"""Characters of a field that are read."""
_KEY: Final = re.compile(r"[a-z*][a-z0-9_\-.*]*")
_BARE: Final = re.compile(
    r"(?P<number>-?[0-9]{1,15}(?![0-9]))(?P<fraction>\.[0-9]{1,3})?"
    r'|"(?P<string>(?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"'
    r"|\?(?P<boolean>[01])"
    r"|(?P<bytes>:[A-Za-z0-9+/=]*:)"
    r"|@(?P<date>-?[0-9]{1,15})"
    r"|(?P<token>[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*)"
)


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def ends(self) -> bool:
        return self._at == len(self._text)

    def skip(self, characters: str) -> None:
        while self._at < len(self._text) and self._text[self._at] in characters:
            self._at += 1

    def take(self, character: str) -> bool:
        is_there = self._text.startswith(character, self._at)
        self._at += is_there
        return is_there

    def match(self, pattern: re.Pattern[str]) -> re.Match[str]:
        found = pattern.match(self._text, self._at)
        if found is None:
            raise ValueError(self._text)
        self._at = found.end()
        return found

    def bare_item(self) -> Value:
        found = self.match(_BARE)
        if found["number"] is not None:
            return int(found["number"]) if found["fraction"] is None else None
        if found["boolean"] is not None:
            return found["boolean"] == "1"
        if found["string"] is not None:
            return re.sub(r"\\(.)", r"\1", found["string"])
        return found["token"]

    def parameters(self) -> None:
        while self.take(";"):
            self.skip(" ")
            self.match(_KEY)
            if self.take("="):
                self.bare_item()

    def inner_list(self) -> None:
        while True:
            self.skip(" ")
            if self.take(")"):
                break
            self.bare_item()
            self.parameters()
            if not self._text.startswith((" ", ")"), self._at):
                raise ValueError(self._text)


def parse_dictionary(text: str) -> Mapping[str, Value] | None:
    """Return the members of a dictionary, the last one of each key; None for what is no dictionary."""
    if len(text) > _LONGEST:
        return None
    try:
        return _members(_Reader(text.strip(" ")))
    except ValueError:
        return None


def _members(reader: _Reader) -> Mapping[str, Value]:
    members: dict[str, Value] = {}
    while not reader.ends():
        key = reader.match(_KEY)[0]
        value: Value = True
        if reader.take("="):
            if reader.take("("):
                reader.inner_list()
                value = None
            else:
                value = reader.bare_item()
        reader.parameters()
        members[key] = value
        reader.skip(" \t")
        if reader.ends():
            break
        if not reader.take(","):
            raise ValueError(key)
        reader.skip(" \t")
        if reader.ends():  # a trailing comma
            raise ValueError(key)
    return members
