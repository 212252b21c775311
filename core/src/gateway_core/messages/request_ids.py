"""Request ids, made as the line that ends both heads of a request: most requests never need them as text.

An id is 32 hexadecimal digits: 20 by chance for each process, and a number of 12. Digits are taken out of tables and
joined, which takes a quarter of the time of formatting a number, and no call of Python's but once for 65,536 ids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, count, product
from secrets import token_hex
from typing import Final

_START: Final = b"\r\nX-Request-Id: "
_END: Final = b"\r\n\r\n"
_ID: Final = slice(len(_START), -len(_END))
_DIGITS: Final = tuple([b"%02x" % number for number in range(256)])
_LAST_DIGITS: Final = tuple([digits + _END for digits in _DIGITS])


def new_id_lines() -> Callable[[], bytes]:
    """Return what returns another id with each call, as `id_line` does: unique without asking another process."""
    start = _START + token_hex(10).encode()

    def lines_of(number: int) -> Iterator[bytes]:
        return map(b"".join, product((start + b"%08x" % number,), _DIGITS, _LAST_DIGITS))

    return chain.from_iterable(map(lines_of, count())).__next__


def id_line(request_id: bytes) -> bytes:
    """Return X-Request-Id as a line, and the empty line that ends a head."""
    return _START + request_id + _END


def id_of(line: bytes) -> str:
    """Return the id of a line."""
    return line[_ID].decode("latin-1")


class Identified:
    """What has a request's id, as the line that came until something asks for the text."""

    __slots__ = ("_id",)

    _id: str | bytes

    @property
    def request_id(self) -> str:
        """The id of the request, as X-Request-Id has it in both directions."""
        value = self._id
        if not isinstance(value, str):
            value = self._id = value[_ID].decode("latin-1")  # as `id_of`, which takes a call
        return value

    @request_id.setter
    def request_id(self, request_id: str) -> None:
        self._id = request_id
