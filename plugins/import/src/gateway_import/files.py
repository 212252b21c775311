"""Reads the file that is imported, and what it includes: bounded, and only below its folder.

Nothing is run and no URL is followed. A name that leaves the folder of the first file, by ``..`` or by a symbolic link,
is a failure and not left out: what it would have said is not known.
"""

from __future__ import annotations

import os
import stat
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from gateway_import.failures import CannotImportError, Origin

LARGEST: Final = 16 * 1024 * 1024
"""Bytes of all files together."""
MOST_FILES: Final = 1000
DEEPEST_INCLUDE: Final = 16
_MOST_ENTRIES: Final = 100_000
"""Entries of folders that patterns may look at."""


@dataclass(frozen=True, slots=True)
class SourceText:
    """The text of one file."""

    name: str
    """As origins show it."""
    text: str
    path: Path | None = None
    """None for standard input."""
    depth: int = 0
    """0 for the first file, 1 for what it includes, and so on."""

    @property
    def origin(self) -> Origin:
        """The whole file."""
        return Origin(self.name)


@dataclass(slots=True)
class Files:
    """What may be read for one import."""

    name: str
    """The first file as it was given; ``-`` is standard input."""
    stdin: BinaryIO | None = None
    _read: int = field(default=0, init=False)
    _count: int = field(default=0, init=False)

    @property
    def folder(self) -> Path | None:
        """The folder of the first file, with links resolved; None for standard input."""
        return None if self.name == "-" else Path(self.name).resolve().parent

    def first(self) -> SourceText:
        """Read the first file.

        :raises OSError: it cannot be read.
        :raises CannotImportError: it is too large, or no text in UTF-8.
        """
        if self.name == "-":
            stream = self.stdin or sys.stdin.buffer
            return SourceText("stdin", self._text(stream.read(LARGEST + 1), Origin("stdin")))
        path = Path(self.name)
        return SourceText(self.name, self._text(_bytes_of(path, LARGEST + 1), Origin(self.name)), path.resolve())

    def include(self, pattern: str, by: Origin, including: SourceText) -> list[SourceText]:
        """Read the files that a pattern names, in the order of their names; ``*``, ``?`` and ``[...]`` are allowed.

        A relative name starts from the folder of the first file, as nginx has it.

        :raises CannotImportError: one is outside of the folder, cannot be read, or there are too many; a name without a
            wildcard that is not there; standard input, which has no folder.
        """
        folder = self.folder
        if folder is None:
            raise CannotImportError(by, f"includes {pattern!r}, and standard input has no folder: give a file")
        if including.depth >= DEEPEST_INCLUDE:
            raise CannotImportError(
                by, f"includes more than {DEEPEST_INCLUDE} levels deep: does a file include itself?"
            )
        return [self._included(path, folder, by, including.depth + 1) for path in self._matching(pattern, folder, by)]

    def _matching(self, pattern: str, folder: Path, by: Origin) -> list[Path]:
        relative = os.path.relpath(pattern, folder) if Path(pattern).is_absolute() else os.path.normpath(pattern)
        if "\0" in pattern or Path(relative).parts[:1] == (os.pardir,):
            raise CannotImportError(
                by, f"includes {pattern!r}, which is not below {folder}: copy it there, and name it so"
            )
        if not any(mark in relative for mark in "*?["):
            return [folder / relative]
        found: list[Path] = []
        for looked_at, path in enumerate(folder.glob(relative)):
            if looked_at >= _MOST_ENTRIES:
                raise CannotImportError(by, f"includes {pattern!r}, which looks at too many files: name them")
            if path.is_file():
                found.append(path)
        return sorted(found)

    def _included(self, path: Path, folder: Path, by: Origin, depth: int) -> SourceText:
        resolved = path.resolve()
        if not resolved.is_relative_to(folder):
            raise CannotImportError(by, f"includes {path.name!r}, a link out of {folder}: put a copy in its place")
        name = str(Path(self.name).parent / path.relative_to(folder))
        try:
            data = _bytes_of(resolved, LARGEST + 1)
        except OSError as error:
            raise CannotImportError(by, f"includes {name}, which cannot be read: {error.strerror or error}") from None
        return SourceText(name, self._text(data, Origin(name)), resolved, depth)

    def _text(self, data: bytes, origin: Origin) -> str:
        self._read += len(data)
        self._count += 1
        if self._read > LARGEST or self._count > MOST_FILES:
            limit = f"{LARGEST >> 20} MiB" if self._read > LARGEST else f"{MOST_FILES} files"
            raise CannotImportError(origin, f"makes more than {limit} to read: import it in parts")
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise CannotImportError(Origin(origin.file, line), "is no text in UTF-8: convert it") from None


def _bytes_of(path: Path, most: int) -> bytes:
    # Without O_NONBLOCK the opening of a pipe would wait for who writes into it.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(0, "it is no regular file")
        return file.read(most)
