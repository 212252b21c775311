"""The Huffman code of HPACK (RFC 7541 section 5.2 and appendix B).

The code is canonical: codes of one length are consecutive numbers in the order of their symbols, so the lengths say all
of it. Decoding walks its tree a byte at a time: for each of the 256 inner nodes there is a row which gives, for each
byte, what is decoded and the node where the next byte begins. A row is made when it is first needed.
"""

from __future__ import annotations

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


def decode(data: bytes) -> bytes:
    """Return what a string says.

    :raises HuffmanError: it is not encoded as section 5.2 demands.
    """
    step: tuple[_Row, bytes | None] = _rows[0], b""
    try:
        # A comprehension, since all else costs half more for each byte.
        pieces = [(step := step[0][byte])[1] for byte in data]
        can_end = step[0][256]
    except IndexError:
        _fill_for(data)
        return decode(data)
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
