"""The decoder of HPACK (RFC 7541): fields come out as lines of HTTP/1.

A field is validated and made a line once, when it enters the dynamic table, and each index then gives it
ready. `Decoder.generation` changes with the table, so that whoever keeps what a whole block meant knows how long that
holds. A block that refers to nothing in the table means the same for ever, only that it adds to the table each time:
`Decoder.added` and `Decoder.add_again` are for those. Decoded Huffman strings are remembered, as most come again.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Final

from gateway_core.proxy.wire.h2.errors import ErrorCode, Http2ConnectionError
from gateway_core.proxy.wire.h2.hpack_runs import FIRST_DYNAMIC, LONGEST_RUN, Run, Runs
from gateway_core.proxy.wire.h2.huffman import HuffmanError
from gateway_core.proxy.wire.h2.huffman import decode as decode_huffman

Field = tuple[bytes, bytes, bytes | None, int]
"""Name, value, line and size. The line is ``CRLF name: value``, empty for a pseudo-header field, and None where a
message with the field is malformed (RFC 9113 section 8.2). The size is counted as by tables and limits of lists."""

SENSITIVE: Final = frozenset({b"authorization", b"cookie", b"proxy-authorization", b"set-cookie"})
"""Fields that carry credentials."""

TABLE_SIZE: Final = 4096
"""Bytes of the dynamic table that we offer, which is the protocol's default."""

ENTRY_COST: Final = 32
"""Bytes that an entry counts beside its name and value (RFC 7541 section 4.1), and a field of a list as well."""

_STATIC_TEXT: Final = """\
:authority|
:method|GET
:method|POST
:path|/
:path|/index.html
:scheme|http
:scheme|https
:status|200
:status|204
:status|206
:status|304
:status|400
:status|404
:status|500
accept-charset|
accept-encoding|gzip, deflate
accept-language|
accept-ranges|
accept|
access-control-allow-origin|
age|
allow|
authorization|
cache-control|
content-disposition|
content-encoding|
content-language|
content-length|
content-location|
content-range|
content-type|
cookie|
date|
etag|
expect|
expires|
from|
host|
if-match|
if-modified-since|
if-none-match|
if-range|
if-unmodified-since|
last-modified|
link|
location|
max-forwards|
proxy-authenticate|
proxy-authorization|
range|
referer|
refresh|
retry-after|
server|
set-cookie|
strict-transport-security|
transfer-encoding|
user-agent|
vary|
via|
www-authenticate|"""
"""The static table, from index 1 (RFC 7541 appendix A)."""

_NAME_BYTES: Final = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
_match_value: Final = re.compile(rb"[\t -~\x80-\xff]*+").fullmatch
_CONNECTION_FIELDS: Final = {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}


def field(name: bytes, value: bytes) -> Field:
    """Return a field with its line, if a message may have it."""
    size = len(name) + len(value) + ENTRY_COST
    if _match_value(value) is None or value != value.strip(b" \t"):
        return name, value, None, size
    if name[:1] == b":":
        return name, value, b"", size
    if not name or name.translate(None, _NAME_BYTES) or name in _CONNECTION_FIELDS:
        return name, value, None, size
    if name == b"te" and value.lower() != b"trailers":
        return name, value, None, size
    return name, value, b"\r\n%b: %b" % (name, value), size


STATIC: Final[tuple[Field, ...]] = (
    (b"", b"", None, 0),
    *(field(*line.encode().split(b"|")) for line in _STATIC_TEXT.split("\n")),
)
_match_indices: Final = re.compile(b"[\x81-\xfe]+").match


# -- decoding


class HpackError(Http2ConnectionError):
    """A block that cannot be decoded: both sides' tables differ from now on, so the connection is lost."""

    def __init__(self, detail: str) -> None:
        super().__init__(ErrorCode.COMPRESSION_ERROR, detail)


_BOMB: Final = 8
"""Bytes of fields for each byte of a block that no large head has, but one that repeats an entry of the table."""


class FieldsTooLargeError(Exception):
    """The fields of a block are more than is taken; the block was decoded, so the connection goes on."""


_MOST_FIELDS: Final = 1024
_LARGEST_FIELD: Final = 256
_UNSHARED: Final = SENSITIVE | {b"traceparent", b"tracestate", b"x-request-id", b"b3", b"x-b3-spanid", b"x-b3-traceid"}
"""Fields that carry credentials, or are other ones in each request."""

_fields: Final[dict[tuple[bytes, bytes], Field]] = {}


def _shared_field(name: bytes, encoded: bytes) -> Field:
    """Return a field as `field` does, and remember it for all connections, whose tables are much alike, if it is small.

    :param encoded: its value as a string of HPACK, so that what came before is not decoded.
    """
    entry = field(name, _string(encoded, 0)[0])
    if entry[3] <= _LARGEST_FIELD:
        if len(_fields) >= _MOST_FIELDS:
            _fields.clear()
        _fields[name, encoded] = entry
    return entry


_MOST_STRINGS: Final = 4096
_LONGEST_STRING: Final = 32
"""Bytes of a string that is remembered: longer ones come again as entries of the table, or never."""

_strings: Final[dict[bytes, bytes]] = {}


def read_string(data: bytes) -> bytes:
    """Return what a Huffman string says.

    :raises HpackError: it is not well encoded.
    """
    text = _strings.get(data) if len(data) <= _LONGEST_STRING else None
    if text is None:
        try:
            text = decode_huffman(data)
        except HuffmanError as error:
            raise HpackError(str(error)) from None
        if len(data) <= _LONGEST_STRING:
            if len(_strings) >= _MOST_STRINGS:
                _strings.clear()
            _strings[data] = text
    return text


class Decoder:
    """Decodes the blocks of one direction of a connection, in their order."""

    __slots__ = ("_again", "_inserted", "_limit", "_runs", "_size", "_table", "added", "generation", "most", "parts")

    def __init__(self, most: int = 65536) -> None:
        """Begin with an empty table.

        :param most: size of a list of fields at most, as SETTINGS_MAX_HEADER_LIST_SIZE counts it.
        """
        self._table: list[Field] = [*STATIC]  # and behind them the dynamic one, the newest first
        # What `add_again` is to add. The table holds no more than the last of these, since each adds an entry.
        self._again: deque[tuple[Field, ...]] | None = None
        self._runs = Runs(self._table)
        self._size = self._inserted = 0
        self._limit = TABLE_SIZE
        self.most = most
        self.generation = 0
        """Another number once the table, or its size, is another."""
        self.added: tuple[Field, ...] | None = None
        """What the last block added to the table; None if it refers to the table, or makes it smaller."""
        self.parts: list[Field | Run] = []
        """What the last block was made of; of a run of indices the same object as before if its fields are the same."""

    def decode(self, data: bytes) -> list[Field]:  # noqa: C901 - one loop over bytes
        """Return the fields of a block.

        :raises HpackError: the block is no HPACK.
        :raises FieldsTooLargeError: there are more than ``most`` bytes of fields.
        :raises Http2ConnectionError: there are so many more, of so few bytes, that the block is an attack.
        """
        if self._again is not None:
            self._catch_up()
        fields: list[Field] = []
        parts: list[Field | Run] = []
        added: tuple[Field, ...] = ()
        position, end, is_pure, left = 0, len(data), True, self.most
        while position < end:
            byte = data[position]
            position += 1
            if byte & 0x80:
                found = _match_indices(data, position - 1, position + LONGEST_RUN - 1)
                if found is not None:
                    position = found.end()
                    try:
                        run = self._runs.read(found[0], len(fields), self._inserted)
                    except IndexError:
                        raise HpackError("a field is in none of the tables") from None
                    fields += run.fields
                    parts.append(run)
                    left -= run.size
                    is_pure = is_pure and run.deepest < FIRST_DYNAMIC
                    continue
                index, position = _integer(data, position, 0x7F) if byte == 0xFF else (0, position)
                entry = self._entry(index)
            elif byte & 0xE0 == 0x20:
                if fields:
                    raise HpackError("a size of the dynamic table is announced behind a field")
                size = byte & 0x1F
                if size == 0x1F:
                    size, position = _integer(data, position, 0x1F)
                self._resize(size)
                is_pure = False
                continue
            else:
                entry, index, position = self._literal(data, position, byte)
                if byte & 0x40:
                    self._add(entry)
                    added = *added, entry
            is_pure = is_pure and index < FIRST_DYNAMIC
            fields.append(entry)
            parts.append(entry)
            left -= entry[3]
        self.added, self.parts = added if is_pure else None, parts
        if left < 0:
            if left < -2 * self.most - _BOMB * end:
                raise Http2ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "a block says far more fields than are taken")
            raise FieldsTooLargeError(f"the fields are larger than {self.most} bytes")
        return fields

    def _literal(self, data: bytes, position: int, byte: int) -> tuple[Field, int, int]:
        """Return a field that is spelled out, the index of its name, 0 if that is spelled out too, and where it ends.

        :param byte: its first one, which is before the position.
        """
        prefix = 0x3F if byte & 0x40 else 0x0F
        index = byte & prefix
        line: bytes | None = None
        # Strings are read here: a call for each piece costs as much as the piece.
        try:
            if index == prefix:
                index, position = _integer(data, position, prefix)
            if index:
                name, _, line, _ = self._table[index]
            else:
                name, position = _string(data, position)
            first = data[position]
        except IndexError:
            raise HpackError("a field is cut off, or its name is in none of the tables") from None
        start, size = position, first & 0x7F
        position += 1
        if size == 0x7F:
            size, position = _integer(data, position, size)
        end = position + size
        if end > len(data):
            raise HpackError("a string is cut off")
        if byte & 0x40 and name not in _UNSHARED:
            encoded = data[start:end]
            return _fields.get((name, encoded)) or _shared_field(name, encoded), index, end
        value = data[position:end]
        if first & 0x80:
            value = read_string(value)
        if line and name != b"te" and _match_value(value) is not None and value == value.strip(b" \t"):
            # As `field`, for a name that was looked at before.
            return (name, value, b"\r\n%b: %b" % (name, value), len(name) + len(value) + ENTRY_COST), index, end
        return field(name, value), index, end

    def forget(self) -> None:
        """Forget everything but the table."""
        self._runs.forget()
        self.parts = []

    def limit(self, most: int) -> None:
        """Take lists of fields of no more than this size from now on."""
        self.most = most

    def add_again(self, added: tuple[Field, ...]) -> None:
        """Act upon a block once more that added this, at least one entry, and referred to nothing in the table."""
        if self._again is None:
            self._again = deque(maxlen=TABLE_SIZE // ENTRY_COST)
        self._again.append(added)
        self.generation += 1

    def _catch_up(self) -> None:
        """Add what was to be added, later than it came, since most of that is never referred to."""
        for added in self._again or ():
            for entry in added:
                self._add(entry)
        self._again = None

    def _entry(self, index: int) -> Field:
        if 0 < index < len(self._table):
            return self._table[index]
        raise HpackError(f"there is no entry {index} in the tables")

    def _add(self, entry: Field) -> None:
        self.generation += 1
        table, limit, size = self._table, self._limit, self._size + entry[3]
        while size > limit:
            if len(table) == FIRST_DYNAMIC:  # it is larger than the table, which is empty then
                self._size = 0
                return
            size -= table.pop()[3]
        table.insert(FIRST_DYNAMIC, entry)  # moves a few hundred bytes
        self._size = size
        self._inserted += 1

    def _resize(self, size: int) -> None:
        if size > TABLE_SIZE:
            raise HpackError(f"the dynamic table may not be larger than {TABLE_SIZE} bytes")
        self.generation += 1
        self._limit = size
        while self._size > size:
            self._size -= self._table.pop()[3]


def _integer(data: bytes, position: int, number: int) -> tuple[int, int]:
    """Return an integer that began with a full prefix, and where it ends (section 5.1)."""
    for shift in (0, 7, 14, 21):
        if position >= len(data):
            break
        byte = data[position]
        position += 1
        number += (byte & 0x7F) << shift
        if byte < 0x80:
            return number, position
    raise HpackError("an integer is cut off, or larger than any that makes sense")


def _string(data: bytes, position: int) -> tuple[bytes, int]:
    first = data[position]
    position += 1
    length = first & 0x7F
    if length == 0x7F:
        length, position = _integer(data, position, 0x7F)
    end = position + length
    if end > len(data):
        raise HpackError("a string is cut off")
    text = data[position:end]
    return (read_string(text) if first & 0x80 else text), end
