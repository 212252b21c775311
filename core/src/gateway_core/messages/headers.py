r"""Header fields, kept as the bytes in which they came.

A head is almost always forwarded as it is, and a plugin reads one or two fields of it. So the fields stay one block
of bytes, ``b"\r\nHost: a\r\nAccept: b"``: every line begins with CRLF, none ends with one. A look-up is a ``find`` in
a lower-cased copy, a change is a slice, and a head that was not changed is still the very slice that arrived.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import attrgetter
from typing import Final, NewType, NoReturn, overload

from gateway_core.messages.field_search import count_in, needle_of, needles, start_of, starts, value_in
from gateway_core.messages.fields import CRLF, FieldBlock, FieldNames, checked_value, lines_of

HeadersKey = NewType("HeadersKey", bytes)
"""An opaque, hashable value: equal for heads with the same fields, written in the same way; for caches."""


class Headers:
    """The fields of one head: ordered, names case-insensitive, several fields of one name allowed.

    Names and values are text; each character is one byte of the wire (latin-1), so nothing is lost. A value is without
    the white space around it.
    """

    # _block: the fields as they go on the wire; _lowered_block: the same in lower case, or None until it is needed;
    # _came: the block that there was at first; _written, _removed: lines since then (see `written_lines`).
    __slots__ = ("_block", "_came", "_lowered_block", "_removed", "_written")

    def __init__(self, fields: Mapping[str, str] | Iterable[tuple[str, str]] | FieldBlock = ()) -> None:
        """Make headers.

        :raises HeaderError: a name or a value must not go on the wire.
        """
        self._block = self._came = self._written = b""
        self._lowered_block: bytes | None = None
        self._removed: tuple[bytes, ...] = ()
        if fields:
            self.extend(fields)

    @property
    def _lowered(self) -> bytes:
        lowered = self._lowered_block
        if lowered is None:
            lowered = self._lowered_block = self._block.lower()
        return lowered

    @property
    def key(self) -> HeadersKey:
        """A value to look these fields up by in a cache."""
        return self._block  # type: ignore[return-value]  # spares a call

    @property
    def size(self) -> int:
        """Bytes of all fields on the wire."""
        return len(self._block)

    @overload
    def get(self, name: str) -> str | None: ...
    @overload
    def get(self, name: str, default: str) -> str: ...
    def get(self, name: str, default: str | None = None) -> str | None:
        """Return the first value of a field, or the default."""
        value = self.get_bytes(name)
        return default if value is None else value.decode("latin-1")

    def get_bytes(self, name: str) -> bytes | None:
        """Return the first value of a field as its bytes, which are often UTF-8, or None."""
        lowered = self._lowered_block
        if lowered is None:
            lowered = self._lowered_block = self._block.lower()
        return value_in(self._block, lowered, name)

    def count(self, name: str) -> int:
        """Return how many fields of that name there are."""
        return count_in(self._lowered, name)

    def get_all(self, name: str) -> list[str]:
        """Return every value of a field, in order."""
        lowered = self._lowered_block
        if lowered is None:
            lowered = self._lowered_block = self._block.lower()
        needle = needles.get(name) or needle_of(name)
        start = lowered.find(needle)
        values: list[str] = []
        while start >= 0:
            start += len(needle)
            end = lowered.find(b"\r", start)
            if end < 0:
                end = len(lowered)
            values.append(self._block[start:end].strip(b" \t").decode("latin-1"))
            start = lowered.find(needle, end)
        return values

    def joined(self, name: str) -> str | None:
        """Return the values of a list field as one, joined by commas (RFC 9110 section 5.3), or None."""
        values = self.get_all(name)
        return ", ".join(values) if values else None

    def add(self, name: str, value: str) -> None:
        """Append a field, whether or not there is one of that name."""
        line = (starts.get(name) or start_of(name)) + checked_value(value)
        self._block += line
        self._written += line
        self._lowered_block = None

    def extend(self, fields: Mapping[str, str] | Iterable[tuple[str, str]] | FieldBlock) -> None:
        """Append several fields; a `FieldBlock` costs no checks.

        :raises HeaderError: a name or a value must not go on the wire.
        """
        lines = fields.lines if isinstance(fields, FieldBlock) else lines_of(fields)
        self._block += lines
        self._written += lines
        self._lowered_block = None

    def extend_unless(self, fields: FieldBlock, unless: FieldNames | None) -> bool:
        """Append several fields and return True, or False if there is a field of one of some names."""
        if unless is not None and self.has_any(unless):
            return False
        self.extend(fields)
        return True

    def remove(self, name: str) -> None:
        """Remove every field of that name; there need not be one."""
        self._remove(name)

    def _remove(self, name: str) -> bool:
        """Remove every field of a name; return whether there was one."""
        lowered = self._lowered_block
        if lowered is None:
            lowered = self._lowered_block = self._block.lower()
        needle = needles.get(name) or needle_of(name)
        start = lowered.find(needle)
        if start < 0:
            return False
        block = self._block
        end = lowered.find(b"\r", start + 2)
        if end < 0:
            self._block = block[:start]
            self._removed += (block[start:],)
        elif lowered.find(needle, end) < 0:  # as almost always: there is one
            self._block = block[:start] + block[end:]
            self._removed += (block[start:end],)
        else:
            kept, removed, position = [], [], 0
            while start >= 0:
                kept.append(block[position:start])
                end = lowered.find(b"\r", start + 2)
                position = len(block) if end < 0 else end
                removed.append(block[start:position])
                start = lowered.find(needle, position)
            self._block = b"".join([*kept, block[position:]])
            self._removed += tuple(removed)
        self._lowered_block = None
        return True

    def replace_only(self, name: str, fields: FieldBlock) -> bool:
        """Remove the one field of that name, append others, and return True.

        :returns: False, without a change, if there are several, or none.
        """
        lowered = self._lowered_block
        if lowered is None:
            lowered = self._lowered_block = self._block.lower()
        needle = needles.get(name) or needle_of(name)
        start = lowered.find(needle)
        if start < 0:
            return False
        block, lines = self._block, fields.lines
        end = lowered.find(b"\r", start + 2)
        if end < 0:
            end = len(block)
        elif lowered.find(needle, end) >= 0:
            return False
        self._block = block[:start] + block[end:] + lines
        self._removed += (block[start:end],)
        self._written += lines
        self._lowered_block = None
        return True

    def has_any(self, names: FieldNames) -> bool:
        """Return whether there is a field of one of these names."""
        lowered = self._lowered_block
        if lowered is None:
            lowered = self._lowered_block = self._block.lower()
        return names.search(lowered) is not None

    def get_any(self, names: FieldNames) -> list[str]:
        """Return every value of the fields of these names, in order."""
        block, lowered, values = self._block, self._lowered, []
        for match in names.pattern.finditer(lowered):
            end = lowered.find(b"\r", match.end())
            value = block[match.end() :] if end < 0 else block[match.end() : end]
            values.append(value.strip(b" \t").decode("latin-1"))
        return values

    def remove_any(self, names: FieldNames) -> bool:
        """Remove every field of these names, and return whether there was one."""
        # Not by name: names are a client's text here, and those of `remove` are kept for the next look-up.
        block, lowered, kept, removed, position = self._block, self._lowered, [], [], 0
        for match in names.pattern.finditer(lowered):
            kept.append(block[position : match.start()])
            end = lowered.find(b"\r", match.end())
            position = len(block) if end < 0 else end
            removed.append(block[match.start() : position])
        if not position:
            return False
        kept.append(block[position:])
        self._block = b"".join(kept)
        self._removed += tuple(removed)
        self._lowered_block = None
        return True

    def add_vary(self, names: str) -> None:
        """Have caches keep responses apart by more request fields (RFC 9110 section 12.5.5).

        :param names: separated by ``, ``; those that Vary has already, and all if it has ``*``, are left out.
        """
        present = self.joined("Vary")
        if present is not None:
            listed = {name.strip(" \t").lower() for name in present.split(",")}
            names = "" if "*" in listed else ", ".join(each for each in names.split(", ") if each.lower() not in listed)
        if names:
            self.add("Vary", names)

    @overload
    def pop(self, name: str) -> str | None: ...
    @overload
    def pop(self, name: str, default: str) -> str: ...
    def pop(self, name: str, default: str | None = None) -> str | None:
        """Remove every field of that name and return the first value, or the default."""
        value = self.get(name)
        if value is None:
            return default
        self._remove(name)
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
        other = Headers.__new__(Headers)
        other._block, other._came, other._removed = self._block, self._came, self._removed
        other._lowered_block = self._lowered_block or self._lowered  # made now, for all copies
        other._written = self._written
        return other

    def items(self) -> list[tuple[str, str]]:
        """Return (name, value) of every field, in order, names as they were written."""
        pairs = []
        for line in self._block.split(CRLF)[1:]:
            name, _, value = line.partition(b":")
            pairs.append((name.decode("latin-1"), value.strip(b" \t").decode("latin-1")))
        return pairs

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __setitem__(self, name: str, value: str) -> None:
        line = (starts.get(name) or start_of(name)) + checked_value(value)
        self._remove(name)
        self._block += line
        self._written += line
        self._lowered_block = None

    def __delitem__(self, name: str) -> None:
        if not self._remove(name):
            raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._lowered.find(needles.get(name) or needle_of(name)) >= 0

    def __iter__(self) -> Iterator[str]:
        return iter([name for name, _ in self.items()])

    def __len__(self) -> int:
        return self._block.count(CRLF)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Headers):
            return NotImplemented
        return [(n.lower(), v) for n, v in self.items()] == [(n.lower(), v) for n, v in other.items()]

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        return f"<Headers {[name for name, _ in self.items()]}>"


class FrozenHeaders(Headers):
    """Fields that cannot be changed; `copy` returns some that can."""

    __slots__ = ()

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("these headers are read-only: change request.headers, or a copy")

    add = extend = extend_unless = remove = remove_any = replace_only = pop = setdefault = __setitem__ = __delitem__ = (
        _refuse
    )


# For the core: plugins never see in which form fields are kept.


def headers_of_block(block: bytes, lowered: bytes | None = None, written: bytes = b"") -> Headers:
    """Return headers over a block that is known to be valid.

    :param block: lines that each begin with CRLF.
    :param lowered: the same in lower case, if it is there already.
    :param written: lines that a plugin added behind it.
    """
    headers = Headers.__new__(Headers)
    headers._block = block + written if written else block
    headers._came, headers._removed = block, ()
    headers._lowered_block = None if written else lowered
    headers._written = written
    return headers


def frozen_headers(block: bytes, lowered: bytes | None = None) -> FrozenHeaders:
    """Return read-only headers over a block that is known to be valid.

    :param lowered: the same in lower case, if it is there already.
    """
    headers = FrozenHeaders.__new__(FrozenHeaders)
    headers._block = headers._came = block
    headers._removed = ()
    headers._lowered_block = lowered
    headers._written = b""
    return headers


def cookie_of(headers: Headers, name: str) -> str | None:
    """Return a cookie's value (RFC 6265 section 4.2), or None."""
    for pair in ";".join(headers.get_all("cookie")).split(";"):
        key, equals, value = pair.partition("=")
        if equals and key.strip() == name:
            return value.strip().strip('"')
    return None


block_of: Final[Callable[[Headers], bytes]] = attrgetter("_block")
"""Returns the block of headers: still the same object that they were made of if nothing changed."""

lowered_block_of: Final[Callable[[Headers], bytes]] = attrgetter("_lowered")
"""Returns the block in lower case."""

written_lines: Final[Callable[[Headers], bytes]] = attrgetter("_written")
"""Returns the block of every line that was written, also over an equal one: what a plugin wrote, not a client.

What was removed again is in it as well."""


def removed_lines(headers: Headers, came: bytes) -> tuple[bytes, ...] | None:
    """Return every line that was removed, whether it came or was written; None if this is not the block that came."""
    return headers._removed if headers._came is came else None
