"""Large bodies from socket to socket within the kernel (splice(2)), which takes two thirds of the CPU of copying them.

A body is spliced if it is long, its length is known, nothing looks at it, and both connections are plain TCP or unix
sockets. Its first part has gone the usual way, and so does its last one: the transports are used as if nothing had
happened, only that the upstream's does not read meanwhile, and that the client's has nothing to write.

    upstream's socket -> pipe -> client's socket

Event loops do not watch the descriptor of a transport for others, so both are duplicated. Either the pipe is empty,
and the upstream's is watched, or it is not, and the client's is: what waits is bounded by the pipe. The end of the
upstream's connection is left for its transport to find. Where a pipe cannot be had, the body goes the usual way.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import resource
from collections.abc import Callable, Iterable
from functools import cache
from typing import Final, NamedTuple, Protocol

from gateway_core.config import LimitsConfig
from gateway_core.proxy.response_writer import ResponseWriter
from gateway_core.proxy.socket_options import READ_SIZE

LEAST: Final = 1 << 20
"""Bytes of a body that are worth it."""

_PIPE_SIZE: Final = 1 << 18
_MOST: Final = 256
"""Bodies that are spliced at once: each takes four descriptors, and up to the size of a pipe of the kernel's memory."""
_SHARE: Final = 64
"""They take a sixteenth of the descriptors at most: those are for connections."""
_FLAGS: Final = getattr(os, "SPLICE_F_MOVE", 1) | getattr(os, "SPLICE_F_NONBLOCK", 2)

in_progress: Final[set[Splice]] = set()
"""What is spliced in this process."""


class BodySink(NamedTuple):
    """Where a body goes as it comes."""

    transport: asyncio.Transport
    """Plain, and with nothing to write."""
    passed: Callable[[int, int], None]
    """Called with the bytes that were taken for it, and how many of them it does not take at present."""


class RespondingExchange(Protocol):
    """The exchange, as far as this goes."""

    @property
    def writer(self) -> ResponseWriter: ...
    @property
    def proxy(self) -> LimitsHost: ...
    def watch(self, seconds: float) -> None: ...


class LimitsHost(Protocol):
    """The `Proxy`, as far as this goes."""

    @property
    def limits(self) -> LimitsConfig: ...


def sink_of(exchange: RespondingExchange, idle: float) -> BodySink | None:
    """Return where the rest of a response's body goes if nothing looks at it; None if the writer has a part in that.

    :param idle: seconds to wait for the upstream.
    """
    writer = exchange.writer
    transport = writer.sink()

    def passed(size: int, waiting: int) -> None:
        writer.passed(size, waiting)
        exchange.watch(exchange.proxy.limits.write_timeout if waiting else idle)

    return None if transport is None else BodySink(transport, passed)


def descriptor_of(transport: asyncio.BaseTransport) -> int:
    """Return the descriptor of a connection whose bytes are those on the wire, or -1."""
    sock = transport.get_extra_info("socket")
    if sock is None or transport.get_extra_info("ssl_object") is not None:
        return -1
    found: int = sock.fileno()
    return found


@cache
def most_at_once() -> int:
    """Return how many bodies may be spliced at once."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if soft == resource.RLIM_INFINITY else min(_MOST, soft // _SHARE)


def splice(source: asyncio.Transport, sink: BodySink, size: int, moved: Callable[[int], None]) -> Splice | None:
    """Begin to move bytes from a connection that is read to another; None if that cannot be.

    :param size: bytes of the body that are still to come; a part of them is left to be read.
    :param moved: called with the bytes that were taken from the source.
    """
    if (
        not hasattr(os, "splice")
        or len(in_progress) >= most_at_once()
        or source.is_closing()
        or not source.is_reading()
    ):
        return None
    sockets = descriptor_of(source), descriptor_of(sink.transport)
    if min(sockets) < 0:
        return None
    ends: list[int] = []
    try:
        ends += os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        ends += [os.dup(sockets[0])]
        ends += [os.dup(sockets[1])]
    except OSError:  # no descriptors, or the connection is gone
        _close(ends)
        return None
    with contextlib.suppress(OSError):  # all pipes of a user have a limit
        fcntl.fcntl(ends[0], fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
    return Splice(source, sink, size - READ_SIZE, moved, ends)


def _close(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


class Splice:
    """One body on its way; it ends by itself, or by `close`."""

    __slots__ = (
        "_ends", "_from", "_in_pipe", "_left", "_loop", "_moved", "_pipe_in", "_pipe_out", "_sink", "_source", "_to",
    )  # fmt: skip

    def __init__(
        self,
        source: asyncio.Transport,
        sink: BodySink,
        size: int,
        moved: Callable[[int], None],
        ends: list[int],
    ) -> None:
        """Begin.

        :param ends: descriptors of the pipe, to read from it and to write to it, of the source and of the sink, to be
            closed at the end.
        """
        self._source = source
        self._sink = sink
        self._left = size
        self._moved = moved
        self._ends = ends
        self._pipe_out, self._pipe_in, self._from, self._to = ends
        self._in_pipe = 0
        self._loop = asyncio.get_running_loop()
        in_progress.add(self)
        source.pause_reading()
        self._loop.add_reader(self._from, self._take)

    def _take(self) -> None:
        """Fill the pipe, and empty it as far as the sink takes it."""
        try:
            count = os.splice(self._from, self._pipe_in, min(self._left, _PIPE_SIZE), flags=_FLAGS)
        except BlockingIOError:
            return
        except OSError:
            count = 0
        if not count:
            self._go_back()  # its transport finds out what is wrong
            return
        self._left -= count
        self._in_pipe = count
        self._moved(count)
        is_given = self._give()
        self._sink.passed(count, self._in_pipe)
        if not is_given:
            self._loop.remove_reader(self._from)
            self._loop.add_writer(self._to, self._give_rest)
        elif self._left <= 0:
            self._go_back()

    def _give_rest(self) -> None:
        """Empty the pipe, and go on with the source if that is done."""
        is_given = self._give()
        self._sink.passed(0, self._in_pipe)
        if is_given:
            self._loop.remove_writer(self._to)
            if self._left > 0:
                self._loop.add_reader(self._from, self._take)
            else:
                self._go_back()

    def _give(self) -> bool:
        """Empty the pipe as far as the sink takes it; return whether it is empty."""
        count = 0
        try:
            count = os.splice(self._pipe_out, self._to, self._in_pipe, flags=_FLAGS)
        except BlockingIOError:
            pass
        except OSError:  # the sink's transport may be reading nothing, and find out late
            self._sink.transport.abort()
            return False
        self._in_pipe -= count
        return not self._in_pipe

    def _go_back(self) -> None:
        """Have the rest go the usual way."""
        if self.close() and not self._source.is_closing():
            self._source.resume_reading()

    def close(self) -> bool:
        """Stop, and drop what is in the pipe; return whether it was still in progress."""
        if self not in in_progress:
            return False
        in_progress.discard(self)
        self._loop.remove_reader(self._from)
        self._loop.remove_writer(self._to)
        _close(self._ends)
        return True
