"""What a child that a plugin forks does not inherit: listening sockets, and the channel to the supervisor.

Descriptors are closed by ``exec``, but a plain fork (`os.fork`, `multiprocessing`) has them all. A child that lives on
with a listening socket keeps its address taken, and the system goes on to give it connections that it never accepts.
Sockets are known by their inode, which every duplicate of a descriptor shares.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_DESCRIPTORS: Final = "/dev/fd"

_kept: Final[set[int]] = set()
"""Inodes of the sockets that only this process is to have."""


class _Forking(threading.local):
    is_ours: bool = False


_forking: Final = _Forking()


def keep_from_children(sock: socket.socket) -> None:
    """Close a socket in every child that is forked from now on."""
    if not _kept:
        os.register_at_fork(after_in_child=_close_kept)
    _kept.add(os.fstat(sock.fileno()).st_ino)


def release(sock: socket.socket) -> None:
    """Forget a socket that is about to be closed: its inode will be another's."""
    with contextlib.suppress(OSError):
        _kept.discard(os.fstat(sock.fileno()).st_ino)


@contextmanager
def handing_on() -> Iterator[None]:
    """Let the children that this thread starts meanwhile inherit what they are given."""
    _forking.is_ours = True
    try:
        yield
    finally:
        _forking.is_ours = False


def _close_kept() -> None:
    if _forking.is_ours:
        return
    try:
        names = os.listdir(_DESCRIPTORS)  # noqa: PTH208 - numbers, not paths  # noqa: PTH208 - numbers, not paths
    except OSError:
        return
    for name in names:
        with contextlib.suppress(OSError, ValueError):
            if os.fstat(int(name)).st_ino in _kept:
                os.close(int(name))
