"""The Huffman code of HPACK (RFC 7541 section 5.2 and appendix B).

The code is canonical: codes of one length are consecutive numbers in the order of their symbols, so the lengths say all
of it. There are two ways to decode:

* zlib does, since DEFLATE has canonical codes as well (RFC 1951 section 3.2.2), of at most 15 bits. Those of all
  characters of ASCII but the backslash and controls are no longer, and together with 15 ones as the end of a block
  they are a complete code. So a block begins by saying their lengths, and a string is what follows, only that DEFLATE
  fills bytes from the other end. Whether the text is all of the string, its length shows.
* Everything else walks the tree a byte at a time: for each of the 256 inner nodes there is a row which gives, for each
  byte, what is decoded and the node where the next byte begins. A row is made when it is first needed.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any, Final

_LENGTHS: Final = bytes.fromhex(
    "0d171c1c1c1c1c1c1c181e1c1c1e1c1c1c1c1c1c1c1c1e1c1c1c1c1c1c1c1c1c060a0a0c0d06080b0a0a080b080606060505050606060606"
    "060607080f060c0a0d06070707070707070707070707070707070707070707070807080d130d0e060f050605060506060605070706060605"
    "06070605050607070707070f0b0e0d1c14161414161616171617171717171817181816171817171717151617161717181615141616171715"
    "1716161815161717151516151716171714161616171616171a1a1413161716191a1a1a1b1b1a181913151a1b1b1a1b1815151a1a1c1b1b1b"
    "14181415161515171616191918181a171a1b1a1a1b1b1b1b1b1c1b1b1b1b1b1a1e"
)
"""The length of each symbol's code in bits: 256 bytes, and the end of the string (EOS) as the last one."""

_EOS: Final = 256


class HuffmanError(ValueError):
    """A string that no encoder makes: it contains EOS, or is padded with anything but the beginning of EOS."""


def _codes() -> list[tuple[int, int]]:
    """Return code and length of each symbol."""
    codes = [(0, 0)] * len(_LENGTHS)
    code = length = 0
    for symbol in sorted(range(len(_LENGTHS)), key=lambda each: (_LENGTHS[each], each)):
        code <<= _LENGTHS[symbol] - length
        length = _LENGTHS[symbol]
        codes[symbol] = (code, length)
        code += 1
    return codes


def _tree(codes: list[tuple[int, int]]) -> list[list[int]]:
    """Return for each inner node where 0 and 1 lead: to another node, or to a symbol as ``-1 - symbol``."""
    nodes = [[0, 0]]
    for symbol, (code, length) in enumerate(codes):
        node = 0
        for shift in range(length - 1, 0, -1):
            bit = code >> shift & 1
            if not nodes[node][bit]:
                nodes.append([0, 0])
                nodes[node][bit] = len(nodes) - 1
            node = nodes[node][bit]
        nodes[node][code & 1] = -1 - symbol
    return nodes


_CODES: Final = _codes()
_TREE: Final = _tree(_CODES)

_Row = list[Any]
"""For each byte the row with which the next one is decoded, and what is decoded, None behind EOS; then whether a string
may end there."""
_rows: Final[list[_Row]] = [[] for _ in _TREE]


def _padded() -> frozenset[int]:
    """Return the nodes where a string may end: at most seven bits behind a symbol, all of them 1."""
    node, found = 0, {0}
    for _ in range(7):
        node = _TREE[node][1]
        found.add(node)
    return frozenset(found)


_ENDS: Final = _padded()


def _fill(row: _Row) -> None:
    """Make a row."""
    node = next(index for index, each in enumerate(_rows) if each is row)
    for byte in range(256):
        at, text = node, bytearray()
        for shift in range(7, -1, -1):
            at = _TREE[at][byte >> shift & 1]
            if at == -1 - _EOS:
                break
            if at < 0:
                text.append(-1 - at)
                at = 0
        row.append((_rows[max(at, 0)], None if at < 0 else bytes(text)))
    row.append(node in _ENDS)


_LONGEST_CODE: Final = 15  # of DEFLATE
_MIRRORED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_SYMBOL_BITS: Final = _LENGTHS[:_EOS]
_END: Final = b"\xff\x7f"
"""What follows a string: 15 ones, which end the block, and a zero."""

_SHORT: Final = 16
"""Bytes of a string below which the tree is as fast."""


def _deflated() -> bytes:
    """Return what comes before the symbols of a DEFLATE block in this code, which fills its last byte."""

    def bits(value: int, count: int) -> Iterable[int]:
        return (value >> shift & 1 for shift in range(count))

    found = [*bits(0, 1), *bits(1, 2), *bits(0, 7)]  # an empty block, for the sake of its ten bits
    found += [*bits(1, 1), *bits(2, 2), *bits(0, 5), *bits(1, 5), *bits(15, 4)]  # the last one; 257 and 2 codes
    for symbol in (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15):
        found += bits(4 if symbol <= _LONGEST_CODE else 0, 3)  # so each length below is its own code
    for length in (*_SYMBOL_BITS, _LONGEST_CODE, 0, 0):  # the end of the block, and two distances that there are not
        found += reversed([*bits(length if length <= _LONGEST_CODE else 0, 4)])
    return bytes(sum(bit << place for place, bit in enumerate(found[at : at + 8])) for at in range(0, len(found), 8))


_inflating: Final = zlib.decompressobj(-8)  # the smallest window: nothing refers back
_inflating.decompress(_deflated())


def decode(data: bytes) -> bytes:
    """Return what a string says.

    :raises HuffmanError: it is not encoded as section 5.2 demands.
    """
    size = len(data)
    if size >= _SHORT:
        inflating = _inflating.copy()
        text = inflating.decompress(data.translate(_MIRRORED) + _END, 2 * size)
        # The 15 ones reach the last byte only if they begin with the last six bits of the string, or right behind it:
        # what is left of it then is padding.
        if inflating.eof and not inflating.unused_data:
            return text
        if 0 <= 8 * size - sum(text.translate(_SYMBOL_BITS)) < 8:  # padding as well: it ended there, with ones
            return text
    return _walk(data)


def _walk(data: bytes) -> bytes:
    """Return what a string says, whatever it is; as `decode`."""
    step: tuple[_Row, bytes | None] = _rows[0], b""
    try:
        # A comprehension, since all else costs half more for each byte.
        pieces = [(step := step[0][byte])[1] for byte in data]
        can_end = step[0][256]
    except IndexError:
        _fill_for(data)
        return _walk(data)
    if not can_end:
        raise HuffmanError("the padding of a Huffman string is not the beginning of EOS, or is longer than seven bits")
    try:
        return b"".join(pieces)
    except TypeError:
        raise HuffmanError("a Huffman string contains EOS") from None


def _fill_for(data: bytes) -> None:
    """Fill all rows that a string needs."""
    row = _rows[0]
    for byte in data:
        if not row:
            _fill(row)
        row = row[byte][0]
    if not row:
        _fill(row)


def encode(text: bytes) -> bytes:
    """Return a string in this code, padded to whole bytes."""
    bits = length = 0
    for byte in text:
        code, size = _CODES[byte]
        bits = bits << size | code
        length += size
    padding = -length % 8
    return (bits << padding | (1 << padding) - 1).to_bytes((length + padding) // 8, "big")
