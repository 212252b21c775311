"""The encoder of HPACK (RFC 7541): lines of HTTP/1 go in.

Nothing is put into the peer's table: a block is the same bytes on every connection and at any time, and can be
remembered by what it was made of. Fields that carry credentials are sent as never indexed, and not remembered.
"""

from __future__ import annotations

from typing import Final

from gateway_core.proxy.wire.h2.hpack import SENSITIVE, STATIC

_NAMES: Final = {name: index for index, (name, *_) in reversed(list(enumerate(STATIC))) if index}

_STATUS: Final = {
    int(value): bytes([0x80 | index]) for index, (name, value, *_) in enumerate(STATIC) if name == b":status"
}

EMPTY_TABLE: Final = b"\x20"
"""What reduces the peer's table to nothing, at the beginning of a block (section 6.3)."""


def encode_integer(value: int, bits: int, first: int) -> bytes:
    """Return an integer behind the pattern of a first byte (section 5.1).

    :param bits: of the first byte that are the integer's.
    """
    most = (1 << bits) - 1
    if value < most:
        return bytes((first | value,))
    encoded = bytearray((first | most,))
    value -= most
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def name_prefix(name: bytes) -> bytes:
    """Return how a literal begins that enters no table: all but its value.

    :param name: in lower case.
    """
    first = 0x10 if name in SENSITIVE else 0
    index = _NAMES.get(name)
    if index is not None:
        return encode_integer(index, 4, first)
    return bytes((first,)) + encode_integer(len(name), 7, 0) + name


_PREFIXES: Final = {name: name_prefix(name) for name in _NAMES}
_SIZES: Final = tuple(bytes((size,)) for size in range(0x7F))


def encode_value(prefix: bytes, value: bytes) -> bytes:
    """Return a field as a literal.

    :param prefix: its name, as `name_prefix` has it.
    """
    size = len(value)
    if size < 0x7F:
        return prefix + _SIZES[size] + value
    return prefix + encode_integer(size, 7, 0) + value


def encode_field(name: bytes, value: bytes) -> bytes:
    """Return a field as a literal that enters no table.

    :param name: in lower case.
    """
    return encode_value(_PREFIXES.get(name) or name_prefix(name), value)


def encode_status(status: int) -> bytes:
    """Return ``:status`` of a response."""
    return _STATUS.get(status) or b"\x08\x03%03d" % status


_MOST_ENCODED: Final = 1024
_LONGEST_BLOCK: Final = 1024
_LONGEST_LINE: Final = 128
_blocks: Final[dict[bytes, bytes]] = {}
_lines: Final[dict[bytes, bytes]] = {}


def encode_block(block: bytes) -> bytes:
    """Return lines of HTTP/1 as fields.

    What most responses have is remembered: whole blocks, and the lines of those that are new. Credentials are not.

    :param block: each line with a CRLF before it; without fields of the connection.
    """
    encoded = _blocks.get(block)
    if encoded is None:
        fields = [_lines.get(line) or encode_line(line) for line in block.split(b"\r\n")[1:]]
        encoded = b"".join(fields)
        if len(block) <= _LONGEST_BLOCK and not any(is_never_indexed(each) for each in fields):
            if len(_blocks) >= _MOST_ENCODED:
                _blocks.clear()
            _blocks[block] = encoded
    return encoded


def encode_line(line: bytes) -> bytes:
    """Return a line of HTTP/1, without CRLF, as a field."""
    name, _, value = line.partition(b":")
    encoded = encode_field(name.lower(), value.strip(b" \t"))
    if len(line) <= _LONGEST_LINE and not is_never_indexed(encoded):
        if len(_lines) >= _MOST_ENCODED:
            _lines.clear()
        _lines[line] = encoded
    return encoded


def is_never_indexed(encoded: bytes) -> bool:
    """Return whether a literal carries credentials."""
    return encoded[0] & 0x10 != 0
