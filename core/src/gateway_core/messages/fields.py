"""Field names and values as bytes: checked once, so that what is made of them needs no check on the request path."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from operator import itemgetter
from typing import Final

CRLF: Final = b"\r\n"

TOKEN_BYTES: Final = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
"""Bytes of a field name (RFC 9110 section 5.6.2)."""

VALUE_BYTES: Final = bytes([9, *range(32, 127), *range(128, 256)])
"""Bytes of a field value (RFC 9110 section 5.5): no control characters, so no CR, LF or NUL."""

HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"http2-settings",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Fields that end at the next hop whether or not Connection lists them (RFC 9110 section 7.6.1)."""

FRAMING_FIELDS: Final = HOP_BY_HOP | {b"content-length"}
"""Fields of a response that only the gateway writes, whatever hooks leave."""

_ADDED_FIELDS: Final = frozenset({"date", "via", "x-request-id"})
"""Fields that the gateway adds to a response before hooks see it."""

_SEPARATOR: Final = rb"[^a-z0-9:\r\n]"
_NUMBER: Final = re.compile(r"\{([0-9]+)\}")


class HeaderError(ValueError):
    """A field name or value that must not go on the wire."""


def checked_name(name: str) -> bytes:
    """Return a field name as bytes.

    :raises HeaderError: it is not a token (RFC 9110 section 5.6.2).
    """
    encoded = name.encode("latin-1", "replace")
    if not encoded or encoded.translate(None, TOKEN_BYTES):
        raise HeaderError(f"{name!r} is not a header name: use letters, digits and !#$%&'*+-.^_`|~")
    return encoded


def checked_value(value: str) -> bytes:
    """Return a field value as bytes, without the white space around it.

    :raises HeaderError: it has a control character or one outside latin-1.
    """
    try:
        encoded = value.encode("latin-1")
    except UnicodeEncodeError:
        raise HeaderError(f"{value!r} is not a header value: encode characters outside latin-1") from None
    # What is printable has none of them, and to know that costs half as much.
    if not value.isprintable() and encoded.translate(None, VALUE_BYTES):
        raise HeaderError(f"{value!r} is not a header value: it has a control character")
    return encoded.strip(b" \t")


def in_any_case(name: bytes) -> bytes:
    """Return a pattern of a field name; unlike one with IGNORECASE, it can be skipped to behind a literal CRLF."""
    letters = [chr(letter) for letter in name]
    return "".join([f"[{c.upper()}{c.lower()}]" if c.isalpha() else re.escape(c) for c in letters]).encode("latin-1")


def lines_of(fields: Mapping[str, str] | Iterable[tuple[str, str]]) -> bytes:
    """Return fields as lines for the wire, each of which begins with CRLF.

    :raises HeaderError: a name or a value must not go on the wire.
    """
    pairs = fields.items() if isinstance(fields, Mapping) else fields
    return b"".join([b"\r\n%b: %b" % (checked_name(name), checked_value(value)) for name, value in pairs])


def has_framing(lines: bytes) -> bool:
    """Return whether one of the lines is a field that only the gateway writes in a response."""
    return any(line.partition(b":")[0].lower() in FRAMING_FIELDS for line in lines.split(CRLF))


class FieldBlock:
    """Fields that were checked once and are added to many messages (`Headers.extend`). Immutable."""

    __slots__ = ("has_framing", "lines")

    def __init__(self, fields: Mapping[str, str] | Iterable[tuple[str, str]]) -> None:
        """Check the fields.

        :raises HeaderError: a name or a value must not go on the wire.
        """
        self.lines = lines_of(fields)
        """The lines for the wire; for the core."""
        self.has_framing = has_framing(self.lines)
        """Whether one of them is only the gateway's to write in a response; for the core."""

    def __repr__(self) -> str:
        return f"<FieldBlock {self.lines!r}>"


class FieldTemplate:
    """Fields in whose values only numbers differ, such as those of a rate limit."""

    __slots__ = ("_choose", "_has_framing", "_template")

    def __init__(self, fields: Iterable[tuple[str, str]]) -> None:
        """Check the fields.

        :param fields: ``{0}`` in a value stands for the first number, ``{1}`` for the second and so on; other braces
            stand for themselves.
        :raises HeaderError: a name or a value must not go on the wire.
        """
        chosen: list[int] = []

        def place(found: re.Match[str]) -> str:
            chosen.append(int(found[1]))
            return "%d"

        escaped = [(name.replace("%", "%%"), _NUMBER.sub(place, value.replace("%", "%%"))) for name, value in fields]
        self._template = lines_of(escaped)
        self._has_framing = has_framing(self._template)
        alone = slice(chosen[0], chosen[0] + 1) if chosen else slice(0)
        # With a single index an itemgetter returns no tuple.
        self._choose = itemgetter(*chosen) if len(chosen) > 1 else itemgetter(alone)

    def fill(self, *numbers: int) -> FieldBlock:
        """Return the fields with these numbers."""
        block = FieldBlock.__new__(FieldBlock)
        block.lines = self._template % self._choose(numbers)
        block.has_framing = self._has_framing
        return block


class FieldNames:
    """A set of field names, found in whatever case and with whatever separators they are written.

    CGI, WSGI, PHP and Rack give ``X-User``, ``X_User`` and ``X.User`` to an application as one variable. See
    `Headers.has_any`, `Headers.get_any` and `Headers.remove_any`.
    """

    __slots__ = ("_last", "has_added", "pattern", "search")

    def __init__(self, names: Iterable[str]) -> None:
        names = [name.lower() for name in names]
        texts = [b"".join(_SEPARATOR if not c.isalnum() else c.encode() for c in name) for name in names]
        self.pattern = re.compile(b"\r\n(%b):" % b"|".join(dict.fromkeys(texts)))
        """Finds the beginning of a line in a lower-cased block, and the name; for the core."""
        # One search for all names: it skips from line to line, and takes as long as two `find` for texts.
        self.search = self.pattern.search
        """The same as a function, for the request path."""
        self.has_added = not _ADDED_FIELDS.isdisjoint("".join(c if c.isalnum() else "-" for c in n) for n in names)
        """Whether one of them is a field that the gateway adds to a response before hooks see it; for the core."""

        self._last = b"", False

    def are_in(self, lowered: bytes) -> bool:
        """Return whether there is such a line in a lower-cased block; for the core."""
        return self.search(lowered) is not None

    def are_in_repeated(self, lowered: bytes) -> bool:
        """Return the same of a block that often is the very one of the last call, as the head of a response is."""
        last = self._last
        if last[0] is not lowered:
            last = self._last = lowered, self.search(lowered) is not None
        return last[1]


def field_names(names: Iterable[str]) -> FieldNames | None:
    """Return a set of field names, the same object for the same names; None for no names."""
    names = tuple(names)
    return _cached_names(names) if names else None


@lru_cache(256)
def _cached_names(names: tuple[str, ...]) -> FieldNames:
    return FieldNames(names)  # all routes with one plugin share it
