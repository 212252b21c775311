"""File descriptors: how many the process may have, and how many of them are for clients."""

from __future__ import annotations

import contextlib
import errno
import resource
from typing import Final

EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""Errors that say that the system or the process has no more of something, whatever was asked for."""

_MOST: Final = 1 << 20
"""No more than the kernel's own default for one process (``fs.nr_open``), where the hard limit is infinite."""

_KEPT_BACK: Final = 64
"""For files, the log, the admin listener, name look-ups and validation."""


def raise_descriptor_limit() -> None:
    """Raise the soft limit to the hard one, as servers do: the soft one is low for programs that use ``select``.

    What the gateway starts inherits it; what a plugin starts does as well.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # the kernel allows less: then it stays as it is
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def connections_for(descriptors: int) -> int:
    """Return how many connections of clients so many descriptors are enough for; the others are for upstreams."""
    if descriptors == resource.RLIM_INFINITY:
        return _MOST
    return max(1, (descriptors - _KEPT_BACK) * 3 // 4)


def default_max_connections() -> int:
    """Return ``limits.max_connections`` where the configuration does not say."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return connections_for(soft)
