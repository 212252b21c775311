"""The role of the template, which workers and the watcher are forked from, and the template as the supervisor sees it.

Workers that are forked from one process start in milliseconds, share the memory of what it has imported, and have the
same keys of TLS session tickets (`gateway_core.process.tls`). The supervisor cannot be that process: it has
threads, and a fork may find their locks taken for ever. So the program forks the template before it has any. The
template has one thread and imports no plugin: plugins are those of when a worker begins.

Over its socket pair the supervisor gives one order at a time, with the descriptors that a worker is to have, and waits
for the reply. The template is the parent of the workers, so it reports how they ended; the supervisor sees by
itself that they have ended (pidfd_open). It ends with its socket; the workers, which have channels of their own, do
not.

Libraries that were installed since are in no template. Then, or when it is gone, workers are started by an interpreter
of their own, and their tickets have keys of their own, until the gateway is restarted (SIGUSR2).
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import json
import os
import socket
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final, NoReturn

from gateway_core.events import PROCESS_FAILED, emit
from gateway_core.packages.environment import Stamp
from gateway_core.process.child import Forked, arguments_of, reap, wait_for_exit
from gateway_core.process.tls import provide_base_contexts
from gateway_core.tasks import spawn

_MOST_DESCRIPTORS: Final = 253
"""Of one message (``SCM_MAX_FD`` of Linux)."""

_LONGEST: Final = 65536
_REPLY_TIMEOUT: Final = 30.0


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

    def __init__(self, forked: Forked, *, stamp: Callable[[], Stamp], environ: Mapping[str, str]) -> None:
        """Have a process that waits.

        :param stamp: returns another value when something was installed.
        :param environ: the variables that the process was forked with.
        """
        self._forked = forked
        self._stamp = stamp
        self._installed = stamp()
        self._environ = environ
        self._turn = threading.Lock()
        self._is_closed = forked.sock.fileno() < 0
        if not self._is_closed:
            forked.sock.settimeout(_REPLY_TIMEOUT)

    async def fork(
        self, role: str, number: int, listeners: Mapping[str, int]
    ) -> tuple[Forked, Mapping[str, int]] | None:
        """Fork a child; return it, and its descriptors of the listening sockets.

        :param role: the child's, as `gateway_core.process.roles` has it.
        :returns: None if workers have to be started in another way.
        :raises OSError: the system has no process, memory or descriptors for it.
        """
        if self._is_closed or not hasattr(os, "pidfd_open") or len(listeners) >= _MOST_DESCRIPTORS:
            return None
        if await asyncio.to_thread(self._stamp) != self._installed:
            await self.aclose()
            return None
        ours, theirs = socket.socketpair()
        try:
            reply = await self._order_fork(role, number, theirs, listeners.values())
        except (OSError, ValueError) as error:
            text = f"the process that workers are forked from is gone: {error}"
            emit(PROCESS_FAILED, text, process_name="template", reason=str(error))
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
        order = {"fork": number, "role": role, "environ": self._changed_variables()}
        giving = asyncio.to_thread(self._order, order, [channel.fileno(), *listeners])
        ordering = spawn(giving, name=f"fork {role} {number}", on_error=lambda _: None)
        # Not before the thread is done with it, even if the caller is cancelled: its number may be another file's then.
        ordering.add_done_callback(lambda _: channel.close())
        return await asyncio.shield(ordering)

    def _changed_variables(self) -> dict[str, str | None]:
        """Return what the supervisor has set since the template was forked, such as the folder that workers share."""
        names = self._environ.keys() | os.environ.keys()
        return {name: os.environ.get(name) for name in names if os.environ.get(name) != self._environ.get(name)}

    def _order(self, order: Mapping[str, Any], descriptors: Sequence[int] = ()) -> dict[str, Any]:
        """Give an order and return the reply. Blocks."""
        with self._turn:
            socket.send_fds(self._forked.sock, [json.dumps(order).encode()], descriptors)
            reply: dict[str, Any] = json.loads(self._forked.sock.recv(_LONGEST))
            return reply

    def _reap(self, pid: int) -> int:
        """Return the exit status of a worker that has ended; 0 if it is not known any more."""
        with contextlib.suppress(OSError, ValueError, KeyError):
            return int(self._order({"wait": pid})["status"])
        return reap(pid)

    async def aclose(self) -> None:
        """End the process; workers go on."""
        if not self._is_closed:
            self._is_closed = True
            # Closing alone would not end it while a thread waits for a reply: the thread's poll(2) has the socket open.
            with contextlib.suppress(OSError):
                self._forked.sock.shutdown(socket.SHUT_RDWR)
            await wait_for_exit(self._forked)
            await asyncio.to_thread(self._close)

    def _close(self) -> None:
        """Close the socket once no thread uses it."""
        with self._turn:
            self._forked.sock.close()
