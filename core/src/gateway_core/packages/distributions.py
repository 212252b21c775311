"""The installed distributions, with metadata files that are read without trust in what they are.

`importlib.metadata` opens whatever has the name of a metadata file: a named pipe stops the process that reads it, a
device fills its memory. It also takes a directory that cannot be listed for an empty one, so that all of its
distributions seem to be uninstalled while there is no free descriptor. Here only regular files of a bounded size are
read, and what the system refuses for want of something is an `OSError`, never "not there".
"""

from __future__ import annotations

import csv
import errno
import os
import re
import stat
import sys
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import importlib_metadata

LARGEST: Final = 32 * 1024 * 1024
"""Bytes of a metadata file; the longest are lists of files, of some MiB in distributions of 20,000 files."""

_ABSENT: Final = (FileNotFoundError, NotADirectoryError)
_NO_PATH: Final = frozenset({errno.ELOOP, errno.ENAMETOOLONG})
_WANT: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EAGAIN, errno.EINTR})


class MetadataError(ValueError):
    """A metadata file that is none."""


def is_want_of_resources(error: BaseException) -> bool:
    """Whether reading failed for what this process lacks, which says nothing about the distribution."""
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _WANT)


def normalized(name: str) -> str:
    """Return a name as distributions are compared by (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_metadata_file(path: Path) -> str | None:
    """Return the text of a regular file; None if there is none.

    :raises MetadataError: it is no regular file, too large or no UTF-8.
    :raises OSError: the system refuses.
    """
    try:
        # Without waiting for a writer, if it is a named pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except _ABSENT:
        return None
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket
            raise MetadataError(f"{path.name} is not a regular file") from None
        raise
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise MetadataError(f"{path.name} is not a regular file")
        if found.st_size > LARGEST:
            raise MetadataError(f"{path.name} is larger than {LARGEST} bytes")
        with open(descriptor, "rb", closefd=False) as file:
            data = file.read(LARGEST)
    finally:
        os.close(descriptor)
    try:
        # Some editors put a byte order mark before what they save.
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise MetadataError(f"{path.name} is not UTF-8: {error}") from None


def recorded_names(distribution: Any) -> list[str]:
    """Return the paths of a distribution's files as it records them, also of those that are missing.

    Only the names are read: `Distribution.files` fails on further columns and on sizes that are no numbers.

    :raises MetadataError: RECORD is no list of files.
    """
    record = distribution.read_text("RECORD")
    if record is None:  # an egg, or nothing is recorded
        return [str(each) for each in distribution.files or ()]
    try:
        return [row[0] for row in csv.reader(record.splitlines()) if row and row[0]]
    except csv.Error as error:
        raise MetadataError(f"RECORD is no list of files: {error}") from None


class InstalledDistribution(importlib_metadata.PathDistribution):
    """A distribution whose metadata is in a directory."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.path = path
        """Its metadata directory; a file in very old ones."""

    @cached_property
    def metadata(self) -> importlib_metadata.PackageMetadata:
        """The metadata, parsed once: for name and version it would be parsed twice, each in half a millisecond."""
        parsed: importlib_metadata.PackageMetadata = super().metadata
        return parsed

    def read_text(self, filename: str | os.PathLike[str]) -> str | None:
        """Return the text of a metadata file; see `read_metadata_file`."""
        if filename:
            return read_metadata_file(self.path / filename)
        return None if self.path.is_dir() else read_metadata_file(self.path)


def distributions() -> Iterator[importlib_metadata.Distribution]:
    """Yield what is installed; of several of one name the first on the path, which is the one that is imported.

    :raises OSError: a directory of the path cannot be listed, although it is there.
    """
    seen: set[str] = set()
    for entry in dict.fromkeys(sys.path):
        folder = Path(entry or ".")
        try:
            paths = list(folder.iterdir())
        except PermissionError:
            continue  # nothing can be imported from there either
        except _ABSENT:
            if folder.is_file():  # an archive
                archived = importlib_metadata.distributions(path=[entry])
                yield from (each for each in archived if isinstance(each, importlib_metadata.Distribution))
            continue
        except OSError as error:
            if error.errno in _NO_PATH:
                continue
            raise
        for path in paths:
            is_egg = path.name == "EGG-INFO" and folder.suffix == ".egg"
            if is_egg or path.suffix.lower() in {".dist-info", ".egg-info"}:
                name = normalized((folder if is_egg else path).stem.partition("-")[0])
                if name not in seen:
                    seen.add(name)
                    yield InstalledDistribution(path)


_METADATA_FILES: Final = ("entry_points.txt", "METADATA", "PKG-INFO", "RECORD")
_METADATA_ENDINGS: Final = (".dist-info", ".egg-info", "egg-info")

MetadataStamp = tuple[tuple[str, int, int, int], ...]


def metadata_stamp() -> MetadataStamp:
    """Return the place, inode, time and size of every metadata file that says what plugins there are.

    As long as it is the same, so is what `distributions` would read. It takes a tenth of the time of reading that.

    :raises OSError: a directory of the path cannot be listed, for want of descriptors or memory.
    """
    stamps: list[tuple[str, int, int, int]] = []
    for entry in dict.fromkeys(sys.path):
        _stamp_file(stamps, entry or ".")
        try:
            with os.scandir(entry or ".") as found:
                folders = sorted(each.path for each in found if each.name.lower().endswith(_METADATA_ENDINGS))
        except OSError as error:
            if is_want_of_resources(error):
                raise
            continue  # an archive, or nothing that could be read
        for folder in folders:
            _stamp_file(stamps, folder)
            for file in _METADATA_FILES:
                _stamp_file(stamps, f"{folder}/{file}")
    return tuple(stamps)


def path_stamp() -> MetadataStamp:
    """Return the place, inode, time and size of every directory and archive of the path.

    It changes with each distribution that is installed or removed, unlike with a file that is written in its place.
    """
    stamps: list[tuple[str, int, int, int]] = []
    for entry in dict.fromkeys(sys.path):
        _stamp_file(stamps, entry or ".")
    return tuple(stamps)


def _stamp_file(stamps: list[tuple[str, int, int, int]], path: str) -> None:
    try:
        found = os.stat(path)  # noqa: PTH116  # a `Path` for each of a thousand files takes longer than this
    except OSError:
        return
    stamps.append((path, found.st_ino, found.st_mtime_ns, found.st_size))
