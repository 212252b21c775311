"""The entry of every child process: ``python -m gateway_core.process.roles ROLE CHANNEL NUMBER PROTOCOL``.

What is the same for all of them is here: the log, signals, the channel to the process that started them, and their end.
A child speaks the protocol of the code that is installed when it starts, which may be another one than that of the
program that started it: then it logs that and ends, before they misunderstand each other.

A child ends with its channel, but what it runs belongs to plugins, which may hold that up. So a thread sees the end of
the channel as well, and ends the process in time whatever they do.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
import sys
import threading
from typing import Final, Protocol

from gateway_core import memory
from gateway_core.descriptors import raise_descriptor_limit
from gateway_core.events import PROCESS_FAILED, emit
from gateway_core.process import logs, loops
from gateway_core.process.channel import BlockingChannel, Channel
from gateway_core.process.child import OTHER_PROTOCOL
from gateway_core.process.plugin_guard import HANDLED, HandlerGuard, keep_from_children, name_exits
from gateway_core.reload.bundle import PROTOCOL

WORKER: Final = "worker"
WATCHER: Final = "watcher"
VALIDATOR: Final = "validator"
TEMPLATE: Final = "template"

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

        template.serve(sock)
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


if __name__ == "__main__":
    main(sys.argv[1:])
