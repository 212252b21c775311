r"""Header fields, kept as the bytes in which they came.

A head is almost always forwarded as it is, and a plugin reads one or two fields of it. So the fields stay one block
of bytes, ``b"\r\nHost: a\r\nAccept: b"``: every line begins with CRLF, none ends with one. A look-up is a ``find`` in
a lower-cased copy, a change is a slice, and a head that nobody changed is still the very slice that arrived.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Final, overload

CRLF: Final = b"\r\n"

TOKEN_BYTES: Final = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
"""Bytes of a field name (RFC 9110 section 5.6.2)."""

VALUE_BYTES: Final = bytes([9, *range(32, 127), *range(128, 256)])
"""Bytes of a field value (RFC 9110 section 5.5): no control characters, so no CR, LF or NUL."""

_MOST_NEEDLES: Final = 4096
_LONGEST_NEEDLE: Final = 64
"""Bytes of a name that is remembered: some plugins look up names that clients send."""
_needles: dict[str, bytes] = {}


class HeaderError(ValueError):
    """A field name or value that must not go on the wire."""


def _needle(name: str) -> bytes:
    """Return what a line of the field begins with in a lower-cased block; names are mostly constants of plugins."""
    needle = _needles.get(name)
    if needle is None:
        needle = b"\r\n" + checked_name(name).lower() + b":"
        if len(_needles) < _MOST_NEEDLES and len(name) <= _LONGEST_NEEDLE:
            _needles[name] = needle
    return needle


_SEPARATOR: Final = rb"[^a-z0-9:\r\n]"


class NamedLines:
    """Finds lines of some fields, with whatever separators their names are written.

    CGI, WSGI, PHP and Rack give ``X-User``, ``X_User`` and ``X.User`` to an application as one variable.
    """

    __slots__ = ("_needles", "pattern")

    def __init__(self, names: Iterable[str]) -> None:
        names = [name.lower() for name in names]
        texts = [b"".join(_SEPARATOR if not c.isalnum() else c.encode() for c in name) for name in names]
        self.pattern = re.compile(b"\r\n(%b):" % b"|".join(dict.fromkeys(texts)))
        """Finds the beginning of a line in a lower-cased block, and the name."""
        plain = ["".join(c if c.isalnum() else "-" for c in name) for name in names]
        self._needles = tuple(dict.fromkeys(b"\r\n%b:" % name.encode() for name in plain))

    def are_in(self, lowered: bytes, has_odd_names: bool = True) -> bool:
        """Return whether there is such a line in a lower-cased block.

        :param has_odd_names: whether names in it may have other separators than ``-``; without any, the regular
            expression is spared, which takes ten times as long as a search for the names.
        """
        if has_odd_names:
            return self.pattern.search(lowered) is not None
        for needle in self._needles:  # noqa: SIM110 - a generator would double the time
            if needle in lowered:
                return True
        return False


def lines_named(names: Iterable[str]) -> NamedLines | None:
    """Return what finds lines of some fields; None for no names."""
    names = tuple(names)
    return _named_lines(names) if names else None


@lru_cache(256)
def _named_lines(names: tuple[str, ...]) -> NamedLines:
    return NamedLines(names)  # the same one for the same names: all routes with one plugin have theirs in common


def checked_name(name: str) -> bytes:
    """Return a field name as bytes, or raise `HeaderError` if it is not a token."""
    encoded = name.encode("latin-1", "replace")
    if not encoded or encoded.translate(None, TOKEN_BYTES):
        raise HeaderError(f"{name!r} is not a header name: use letters, digits and !#$%&'*+-.^_`|~")
    return encoded


def checked_value(value: str) -> bytes:
    """Return a field value as bytes, or raise `HeaderError` if it could break the head."""
    try:
        encoded = value.encode("latin-1")
    except UnicodeEncodeError:
        raise HeaderError(f"{value!r} is not a header value: encode characters outside latin-1") from None
    if encoded.translate(None, VALUE_BYTES):
        raise HeaderError(f"{value!r} is not a header value: it has a control character")
    return encoded.strip(b" \t")


class Headers:
    """The fields of one head: ordered, names case-insensitive, several fields of one name allowed.

    Names and values are text; each character is one byte of the wire (latin-1), so nothing is lost. A value is without
    the white space around it.
    """

    __slots__ = ("_lowered", "_written", "block")

    def __init__(
        self,
        fields: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        *,
        block: bytes = b"",
        lowered: bytes | None = None,
    ) -> None:
        self.block = block
        """The fields as they go on the wire; whoever gives a block answers for its being valid."""
        self._lowered = lowered
        self._written = b""
        if fields:
            self.extend(fields)

    @property
    def lowered(self) -> bytes:
        """The block in lower case, made once."""
        lowered = self._lowered
        if lowered is None:
            lowered = self._lowered = self.block.lower()
        return lowered

    @overload
    def get(self, name: str) -> str | None: ...
    @overload
    def get(self, name: str, default: str) -> str: ...
    def get(self, name: str, default: str | None = None) -> str | None:
        """Return the first value of a field, or the default."""
        needle = _needles.get(name) or _needle(name)
        start = self.lowered.find(needle)
        if start < 0:
            return default
        start += len(needle)
        end = self.block.find(CRLF, start)
        value = self.block[start:] if end < 0 else self.block[start:end]
        return value.strip(b" \t").decode("latin-1")

    def get_all(self, name: str) -> list[str]:
        """Return every value of a field, in order."""
        return [self.block[value:end].strip(b" \t").decode("latin-1") for _, value, end in self._find_all(name)]

    def joined(self, name: str) -> str | None:
        """Return the values of a list field as one, joined by commas (RFC 9110 section 5.3), or None."""
        values = self.get_all(name)
        return ", ".join(values) if values else None

    def _find_all(self, name: str) -> list[tuple[int, int, int]]:
        """Return (start of the line's CRLF, start of the value, end) of each field of that name."""
        needle = _needles.get(name) or _needle(name)
        lowered, found = self.lowered, []
        start = lowered.find(needle)
        while start >= 0:
            value = start + len(needle)
            end = lowered.find(CRLF, value)
            if end < 0:
                end = len(lowered)
            found.append((start, value, end))
            start = lowered.find(needle, end)
        return found

    def add(self, name: str, value: str) -> None:
        """Append a field, whether or not there is one of that name."""
        line = b"\r\n%b: %b" % (checked_name(name), checked_value(value))
        self.block += line
        self._written += line
        self._lowered = None

    def extend(self, fields: Mapping[str, str] | Iterable[tuple[str, str]]) -> None:
        """Append several fields."""
        pairs = fields.items() if isinstance(fields, Mapping) else fields
        lines = b"".join([b"\r\n%b: %b" % (checked_name(name), checked_value(value)) for name, value in pairs])
        self.block += lines
        self._written += lines
        self._lowered = None

    def append_block(self, block: bytes) -> None:
        """Append lines that are ready for the wire: for who adds the same fields to every message.

        :param block: lines that each begin with CRLF; whoever gives them answers for their being valid.
        """
        self.block += block
        self._written += block
        self._lowered = None

    def remove(self, name: str) -> None:
        """Remove every field of that name; there need not be one."""
        found = self._find_all(name)
        if not found:
            return
        block, kept, position = self.block, [], 0
        for start, _, end in found:
            kept.append(block[position:start])
            position = end
        kept.append(block[position:])
        self.block = b"".join(kept)
        self._lowered = None

    def remove_lines(self, lines: NamedLines) -> bool:
        """Remove every field whose line is found, and return whether there was one."""
        # Not by name: names are a client's text here, and those of `remove` are kept for the next look-up.
        block, lowered, kept, position = self.block, self.lowered, [], 0
        for match in lines.pattern.finditer(lowered):
            kept.append(block[position : match.start()])
            end = lowered.find(CRLF, match.end())
            position = len(block) if end < 0 else end
        if not position:
            return False
        kept.append(block[position:])
        self.block = b"".join(kept)
        self._lowered = None
        return True

    @overload
    def pop(self, name: str) -> str | None: ...
    @overload
    def pop(self, name: str, default: str) -> str: ...
    def pop(self, name: str, default: str | None = None) -> str | None:
        """Remove every field of that name and return the first value, or the default."""
        value = self.get(name)
        if value is None:
            return default
        self.remove(name)
        return value

    def setdefault(self, name: str, value: str) -> str:
        """Return the first value of a field; append the field if there is none."""
        found = self.get(name)
        if found is not None:
            return found
        self.add(name, value)
        return value

    def copy(self) -> Headers:
        """Return headers that can be changed without changing these."""
        other = Headers(block=self.block, lowered=self._lowered)
        other._written = self._written
        return other

    def items(self) -> list[tuple[str, str]]:
        """Return (name, value) of every field, in order, names as they were written."""
        pairs = []
        for line in self.block.split(CRLF)[1:]:
            name, _, value = line.partition(b":")
            pairs.append((name.decode("latin-1"), value.strip(b" \t").decode("latin-1")))
        return pairs

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __setitem__(self, name: str, value: str) -> None:
        line = b"\r\n%b: %b" % (checked_name(name), checked_value(value))
        self.remove(name)
        self.block += line
        self._written += line
        self._lowered = None

    def __delitem__(self, name: str) -> None:
        if name not in self:
            raise KeyError(name)
        self.remove(name)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.lowered.find(_needles.get(name) or _needle(name)) >= 0

    def __iter__(self) -> Iterator[str]:
        return iter([name for name, _ in self.items()])

    def __len__(self) -> int:
        return self.block.count(CRLF)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Headers):
            return NotImplemented
        return [(n.lower(), v) for n, v in self.items()] == [(n.lower(), v) for n, v in other.items()]

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        return f"<Headers {[name for name, _ in self.items()]}>"


def written_lines(headers: Headers) -> bytes:
    """Return the block of every line that was written, also over an equal one: tells a plugin's fields from a client's.

    For the data path: what was removed again is in it as well.
    """
    return headers._written  # noqa: SLF001 - nothing that plugins are to see
