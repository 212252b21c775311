"""Runs of indices in the blocks of one connection, known again although they have moved (RFC 7541 section 2.3.3).

Most of a block is what both sides have in their tables, a byte each. These are the fields of the block before, but each
entry that was added since has moved the indices of the dynamic table by one. So the bytes that mean the same fields are
known before a block comes, and one comparison finds them.
"""

from __future__ import annotations

from typing import Final

Entry = tuple[bytes, bytes, bytes | None, int]
"""An entry of a table: a `Field` of `hpack.py`."""

FIRST_DYNAMIC: Final = 62
"""The index of the newest entry of the dynamic table."""

LONGEST_RUN: Final = 64
"""Fields of a run that is known again: no real one is longer, and what a client makes us keep has a bound."""

_MOST_RUNS: Final = 8
_INDICES: Final = bytes([each & 0x7F for each in range(256)])
_MOST_MOVED: Final = 0x7F - FIRST_DYNAMIC


def _moved(byte: int, by: int) -> int:
    index = byte & 0x7F
    index += by if index >= FIRST_DYNAMIC else 0
    return 0x80 | index if byte > 0x80 and index < 0x7F else 0


_MOVED: Final = [bytes([_moved(byte, by) for byte in range(256)]) for by in range(_MOST_MOVED)]
"""What a byte becomes once so many entries were added; 0, which is in no run, for what is more than a byte then."""


class Run:
    """Some fields that came as indices, one behind the other."""

    __slots__ = ("deepest", "encoded", "fields", "inserted", "size")

    def __init__(self, encoded: bytes, deepest: int, fields: tuple[Entry, ...], inserted: int) -> None:
        self.fields = fields
        self.size = sum([each[3] for each in fields])
        """Bytes that they count in limits of lists."""
        self.encoded = encoded
        """The bytes that meant them once so many entries were added."""
        self.inserted = inserted
        self.deepest = deepest
        """The largest of their indices then."""


class Runs:
    """Reads runs by a table, to which the decoder adds."""

    __slots__ = ("_known", "_table")

    def __init__(self, table: list[Entry]) -> None:
        """Begin without any.

        :param table: the entries by their indices.
        """
        self._table = table
        self._known: dict[int, Run] = {}  # by how many fields come before it in its block, and its length

    def read(self, encoded: bytes, before: int, inserted: int) -> Run:
        """Return a run: the same object as before if the fields are the same ones.

        :param before: the number of fields that come before it.
        :param inserted: how many entries were ever added to the table.
        :raises IndexError: there is no such entry.
        """
        key = before << 7 | len(encoded)
        run = self._known.get(key)
        if run is not None:
            if moved := inserted - run.inserted:
                run.encoded = run.encoded.translate(_MOVED[moved]) if moved < _MOST_MOVED else b""
                run.inserted = inserted
                if run.deepest >= FIRST_DYNAMIC:
                    run.deepest += moved
            if run.encoded == encoded and run.deepest < len(self._table):
                return run
        elif len(self._known) >= _MOST_RUNS:
            self._known.clear()
        indices = encoded.translate(_INDICES)
        run = self._known[key] = Run(encoded, max(indices), tuple(map(self._table.__getitem__, indices)), inserted)
        return run

    def forget(self) -> None:
        """Know no run again."""
        self._known.clear()
