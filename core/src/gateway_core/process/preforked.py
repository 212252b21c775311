"""Workers forked off a program that has just begun, before it has threads or an event loop.

It has imported what a worker needs and no plugin, so each fork takes milliseconds where a fresh interpreter takes a
second. Later on the program has threads, and a fork may find their locks taken for ever.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
import socket
import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NoReturn

from gateway_core.descriptors import raise_descriptor_limit
from gateway_core.process import worker


@dataclass(frozen=True, slots=True)
class PreforkedWorker:
    """A worker that waits to be told what to do."""

    pid: int
    sock: socket.socket
    """Our end of its channel; the process ends when this is closed."""


def fork_workers(count: int, listeners: Iterable[int]) -> list[PreforkedWorker]:
    """Fork workers that have these file descriptors beside their channels. Needs a process with one thread."""
    gc.freeze()  # a collection in a child would copy all that it shares with this process
    kept = tuple(listeners)
    return [_fork(number, kept) for number in range(count)]


def _fork(number: int, listeners: tuple[int, ...]) -> PreforkedWorker:
    ours, theirs = socket.socketpair()
    with theirs:
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            _work(number, theirs.detach(), listeners)
    return PreforkedWorker(pid, ours)


def _work(number: int, channel: int, listeners: tuple[int, ...]) -> NoReturn:
    """Be a worker in this child, and end."""
    status = 1
    try:
        raise_descriptor_limit()  # which forking has undone
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        # Other workers' channels above all: they end when nobody has the other end any more.
        _close_all_but({0, 1, 2, channel, *listeners})
        for sent in (signal.SIGINT, signal.SIGTERM):
            signal.signal(sent, signal.SIG_IGN)
        worker.main([str(channel), str(number)])
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001  # the top of this process
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _close_all_but(kept: set[int]) -> None:
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    bounds = sorted(kept)
    for low, high in zip(bounds, [*bounds[1:], min(most, 1 << 20)], strict=True):
        os.closerange(low + 1, high)
