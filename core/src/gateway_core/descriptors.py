"""File descriptors: how many the process may have, how many of them are for clients, and what happens without one.

The soft limit is low for the sake of programs that use ``select``, which fail with descriptors above 1023. The gateway
raises its own to the hard limit. What it starts (git, pip, a plugin's programs) is such a program perhaps, so each
child gets the limit back that the gateway was started with: in the child, between ``fork`` and ``exec``, where no other
thread can be met. Processes of the gateway's own raise it again.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import subprocess
from functools import wraps
from typing import Any, Final

from gateway_core.errors import GatewayError
from gateway_core.events import DESCRIPTORS_FEW, UPSTREAM_LOCAL_ERROR, Event, Repeats, emit, repeated
from gateway_core.shortages import What, note_shortage

EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""Errors that say that the system or the process has no more of something, whatever was asked for."""

_MOST: Final = 1 << 20
"""No more than the kernel's own default for one process (``fs.nr_open``), where the hard limit is infinite."""

_KEPT_BACK: Final = 64
"""For files, the log, the admin listener, name look-ups and validation; half of the descriptors at most."""

_MOST_CONNECTIONS: Final = 16_384
"""The default of ``limits.max_connections`` at most: each connection takes memory as well."""

_OPERATORS_SHARE: Final = 16
"""One of so many descriptors may be a connection of an admin listener; there may be two of those."""

_FEWEST_OF_OPERATORS: Final = 16
"""Connections that an admin listener may have at least; of two this is half of `_KEPT_BACK`."""

_FEW: Final = 256
"""Fewer descriptors than this are worth a warning."""

_TO_START: Final = 32
"""Descriptors that two workers need until they serve, beside those that each process begins with."""

_LOG_EVERY: Final = 60.0


class _Inherited:
    """The limit that the process was started with, once it has been raised."""

    soft: int | None = None


def raise_descriptor_limit() -> None:
    """Raise the soft limit to the hard one for this process, but not for what it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST if hard == resource.RLIM_INFINITY else hard
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    with contextlib.suppress(OSError, ValueError):  # the kernel allows less: then it stays as it is
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        if _Inherited.soft is None:
            os.register_at_fork(after_in_child=restore_descriptor_limit)
            _restore_in_programs()
        _Inherited.soft = soft


def restore_descriptor_limit() -> None:
    """Set the soft limit back to what the process was started with; descriptors above it stay open."""
    if _Inherited.soft is None:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft = _Inherited.soft if hard == resource.RLIM_INFINITY else min(_Inherited.soft, hard)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _restore_in_programs() -> None:
    """Have ``subprocess`` restore the limit as well, and with it asyncio, which uses it.

    ``Popen`` runs no fork handlers, and may not even fork, unless it has a ``preexec_fn``. That is deprecated for what
    it may meet in a process with threads (a lock that another thread holds); ours is two system calls. uvloop runs the
    fork handlers by itself.
    """
    start = subprocess.Popen.__init__

    @wraps(start)
    def start_restored(self: subprocess.Popen[Any], *args: Any, **options: Any) -> None:
        if len(args) < _PREEXEC_POSITION and options.get("preexec_fn") is None:
            options["preexec_fn"] = restore_descriptor_limit
        start(self, *args, **options)

    subprocess.Popen.__init__ = start_restored  # type: ignore[method-assign]  # see above


_PREEXEC_POSITION: Final = 7
"""Of ``preexec_fn`` among the arguments of ``Popen`` after ``self``, counted from 1."""


def check_descriptors_for_start() -> None:
    """See that there are enough descriptors to start with; what lacks them half-way fails in many ways.

    :raises GatewayError: there are too few.
    """
    opened: list[int] = []
    try:
        for _ in range(_TO_START):
            opened.append(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        what = (error.strerror or str(error)).lower()
        raise GatewayError(
            f"{what}: the process may have {most}, and needs {_TO_START} more than are open to start: "
            "raise the limit (ulimit -n, LimitNOFILE= of systemd)"
        ) from error
    finally:
        for descriptor in opened:
            os.close(descriptor)


def connections_for(descriptors: int) -> int:
    """Return how many connections of clients so many descriptors are enough for; the others are for upstreams."""
    if descriptors == resource.RLIM_INFINITY:
        return _MOST_CONNECTIONS
    kept_back = min(_KEPT_BACK, descriptors // 2)
    return max(1, min(_MOST_CONNECTIONS, (descriptors - kept_back) * 3 // 4))


def operator_connections_for(descriptors: int) -> int:
    """Return how many connections one admin listener may have, so that it leaves descriptors to clients."""
    if descriptors == resource.RLIM_INFINITY:
        return _MOST_CONNECTIONS
    return max(_FEWEST_OF_OPERATORS, descriptors // _OPERATORS_SHARE)


def default_max_connections() -> int:
    """Return ``limits.max_connections`` where the configuration does not say; warn if it is low."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    connections = connections_for(soft)
    if soft != resource.RLIM_INFINITY and soft < _FEW:
        emit(
            DESCRIPTORS_FEW,
            f"the process may open {soft} files only, so that limits.max_connections is {connections} unless given: "
            "raise the limit (ulimit -n, LimitNOFILE= of systemd)",
            descriptor_limit=soft,
            max_connections=connections,
        )
    return connections


class LocalErrors:
    """Logs failures that come from a shortage on this machine, once a minute with their number."""

    def __init__(
        self,
        what: What = "connect",
        subject: str = "endpoints cannot be connected to",
        remedy: str = "",
        event: Event = UPSTREAM_LOCAL_ERROR,
    ) -> None:
        self._event = event
        self._what = what
        self._subject = subject
        self._remedy = remedy and ": " + remedy
        self._repeats = Repeats(_LOG_EVERY)

    def note(self, reason: str, now: float) -> None:
        """Count a failure; log it with those before it if the last line is a minute old.

        :param now: monotonic seconds.
        """
        reason = reason or "no descriptor, port or memory"
        note_shortage(self._what, self._subject, reason, now)
        if not (count := self._repeats.count(self._subject, now)):
            return
        most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        emit(
            self._event,
            f"{self._subject}: {reason}{repeated(count)}, RLIMIT_NOFILE is {most}{self._remedy}",
            reason=reason,
            count=count,
            descriptor_limit=most,
        )
