"""The entry of every child process, whether it is forked (`fork`) or a fresh interpreter (`main`).

The latter is ``python -m gateway_core.process.roles ROLE CHANNEL NUMBER PROTOCOL``. What is the same for all of them is
here: the log, signals, the channel to the process that started them, and their end. A child speaks the protocol of the
code that is installed when it starts, which may be another one than that of the program that started it: then it logs
that and ends, before they misunderstand each other.

A child ends with its channel, but what it runs belongs to plugins, which may hold that up. So a thread sees the end of
the channel as well, and ends the process in time whatever they do.
"""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import select
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Collection
from typing import BinaryIO, Final, NoReturn, Protocol

from gateway_core import memory
from gateway_core.descriptors import raise_descriptor_limit
from gateway_core.events import PROCESS_FAILED, emit
from gateway_core.process import logs, loops
from gateway_core.process.channel import BlockingChannel, Channel
from gateway_core.process.child import OTHER_PROTOCOL, TEMPLATE, VALIDATOR, WORKER, Forked, arguments_of, scratch_file
from gateway_core.process.log_writer import stop_all
from gateway_core.process.plugin_guard import HANDLED, HandlerGuard, exit_now, keep_from_children, name_exits
from gateway_core.reload.bundle import PROTOCOL

_END_MARGIN: Final = 5.0
"""Seconds beside the time that requests may take in which a child ends whose program is gone."""


class Role(Protocol):
    """What a child with an event loop does."""

    @property
    def deadline(self) -> float:
        """Seconds that what is under way may take once the program is gone."""

    async def run(self) -> None:
        """Do it until the program says to end, or is gone."""


def main(arguments: list[str]) -> None:
    """Be a child process to its end."""
    role, descriptor, number, protocol = arguments[0], *map(int, arguments[1:])
    name = f"{role} {number}" if role == WORKER else role
    memory.share_one_arena()
    raise_descriptor_limit()
    logs.configure(process=name)
    if protocol != PROTOCOL:
        text = (
            f"the gateway that is installed now speaks protocol {PROTOCOL}, the one that runs {protocol}: "
            "stop the gateway and start it, or install the version that runs"
        )
        emit(PROCESS_FAILED, text, process_name=name, reason=text)
        raise SystemExit(OTHER_PROTOCOL)
    sock = socket.socket(fileno=descriptor)
    os.set_inheritable(descriptor, False)  # a plugin's children end nothing by holding it open
    if role == VALIDATOR:
        from gateway_core.process import validator  # noqa: PLC0415  # each role has its own imports, some costly

        validator.serve(BlockingChannel(sock))
        return
    if role == TEMPLATE:
        from gateway_core.process import template  # noqa: PLC0415  # likewise

        template.serve(sock, become)
        return
    name_exits()
    loops.run(_serve(role, sock, number))
    loops.leave(0)


async def _serve(role: str, sock: socket.socket, number: int) -> None:
    loop = asyncio.get_running_loop()
    # Signals are the supervisor's: Ctrl-C reaches the whole group, and it is the supervisor who drains. It passes on
    # SIGUSR1, for plugins that reopen files; where there is none, it must not end the process.
    for ignored in HANDLED:
        loop.add_signal_handler(ignored, lambda: None)
    HandlerGuard(loop)
    # A child that was forked has what its program had while it was exchanged.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
    sock.setblocking(False)
    keep_from_children(sock)
    channel = await Channel.over(sock)
    served: Role
    if role == WORKER:
        from gateway_core.process.worker import Worker  # noqa: PLC0415  # each role has its own imports

        served = Worker(channel, number)
    else:
        from gateway_core.process.watcher import Watcher  # noqa: PLC0415  # likewise

        served = Watcher(channel)
    arguments = os.dup(sock.fileno()), served
    threading.Thread(target=_end_with_program, args=arguments, name="gateway-parent", daemon=True).start()
    await served.run()


def _end_with_program(channel: int, served: Role) -> None:
    """Wait until the other end of the channel is closed, and end this process in time whatever plugins do."""
    waiting = select.poll()
    waiting.register(channel, select.POLLHUP)
    waiting.poll()
    os.close(channel)
    loops.end_within(served.deadline + _END_MARGIN, 1)


# -- children that are forked


def fork(role: str, *, number: int = 0, inherited: Collection[int] = (), captures: bool = False) -> Forked:
    """Fork a child that has these descriptors beside its channel. Needs a process with one thread.

    :param captures: as in `Child.spawn`.
    """
    gc.freeze()  # a collection in a child would copy all that it shares with this process
    ours, theirs = socket.socketpair()
    output = scratch_file() if captures else None
    with theirs:
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            become(arguments_of(role, theirs.detach(), number), {*inherited}, output)
    return Forked(pid, ours, output)


def become(arguments: list[str], inherited: set[int], output: BinaryIO | None = None) -> NoReturn:
    """Take a role in this child that was just forked, and end.

    :param arguments: as `gateway_core.process.child.arguments_of` returns them.
    """
    status = 1
    try:
        raise_descriptor_limit()  # which forking has undone
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        if output is not None:
            os.setsid()
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
        # Other children's channels above all: they end when the last copy of the other end is closed.
        _close_all_but({0, 1, 2, int(arguments[1]), *inherited})
        logs.forget_writers()
        for sent in (signal.SIGINT, signal.SIGTERM):
            signal.signal(sent, signal.SIG_IGN)
        main(arguments)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001  # the top of this process
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        stop_all()  # of the log, as no function for the end of an interpreter runs
        exit_now(status)


def _close_all_but(kept: set[int]) -> None:
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    bounds = sorted(kept)
    for low, high in zip(bounds, [*bounds[1:], min(most, 1 << 20)], strict=True):
        os.closerange(low + 1, high)


if __name__ == "__main__":
    main(sys.argv[1:])
