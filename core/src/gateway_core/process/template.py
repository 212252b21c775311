"""The role of the template, which workers and the watcher are forked from, and the template as the supervisor sees it.

Workers that are forked from one process start in milliseconds, share the memory of what it has imported, and have the
same keys of TLS session tickets (`gateway_core.process.tls`). The supervisor cannot be that process: it has
threads, and a fork may find their locks taken for ever. So the program forks the template before it has any. The
template has one thread and imports no plugin: plugins are those of when a worker begins.

Over its socket pair the supervisor gives one order at a time, with the descriptors that a worker is to have, and waits
for the reply as long as the template gets on, however busy the machine is (`gateway_core.process.patience`). No order
is given before the reply to the last one is there, even if nothing waits for that any more: each reply
belongs to its order. The template is the parent of the workers, so it reports how they ended; the supervisor sees by
itself that they have ended (pidfd_open), and does without a report that does not come. It has nothing to finish, and is
ended by SIGKILL, or ends with its socket; the workers, which have channels of their own, do not.

Libraries that were installed since are in no template. Then, or when it is gone, workers are started by an interpreter
of their own, and their tickets have keys of their own, until the gateway is restarted (SIGUSR2).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import importlib
import json
import os
import signal
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final, NoReturn

from gateway_core.events import PROCESS_FAILED, emit
from gateway_core.packages.environment import Stamp
from gateway_core.process.child import Forked, arguments_of, reap, sees_ends_of_others, wait_for_exit
from gateway_core.process.patience import patiently
from gateway_core.process.tls import provide_base_contexts
from gateway_core.tasks import spawn

_MOST_DESCRIPTORS: Final = 253
"""Of one message (``SCM_MAX_FD`` of Linux)."""

_LONGEST: Final = 65536
PATIENCE: Final = 30.0
"""Seconds that the template may take for an order, not counting those in which it waits for a processor."""

_STATUS_WAIT: Final = 1.0
"""Seconds in which it is to say how a worker ended, whose end is known."""


_WHAT: Final = "the process that workers are forked from"

Become = Callable[[list[str], set[int]], NoReturn]
"""Takes a role in a child that was just forked: `gateway_core.process.roles.become`."""


# -- the template


def serve(sock: socket.socket, become: Become) -> None:
    """Fork workers until the supervisor is gone. Needs a process with one thread."""
    sock.setblocking(True)
    while True:
        try:
            data, descriptors, _, _ = socket.recv_fds(sock, _LONGEST, _MOST_DESCRIPTORS)
        except ConnectionError:  # the supervisor has ended while something was on its way to it
            return
        if not data:
            return
        order = json.loads(data)
        try:
            reply = _fork(order, descriptors, become) if "fork" in order else {"status": reap(order["wait"])}
        except OSError as error:
            reply = {"errno": error.errno, "error": error.strerror}
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        try:
            sock.sendall(json.dumps(reply).encode())
        except ConnectionError:
            return


def _fork(order: Mapping[str, Any], descriptors: Sequence[int], become: Become) -> dict[str, Any]:
    """Fork a worker whose channel is the first of these descriptors; it has the others as well."""
    importlib.import_module("gateway_core.process.worker")  # once for all of them
    contexts = provide_base_contexts()
    gc.freeze()  # a collection in a child would copy all that it shares with this process
    if len(descriptors) != order["descriptors"]:  # the system leaves out those that this process has no room for
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    channel, *listeners = descriptors
    pid = os.fork()
    if pid == 0:
        importlib.invalidate_caches()
        for name, value in order["environ"].items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        become(arguments_of(order["role"], channel, order["fork"]), {*listeners, contexts.descriptor})
    return {"pid": pid, "descriptors": listeners}


# -- the supervisor's side


class Template:
    """The process that workers are forked from."""

    def __init__(
        self, forked: Forked, *, stamp: Callable[[], Stamp], environ: Mapping[str, str], patience: float = PATIENCE
    ) -> None:
        """Have a process that waits.

        :param stamp: returns another value when something was installed.
        :param environ: the variables that the process was forked with.
        :param patience: seconds that it may take for an order.
        """
        self._patience = patience
        self._forked = forked
        self._stamp = stamp
        self._installed = stamp()
        self._environ = environ
        self._turn = asyncio.Lock()
        self._is_closed = forked.sock.fileno() < 0
        if not self._is_closed:
            forked.sock.setblocking(False)

    async def fork(
        self, role: str, number: int, listeners: Mapping[str, int]
    ) -> tuple[Forked, Mapping[str, int]] | None:
        """Fork a child; return it, and its descriptors of the listening sockets.

        :param role: the child's, as `gateway_core.process.roles` has it.
        :returns: None if workers have to be started in another way.
        :raises OSError: the system has no process, memory or descriptors for it.
        """
        if self._is_closed or not sees_ends_of_others() or len(listeners) >= _MOST_DESCRIPTORS:
            return None
        if await asyncio.to_thread(self._stamp) != self._installed:
            await self.aclose()
            return None
        ours, theirs = socket.socketpair()
        try:
            reply = await self._order_fork(role, number, theirs, listeners.values())
        except (OSError, ValueError) as error:
            why = "it does not respond" if isinstance(error, TimeoutError) else str(error)
            text = f"the process that workers are forked from is given up: {why}; they are started by themselves"
            emit(PROCESS_FAILED, text, process_name="template", reason=why)
            ours.close()
            await self.aclose()
            return None
        except BaseException:
            ours.close()  # the child ends with it, if there is one
            raise
        if "errno" in reply:
            ours.close()
            raise OSError(reply["errno"], reply["error"])
        worker = Forked(reply["pid"], ours, reap=partial(self._reap, reply["pid"]))
        return worker, dict(zip(listeners, reply["descriptors"], strict=True))

    async def _order_fork(
        self, role: str, number: int, channel: socket.socket, listeners: Iterable[int]
    ) -> dict[str, Any]:
        """Have a child forked whose end of its channel this is, which is closed here; return the reply."""
        passed = [channel.fileno(), *listeners]
        order = {"fork": number, "role": role, "environ": self._changed_variables(), "descriptors": len(passed)}
        ordering = spawn(self._order(order, passed), name=f"fork {role} {number}", on_error=lambda _: None)
        # Not before it is sent, even if the caller is cancelled: its number may be another file's then.
        ordering.add_done_callback(lambda _: channel.close())
        return await asyncio.shield(ordering)

    def _changed_variables(self) -> dict[str, str | None]:
        """Return what the supervisor has set since the template was forked, such as the folder that workers share."""
        names = self._environ.keys() | os.environ.keys()
        return {name: os.environ.get(name) for name in names if os.environ.get(name) != self._environ.get(name)}

    async def _order(self, order: Mapping[str, Any], descriptors: Sequence[int] = ()) -> dict[str, Any]:
        """Give an order and return the reply.

        :raises OSError: the template has ended, or does not respond.
        """
        async with self._turn:
            if self._is_closed:
                raise ConnectionError("it has ended")
            sock = self._forked.sock
            socket.send_fds(sock, [json.dumps(order).encode()], descriptors)
            receiving = _receive(sock)
            data = await patiently(receiving, self._forked.pid, self._patience, what=_WHAT)
            if not data:
                raise ConnectionError("it has ended")
            reply: dict[str, Any] = json.loads(data)
            return reply

    async def _reap(self, pid: int) -> int | None:
        """Return the exit status of a worker that has ended; None if it is not known."""
        asking = spawn(self._order({"wait": pid}), name=f"reap {pid}", on_error=lambda _: None)
        with contextlib.suppress(OSError, ValueError, KeyError):
            async with asyncio.timeout(_STATUS_WAIT):
                return int((await asyncio.shield(asking))["status"])
        return None

    async def aclose(self) -> None:
        """End the process; workers go on."""
        if not self._is_closed:
            self._is_closed = True
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._forked.pid, signal.SIGKILL)  # it may be stopped, or at something that takes long
            await wait_for_exit(self._forked)
            async with self._turn:  # what waits for a reply sees the end
                self._forked.sock.close()


async def _receive(sock: socket.socket) -> bytes:
    return await asyncio.get_running_loop().sock_recv(sock, _LONGEST)
