"""Finds and reads a file on the event loop, if the kernel has all of it in memory; a thread does it otherwise.

Linux opens a path without waiting for a disk or a server (``openat2`` with ``RESOLVE_CACHED``, 5.12 and later), or
fails with EAGAIN. The same call stays below the root and follows no link (``RESOLVE_BENEATH``,
``RESOLVE_NO_SYMLINKS``), so that what is found is what :mod:`gateway_plugin_static.beneath` finds by walking. Content
comes by ``preadv2`` with ``RWF_NOWAIT``. Nothing is kept between requests: what is renamed, changed or forbidden counts
for the next one.

To open a file of a network or of FUSE may wait for its server, whatever is in memory. So a file is opened here only if
a thread has found that its file system has ``RWF_NOWAIT``, which those do not have.

Whatever is not the usual case is for the thread, errors as well: this module never decides that a file is not there.
"""

from __future__ import annotations

import ctypes
import os
import platform
import stat
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from gateway_plugin_static.body import ChangedError, OpenFile
from gateway_plugin_static.config import StaticConfig
from gateway_plugin_static.encodings import ENDINGS, Coding
from gateway_plugin_static.lookup import WHOLE, FoundFile, Lookup, Query
from gateway_plugin_static.patterns import FilePatterns

_OPENAT2: Final = 437
"""Number of the system call on these machines (asm-generic/unistd.h)."""
_MACHINES: Final = frozenset({"aarch64", "ppc64le", "riscv64", "s390x", "x86_64"})
_AT_FDCWD: Final = -100
_NO_SYMLINKS: Final = 0x04
_BENEATH: Final = 0x08
_CACHED: Final = 0x20
_BELOW: Final = _CACHED | _BENEATH | _NO_SYMLINKS
_O_PATH: Final = getattr(os, "O_PATH", 0)
_ROOT: Final = _O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_NAME: Final = _O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


class _How(ctypes.Structure):
    """``struct open_how`` (openat2(2))."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


_SIZE: Final = ctypes.sizeof(_How)
Open = Callable[[int, bytes, int, int], int]


def _system_open() -> Open | None:
    """Return what opens a path below a directory by ``openat2``; None where there is no such call."""
    if not sys.platform.startswith("linux") or platform.machine() not in _MACHINES:
        return None
    # Keeps the interpreter's lock, as the call does not wait.
    syscall = ctypes.PyDLL(None, use_errno=True).syscall
    syscall.restype = ctypes.c_long
    syscall.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t)
    hows: dict[tuple[int, int], tuple[_How, Any]] = {}

    def open_now(directory: int, path: bytes, flags: int, resolve: int) -> int:
        known = hows.get((flags, resolve))
        if known is None:
            how = _How(flags, 0, resolve)
            known = hows[flags, resolve] = how, ctypes.byref(how)
        descriptor: int = syscall(_OPENAT2, directory, path, known[1], _SIZE)
        if descriptor < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return descriptor

    try:
        os.close(open_now(_AT_FDCWD, b"/", _ROOT, _CACHED))
    except BlockingIOError:  # the call is there; a rename or a mount elsewhere kept it from an answer at once
        return open_now
    except OSError:  # an older kernel (EINVAL, ENOSYS), or one that forbids the call (EPERM)
        return None
    return open_now


class CachedLookup:
    """Looks below one root at what is in memory."""

    def __init__(self, config: StaticConfig, lookup: Lookup) -> None:
        """Look below the same root as a look-up in threads, which knows the file systems."""
        self._config = config
        self._is_local = lookup.is_known_local
        self._hidden = FilePatterns(config.hide)
        self._root = os.fsencode(config.root)
        self._open = _system_open() if hasattr(os, "RWF_NOWAIT") else None

    def find(self, query: Query) -> FoundFile | None:
        """Return the file that a path names, as `Lookup.find` does; None if a thread has to look. Does not block."""
        if self._open is None or not query.is_read:
            return None
        names = query.names
        if query.has_slash:
            if not self._config.index:
                return None
            names = (*names, self._config.index[0])
        if not names or self._hidden.take_part(names):
            return None
        opened: list[int] = []
        try:
            opened.append(self._open(_AT_FDCWD, self._root, _ROOT, _CACHED))
            return self._file(_Below(self._open, self._is_local, opened), names, query.codings)
        except (OSError, ChangedError):
            return None
        finally:
            for descriptor in opened:
                os.close(descriptor)

    def _file(self, below: _Below, names: tuple[str, ...], codings: Sequence[Coding]) -> FoundFile | None:
        path = os.fsencode("/".join(names))
        descriptor, info = below.open(path)
        for coding in codings:
            with suppress(FileNotFoundError):
                variant, variant_info = below.open(path + ENDINGS[coding].encode())
                if int(variant_info.st_mtime) >= int(info.st_mtime):  # as in `Lookup`
                    return self._read(below, names, variant, variant_info, coding)
        return self._read(below, names, descriptor, info, None)

    def _read(
        self, below: _Below, names: tuple[str, ...], descriptor: int, info: os.stat_result, coding: Coding | None
    ) -> FoundFile | None:
        file, size, content = OpenFile(below.keep(descriptor), info), info.st_size, None
        if size <= WHOLE:
            try:
                content = file.read_cached(0, size) if size else b""
            finally:
                file.close()
            if len(content) < size:
                return None
        return FoundFile(names, file, size, info.st_mtime_ns, content, coding)


class _Below:
    """Files below a root that is open, for one request."""

    __slots__ = ("_is_local", "_open", "_opened", "_root")

    def __init__(self, open_now: Open, is_local: Callable[[int], bool], opened: list[int]) -> None:
        """Open files below the first descriptor; what is opened is appended to them."""
        self._open, self._is_local, self._opened, self._root = open_now, is_local, opened, opened[0]

    def open(self, path: bytes) -> tuple[int, os.stat_result]:
        """Return a regular file that is open.

        :raises OSError: it is not there, no regular file, not in memory, or may not be opened.
        """
        # First by O_PATH: to open a device or a FIFO may have an effect.
        self._opened.append(self._open(self._root, path, _NAME, _BELOW))
        looked_at = os.fstat(self._opened[-1])
        if not stat.S_ISREG(looked_at.st_mode) or not self._is_local(looked_at.st_dev):
            raise BlockingIOError
        descriptor = self._open(self._root, path, _FILE, _BELOW)
        self._opened.append(descriptor)
        info = os.fstat(descriptor)
        if (info.st_dev, info.st_ino) != (looked_at.st_dev, looked_at.st_ino):
            raise BlockingIOError  # another one took its place
        return descriptor, info

    def keep(self, descriptor: int) -> int:
        """Leave a descriptor to the caller."""
        self._opened.remove(descriptor)
        return descriptor
