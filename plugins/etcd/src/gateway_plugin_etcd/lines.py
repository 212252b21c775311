"""Lines of a chunked answer, as long as they come."""

from __future__ import annotations

from gateway_plugin_etcd.errors import EtcdError

LONGEST_LINE = 64 * 1024 * 1024
"""Bytes; etcd itself takes requests of 1.5 MiB, but may report many events in one line."""


class LineSplitter:
    """Cuts bytes into lines."""

    __slots__ = ("_longest", "_parts", "_size")

    def __init__(self, longest: int = LONGEST_LINE) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._longest = longest

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that are complete now, without empty ones.

        :raises EtcdError: a line is longer than the limit.
        """
        first, *rest = data.split(b"\n")
        self._parts.append(first)
        self._size += len(first)
        if self._size > self._longest:
            raise EtcdError(f"a line of the answer is longer than {self._longest} bytes")
        if not rest:
            return []
        lines = [b"".join(self._parts), *rest[:-1]]
        self._parts, self._size = [rest[-1]], len(rest[-1])
        return [line for line in lines if line.strip()]
