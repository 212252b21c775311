"""JSON lines change as they pass, line by line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from gateway_plugin_sdk import BodyFilter, Headers

from gateway_plugin_transform.changes import Change, ChangeError, TooLargeError

_AT_ONCE: Final = 2048
"""Bytes of lines, as they came and as they become, in one turn of the event loop: less than 10 ms for the shortest."""
TYPES: Final = frozenset({"application/x-ndjson", "application/jsonl", "application/x-jsonlines"})


class Lines(BodyFilter):
    """Changes each line of a body; no more than one line is kept."""

    def __init__(self, change: Change, limit: int, fail: Callable[[str, bool], Exception]) -> None:
        """Begin.

        :param limit: bytes of the longest line.
        :param fail: makes the error to raise, of a reason and of whether a line is too long.
        """
        self._change = change
        self._limit = limit
        self._fail = fail
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Return the lines that are complete, changed: some at a time, as a piece for each line costs more."""
        *complete, rest = data.split(b"\n")
        if complete:
            complete[0] = self._rest + complete[0]
            self._rest = rest
        else:
            self._rest += rest
        made, size = bytearray(), 0
        for line in complete:
            changed = self._changed(line)
            made += changed + b"\n"
            size += len(line) + len(changed) + 2
            if size >= _AT_ONCE:
                yield bytes(made)
                made, size = bytearray(), 0
        yield bytes(made)
        if len(self._rest) > self._limit:
            raise self._fail("a line is too long", True)

    def finish(self, trailers: Headers) -> bytes:  # noqa: ARG002
        """Return the last line, if it has no end."""
        return self._changed(self._rest) if self._rest else b""

    def _changed(self, line: bytes) -> bytes:
        if len(line) > self._limit:
            raise self._fail("a line is too long", True)
        if not line.strip():
            return line
        try:
            return self._change.json(line)
        except ChangeError as error:
            raise self._fail(str(error), isinstance(error, TooLargeError)) from None
