"""Source documents: named texts in one of three formats, and how files are read from disk.

Only regular files are read, never a pipe or a device, which may have no end or never begin. What was read,
or looked for in vain, is a `WatchSet`.
"""

from __future__ import annotations

import codecs
import errno
import os
import stat
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Final, Literal

from gateway_core.config.problems import ConfigProblem, Place
from gateway_core.config.suggestions import quote

LARGEST_FILE: Final = 256 * 1024 * 1024
"""Bytes; a larger configuration file is refused before it is read."""


class DocumentFormat(StrEnum):
    """The syntax of a document."""

    YAML = "yaml"
    JSON = "json"
    TOML = "toml"


FORMATS: Final = {
    ".yaml": DocumentFormat.YAML,
    ".yml": DocumentFormat.YAML,
    ".json": DocumentFormat.JSON,
    ".toml": DocumentFormat.TOML,
}


Right = Literal["env", "files"]
"""What a document may bring in: variables of the environment; files, and names of files in plugin configurations."""

ALL_RIGHTS: Final[frozenset[Right]] = frozenset({"env", "files"})
"""The rights of local files."""


@dataclass(frozen=True, slots=True)
class Document:
    """A configuration document.

    ``name`` stands for the file in every place (a path, an etcd key, ``configmap/ns/name``); ``directory`` is what
    ``include`` and names of files start from, ``None`` where there is no directory. A document that a source makes has
    no rights; the gateway gives it those that the source has.
    """

    name: str
    text: str
    format: DocumentFormat = DocumentFormat.YAML
    directory: Path | None = None
    rights: frozenset[Right] = frozenset()

    @property
    def is_local(self) -> bool:
        """Whether it is a file of this machine."""
        return self.directory is not None


def with_rights(documents: Iterable[Document], rights: frozenset[Right]) -> tuple[Document, ...]:
    """Return documents with these rights, without a directory: they are not of this machine."""
    return tuple(replace(document, rights=rights, directory=None) for document in documents)


def document_files(paths: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """Return the files that ``paths`` stand for, and the directories among them.

    A directory stands for its documents and those of its sub-directories, in the order of their paths; hidden entries
    (such as the ``..data`` of a mounted Kubernetes ConfigMap) are not documents. A link to a file that is not there
    counts as one, so that it is reported.
    """
    files: list[Path] = []
    directories: list[Path] = []
    for path in paths:
        if is_directory(path):
            _walk(path, files, directories, frozenset())
        else:
            files.append(path)
    return files, directories


def _walk(directory: Path, files: list[Path], directories: list[Path], within: frozenset[Path]) -> None:
    resolved = real_path(directory)
    if resolved in within:
        return  # a link to a directory that it is in
    directories.append(directory)
    for entry in sorted(directory.iterdir()):
        if entry.name.startswith("."):
            continue
        if is_directory(entry):
            _walk(entry, files, directories, within | {resolved})
        elif entry.suffix.lower() in FORMATS and (is_file(entry) or not is_there(entry)):
            files.append(entry)


def read_document(path: Path) -> Document | ConfigProblem:
    """Read a document from disk; what cannot be read is a problem without a line."""
    name = str(path)
    data = read_bytes(path, limit=LARGEST_FILE)
    if isinstance(data, ReadFailure):
        remedy = ""
        if data.code == "file.missing":
            remedy = "mend the link, or remove it" if path.is_symlink() else "name the configuration with -c"
        return ConfigProblem(Place(name), "", data.reason, code=data.code, remedy=remedy)
    text = decode(data)
    if isinstance(text, int):
        message = "is not UTF-8 text"
        return ConfigProblem(
            _place_of_byte(name, data, text), "", message, code="file.not-utf8", remedy="save the file as UTF-8"
        )
    return Document(name, text, FORMATS.get(path.suffix.lower(), DocumentFormat.YAML), path.parent, ALL_RIGHTS)


def decode(data: bytes) -> str | int:
    """Decode UTF-8, without a byte order mark; returns the offset of the first invalid byte if there is one."""
    try:
        return data.removeprefix(codecs.BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start


@dataclass(frozen=True, slots=True)
class ReadFailure:
    """Why a file could not be read, as a text that reads on after its name, and the code of the problem."""

    reason: str
    code: str


def real_path(path: Path) -> Path:
    """Resolve links; a loop of them, or a name that no file can have, stays as it is and fails when it is read."""
    try:
        return Path(os.path.realpath(path))
    except ValueError:
        return path


# `Path.exists` and its like raise where they cannot tell: for names that are too long, and in directories that may not
# be searched.


def is_there(path: Path) -> bool:
    """Whether a path leads to something, as far as can be told."""
    return os.path.exists(path)  # noqa: PTH110 - see above


def is_directory(path: Path) -> bool:
    """Whether a path leads to a directory, as far as can be told."""
    return os.path.isdir(path)  # noqa: PTH112 - see above


def is_file(path: Path) -> bool:
    """Whether a path leads to a regular file, as far as can be told."""
    return os.path.isfile(path)  # noqa: PTH113 - see above


NUL: Final = "holds the character NUL, which no path can"


def read_bytes(path: Path, *, limit: int) -> bytes | ReadFailure:
    """Read a regular file of at most ``limit`` bytes."""
    try:
        return read_regular(path, limit)
    except NotRegularError as error:
        return ReadFailure(f"is {error.strerror}", "file.not-a-file")
    except FileNotFoundError:
        is_dangling = path.is_symlink()
        return ReadFailure(
            "is a link to a file that does not exist" if is_dangling else "does not exist", "file.missing"
        )
    except PermissionError:
        return ReadFailure("may not be read: permission denied", "file.unreadable")
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno == errno.EFBIG:
            return ReadFailure(f"is {error.strerror}", "file.too-large")
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return ReadFailure(f"cannot be read: {reason.lower()}", "file.unreadable")


def _place_of_byte(name: str, data: bytes, offset: int) -> Place:
    before = data[:offset]
    line_start = before.rfind(b"\n") + 1
    return Place(name, before.count(b"\n") + 1, len(before[line_start:].decode("utf-8", "replace")) + 1)


def empty_directory_problem(path: Path) -> ConfigProblem:
    """Say that a directory holds no documents."""
    message = f"holds no configuration: no file ends in {_endings()}"
    return ConfigProblem(Place(str(path)), "", message, code="document.none")


def _endings() -> str:
    return ", ".join(quote(suffix) for suffix in FORMATS)


def as_paths(path: Path | Sequence[Path]) -> tuple[Path, ...]:
    """Accept one path or several."""
    return (path,) if isinstance(path, Path) else tuple(path)


LARGEST: Final = 16 << 20
"""Bytes of a certificate, key, authority or revocation list file at most."""


class NotRegularError(OSError):
    """A path that is a pipe, a socket, a device or a directory."""


def read_regular(path: Path | str, limit: int = LARGEST) -> bytes:
    """Return the content of a regular file.

    :param limit: bytes at most.
    :raises NotRegularError: it is something else.
    :raises OSError: it cannot be read, or is larger.
    """
    _check(os.stat(path).st_mode, path)  # noqa: PTH116 - before it is opened, as opening a device may act on it
    # Without O_NONBLOCK a pipe that took the file's place since would wait for a writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        _check(os.fstat(descriptor).st_mode, path)
        data = file.read(limit + 1)
    if len(data) > limit:
        raise OSError(errno.EFBIG, f"larger than {limit} bytes", str(path))
    return data


def _check(mode: int, path: Path | str) -> None:
    if stat.S_ISDIR(mode):
        raise NotRegularError(errno.EISDIR, "a directory, where a file is expected", str(path))
    if not stat.S_ISREG(mode):
        raise NotRegularError(errno.EINVAL, "a pipe, a socket or a device, where a regular file is expected", str(path))


def comes_of_a_missing_file(error: BaseException | None) -> bool:
    """Whether an error was raised because a file is not there, also where it was raised ``from None``."""
    while error is not None and not isinstance(error, FileNotFoundError):
        error = error.__cause__ or error.__context__
    return error is not None


@dataclass(frozen=True, slots=True)
class WatchSet:
    """What one configuration was read from."""

    files: frozenset[Path] = frozenset()
    """Every file that was read, or looked for in vain: documents, includes, ``${file:...}``."""

    directories: frozenset[Path] = frozenset()
    """Directories whose list of entries decides what is read: a directory of documents, an include's pattern."""

    @classmethod
    def of(cls, files: Iterable[Path | str], directories: Iterable[Path | str] = ()) -> WatchSet:
        """Make paths absolute, without following symlinks: the link is what gets replaced."""
        return cls(
            frozenset(Path(file).absolute() for file in files),
            frozenset(Path(directory).absolute() for directory in directories),
        )

    def __or__(self, other: WatchSet) -> WatchSet:
        return WatchSet(self.files | other.files, self.directories | other.directories)

    def watched_directories(self) -> frozenset[Path]:
        """Return the directories to watch: a watch on a file goes deaf when the file is replaced.

        A symlink is watched at both ends, since either may be replaced; so is each link on the way, such as a
        ``current`` that a deployment points to its next release. What does not exist is watched from its nearest
        ancestor that does.
        """
        wanted = set(self.directories)
        for file in self.files:
            wanted.add(file.parent)
            wanted.add(real_path(file).parent)
        wanted |= _directories_of_links(self.files | self.directories)
        return frozenset(_nearest_existing(directory) for directory in wanted)


def _directories_of_links(paths: Iterable[Path]) -> set[Path]:
    """Return the directories of all links that are followed on the way to some paths."""
    found: set[Path] = set()
    left, seen = list(paths), set[Path]()
    while left:
        path = left.pop()
        if path in seen:
            continue
        seen.add(path)
        left.append(path.parent)
        with suppress(OSError, ValueError):  # no link; ValueError: a name that no file can have
            left.append(path.parent / path.readlink())
            found.add(path.parent)
    return found


def _nearest_existing(directory: Path) -> Path:
    while not is_directory(directory) and directory != directory.parent:
        directory = directory.parent
    return directory
