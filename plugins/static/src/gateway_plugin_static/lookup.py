"""Finds and opens what a path names, in a thread: the file or its variant, a directory's index or its listing.

Everything here may wait for a disk. Which response comes of it is decided by :mod:`gateway_plugin_static.plugin`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from gateway_plugin_static.beneath import NotServedError, Opened, list_beneath, open_beneath, open_file
from gateway_plugin_static.body import ChangedError, OpenFile, can_read_cached
from gateway_plugin_static.config import StaticConfig
from gateway_plugin_static.encodings import ENDINGS, Coding
from gateway_plugin_static.listing import MOST_ENTRIES, Entry, entry_of
from gateway_plugin_static.names import is_refused
from gateway_plugin_static.patterns import FilePatterns

WHOLE: Final = 64 * 1024
"""Bytes up to which a file is read at once with its look-up, so that no second thread is needed."""
_ATTEMPTS: Final = 3


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file to send."""

    names: tuple[str, ...]
    """Its path below the root: without the ending of a variant."""

    file: OpenFile
    size: int
    modified_ns: int
    content: bytes | None
    """All of it, if it is small; the file is closed then."""

    coding: Coding | None
    """The content coding of the variant; None for the file itself."""

    def close(self) -> None:
        self.file.close()


@dataclass(frozen=True, slots=True)
class FoundDirectory:
    """A directory that has something to show, whose URL lacks the slash at its end."""

    def close(self) -> None:
        """Do nothing: it is not open any more."""


@dataclass(frozen=True, slots=True)
class FoundListing:
    """The entries of a directory."""

    entries: list[Entry]

    def close(self) -> None:
        """Do nothing: it is not open any more."""


Found = FoundFile | FoundDirectory | FoundListing


@dataclass(frozen=True, slots=True)
class Query:
    """What a request asks for."""

    names: tuple[str, ...]
    has_slash: bool
    """Whether the path ends in a slash: it names a directory then, and no file."""

    codings: Sequence[Coding] = ()
    """Variants that the client accepts, in its order."""

    is_read: bool = True
    """Whether the body is going to be sent: not for HEAD."""


class Lookup:
    """Looks below one root. Its methods block; they are called in threads."""

    def __init__(self, config: StaticConfig) -> None:
        self._config = config
        self._hidden = FilePatterns(config.hide)
        self._devices: dict[int, bool] = {}

    def is_known_local(self, device: int) -> bool:
        """Return whether a file of this device was read that may be read from memory alone. Does not block."""
        return self._devices.get(device, False)

    def find(self, query: Query) -> Found | None:
        """Return what a path names, open if it is a file; None if there is nothing to be served.

        :raises PermissionError: the process may not open it.
        :raises ChangedError: a small file changed each time that it was read.
        :raises OSError: the root or the disk fails.
        """
        if self._hidden.take_part(query.names):
            return None
        try:
            opened = self._open(query.names)
        except NotServedError:
            return None if query.has_slash else self._with_ending(query)
        if not opened.is_directory:
            if query.has_slash:
                opened.close()
                return None
            return self._file(query.names, opened, query)
        try:
            return self._directory(query, opened)
        finally:
            opened.close()

    def file(self, names: tuple[str, ...], query: Query) -> FoundFile | None:
        """Return a file that the configuration names, or None if it is away."""
        try:
            opened = self._open(names)
        except NotServedError:
            return None
        if opened.is_directory:
            opened.close()
            return None
        return self._file(names, opened, query)

    def _open(self, names: Sequence[str]) -> Opened:
        return open_beneath(self._config.root, names, self._config.symlinks)

    def _with_ending(self, query: Query) -> FoundFile | None:
        if not query.names:
            return None
        for ending in self._config.extensions:
            names = (*query.names[:-1], query.names[-1] + ending)
            if not self._hidden.take(names) and (found := self.file(names, query)) is not None:
                return found
        return None

    def _directory(self, query: Query, directory: Opened) -> Found | None:
        for name in self._config.index:
            names = (*query.names, name)
            if not self._hidden.take(names) and (found := self.file(names, query)) is not None:
                if query.has_slash:
                    return found
                found.close()
                return FoundDirectory()
        if not self._config.listing:
            return None
        if not query.has_slash:
            return FoundDirectory()
        return FoundListing(list(self._entries(query.names, directory)))

    def _entries(self, names: tuple[str, ...], directory: Opened) -> Iterator[Entry]:
        for name, info in list_beneath(directory.descriptor, MOST_ENTRIES):
            if is_refused(name, self._config.dot_names) or self._hidden.take((*names, name)):
                continue
            entry = entry_of(name, info)
            if entry is None and self._config.symlinks:
                with suppress(OSError, NotServedError):
                    opened = self._open((*names, name))
                    entry = entry_of(name, opened.info)
                    opened.close()
            if entry is not None:
                yield entry

    def _file(self, names: tuple[str, ...], opened: Opened, query: Query) -> FoundFile:
        """Return an open file, or its variant, whose small content is read."""
        try:
            for coding in query.codings:
                variant = self._variant(names[-1], opened, coding)
                if variant is not None:
                    os.close(opened.descriptor)
                    return self._read(names, *variant, query, coding)
            return self._read(names, opened.descriptor, opened.info, query, None)
        finally:
            opened.close_parent()

    def _variant(self, name: str, opened: Opened, coding: Coding) -> tuple[int, os.stat_result] | None:
        descriptor = None
        with suppress(OSError):  # one that cannot be read is as good as none
            descriptor = open_file(name + ENDINGS[coding], opened.parent)
        if descriptor is None:
            return None
        info = os.fstat(descriptor)
        # Whole seconds: compressors copy the file's time, some of them without its fractions.
        if int(info.st_mtime) < int(opened.info.st_mtime):
            os.close(descriptor)
            return None
        return descriptor, info

    def _read(
        self, names: tuple[str, ...], descriptor: int, info: os.stat_result, query: Query, coding: Coding | None
    ) -> FoundFile:
        if info.st_dev not in self._devices:
            self._devices[info.st_dev] = can_read_cached(descriptor)
        for _ in range(_ATTEMPTS):
            file, content = OpenFile(descriptor, info), None
            if query.is_read and info.st_size <= WHOLE:
                try:
                    content = file.read_now(0, info.st_size)
                except ChangedError:
                    # Not that file, which closes its descriptor: another look at what is there now.
                    descriptor = os.dup(descriptor)
                    file.close()
                    info = os.fstat(descriptor)
                    continue
                except BaseException:
                    file.close()
                    raise
                file.close()
            return FoundFile(names, file, info.st_size, info.st_mtime_ns, content, coding)
        os.close(descriptor)
        raise ChangedError
