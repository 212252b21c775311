"""Opens what is below a directory, and nothing else, whatever happens to names meanwhile.

A name is looked up in the directory that was opened before it, by descriptor and without following a link
(``openat`` with ``O_NOFOLLOW``), so no part of the path can be exchanged between the check and the use. A link is
read, and its parts are walked in the same way; ``..`` in it goes back to the descriptor of the parent that was walked
through, and not beyond the root. Only regular files are opened: FIFOs and devices may have no end, or an effect.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

_MOST_LINKS: Final = 40
_LONGEST_WALK: Final = 512
"""Steps of one walk, with what links stand for: as many as a path of 4 KiB may have, in practice."""

# A directory that one may enter and not list is opened by O_PATH, where there is such a thing.
_DIRECTORY: Final = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
_WITHOUT_LINKS: Final = _DIRECTORY | os.O_NOFOLLOW
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


class NotServedError(Exception):
    """There is nothing of that name, or nothing that may be served."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A file or directory that is open; who asked for it closes both descriptors by `close`."""

    descriptor: int
    parent: int
    """Descriptor of the directory that it is in; -1 for the root itself."""

    info: os.stat_result

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.info.st_mode)

    def close(self) -> None:
        """Close the descriptors."""
        os.close(self.descriptor)
        self.close_parent()

    def close_parent(self) -> None:
        """Close the directory; the file stays open."""
        if self.parent >= 0:
            os.close(self.parent)


def open_beneath(root: str, names: Sequence[str], follows_links: bool = False) -> Opened:
    """Open what names stand for below a directory. Blocks.

    :param root: may itself be a link, which is followed each time.
    :param follows_links: follow links that stay below the root.
    :raises NotServedError: there is nothing, or no regular file and no directory, or it is out of bounds.
    :raises PermissionError: the process may not open it.
    :raises OSError: the root or the disk fails.
    """
    walk = _Walk(root, follows_links)
    try:
        return walk.to(names)
    except (FileNotFoundError, NotADirectoryError):
        raise NotServedError from None  # it was removed between look and use
    except OSError as error:
        if error.errno in _NAMES_NOTHING:
            raise NotServedError from None
        raise
    finally:
        walk.close()


_NAMES_NOTHING: Final = frozenset({errno.ENAMETOOLONG, errno.ELOOP, errno.ENXIO, errno.EINVAL})
"""Also where a link (ELOOP), no link any more (EINVAL) or a socket (ENXIO) took the place of what was looked at."""


class _Walk:
    """The directories that were walked through, each by its descriptor."""

    def __init__(self, root: str, follows_links: bool) -> None:
        self._root = root
        self._follows_links = follows_links
        self._links = 0
        self._open = [os.open(root, _DIRECTORY)]

    def to(self, names: Sequence[str]) -> Opened:
        left = deque(names)
        steps = 0
        while left:
            name = left.popleft()
            steps += 1
            if steps > _LONGEST_WALK:
                raise NotServedError
            if name in {"", "."}:
                continue
            if name == "..":  # of a link: no name of a request is one
                if len(self._open) == 1:
                    raise NotServedError
                os.close(self._open.pop())
                continue
            mode = os.stat(name, dir_fd=self._open[-1], follow_symlinks=False).st_mode
            if stat.S_ISLNK(mode):
                left.extendleft(reversed(self._parts_of_link(name)))
            elif stat.S_ISDIR(mode):
                self._open.append(os.open(name, _WITHOUT_LINKS, dir_fd=self._open[-1]))
            elif stat.S_ISREG(mode) and not left:
                return self._file(name)
            else:
                raise NotServedError
        descriptor = self._open.pop()
        return Opened(descriptor, self._open.pop() if self._open else -1, os.fstat(descriptor))

    def _file(self, name: str) -> Opened:
        descriptor = open_file(name, self._open[-1])
        if descriptor is None:
            raise NotServedError
        return Opened(descriptor, self._open.pop(), os.fstat(descriptor))

    def _parts_of_link(self, name: str) -> list[str]:
        self._links += 1
        if not self._follows_links or self._links > _MOST_LINKS:
            raise NotServedError
        target = os.readlink(name, dir_fd=self._open[-1])
        if not target.startswith("/"):
            return target.split("/")
        # Relative to the root, or out of bounds. What the text says is walked, not what it resolves to.
        for root in (self._root, os.path.realpath(self._root)):
            below = os.path.normpath(root).rstrip("/") + "/"
            if target.startswith(below):
                while len(self._open) > 1:
                    os.close(self._open.pop())
                return target[len(below) :].split("/")
        raise NotServedError

    def close(self) -> None:
        for descriptor in self._open:
            os.close(descriptor)
        self._open.clear()


def open_file(name: str, directory: int) -> int | None:
    """Open a regular file in a directory without following a link; None if there is none."""
    try:
        if not stat.S_ISREG(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
            return None
        descriptor = os.open(name, _FILE, dir_fd=directory)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno in _NAMES_NOTHING:
            return None
        raise
    with suppress(OSError):
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return descriptor
    os.close(descriptor)
    return None


def list_beneath(directory: int, most: int) -> list[tuple[str, os.stat_result]]:
    """Return names and what they are, links as links, of a directory that is open; up to a number of them. Blocks."""
    descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
    try:
        found: list[tuple[str, os.stat_result]] = []
        with os.scandir(descriptor) as entries:
            for entry in entries:
                if len(found) >= most:
                    break
                with suppress(FileNotFoundError):
                    found.append((entry.name, entry.stat(follow_symlinks=False)))
        return found
    finally:
        os.close(descriptor)
