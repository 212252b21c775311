"""Lines out of a stream of bytes of which one line may be longer than any buffer."""

from __future__ import annotations

from typing import Final

LARGEST_LINE: Final = 16 * 1024 * 1024
"""Bytes; no object in a Kubernetes API server comes near it (etcd takes 1.5 MiB)."""


class LineTooLongError(ValueError):
    """A line that no object of Kubernetes has."""


class Lines:
    """Cuts parts of a stream into lines. Costs each byte once, however the parts fall."""

    __slots__ = ("_parts", "_size")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, part: bytes) -> list[bytes]:
        """Take the next part.

        :returns: the lines that are complete now, without their ends; empty lines are left out.
        :raises LineTooLongError: there is no end in sight.
        """
        first, *others = part.split(b"\n")
        self._parts.append(first)
        self._size += len(first)
        if self._size > LARGEST_LINE:
            raise LineTooLongError(f"a line of the watch is longer than {LARGEST_LINE} bytes")
        if not others:
            return []
        lines = [b"".join(self._parts), *others[:-1]]
        self._parts, self._size = [others[-1]], len(others[-1])
        return [line for line in lines if line.strip()]
