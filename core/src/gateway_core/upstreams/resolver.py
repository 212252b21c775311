"""Host names, resolved once for everything in the process that connects to them.

How it works: the addresses of a name are *fresh* for ``FRESH_SECONDS``. After that they are *stale*: still returned at
once, while one look-up runs beside (RFC 5861's stale-while-revalidate), and kept when it fails. Only a name without
addresses makes its callers wait, all of them for the same look-up. An error is remembered for ``ERROR_SECONDS``.

``getaddrinfo`` blocks and cannot be cancelled, so each look-up has a thread, and a name never has more than one. The
threads are bounded in two groups: look-ups that have run for less than ``SLOW_SECONDS``, and those that took longer
this time or the last time. A slow name therefore leaves the first group, and waits for others like itself only. Names
that never resolve hold up a new one by the seconds that they take to leave, as long as there are threads.

The table and its times are decided on the event loop; the threads do nothing but call ``getaddrinfo``.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections import deque
from collections.abc import Callable, Sequence
from errno import EAGAIN
from ipaddress import ip_address
from typing import Any, Final

from gateway_core.clock import Clock, SystemClock
from gateway_core.events import NAME_RESOLVED, NAME_UNRESOLVED, emit

FRESH_SECONDS: Final = 10.0
"""How long the addresses of a name are used without asking again."""
STALE_SECONDS: Final = 3600.0
"""How long they are used while asking again fails, or takes long."""
ERROR_SECONDS: Final = 1.0
"""How long a failure is remembered before the name is looked up again."""
SLOW_SECONDS: Final = 1.0
"""A look-up that takes longer is slow."""
PATIENCE: Final = 10.0
"""How long callers wait for a look-up at most: the operating system's own limit may be much longer."""
QUICK_THREADS: Final = 64
SLOW_THREADS: Final = 192
"""Many, as a gateway may have many names behind a name server that is gone; a thread that waits takes some 25 KiB."""
MOST_NAMES: Final = 4096
"""Names that are cached; plugins may look up any number."""

AddressInfo = tuple[int, int, int, str, tuple[Any, ...]]
"""Family, type, protocol, "" and socket address, as `socket.getaddrinfo` returns them."""
LookUp = Callable[[str], Sequence[AddressInfo]]
"""Resolves a name; may block."""


class NameLookupError(OSError):
    """A name cannot be resolved. ``errno`` is set only where this machine lacks something (descriptors, threads)."""


def system_look_up(host: str) -> Sequence[AddressInfo]:
    """Ask the system's resolver (hosts file included); blocks. Addresses are in the order of RFC 6724.

    :raises OSError: if it cannot be resolved.
    """
    return socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)


class _Name:
    """What is known of one name."""

    __slots__ = ("addresses", "error", "host", "is_slow", "look_up", "refresh_at", "resolved_at")

    def __init__(self, host: str) -> None:
        self.host = host
        self.addresses: tuple[AddressInfo, ...] = ()
        self.resolved_at = float("-inf")
        self.refresh_at = float("-inf")
        self.error: tuple[int | None, str] | None = None
        """errno and text of the last look-up's failure; None if it succeeded."""
        self.is_slow = False
        self.look_up: _LookUp | None = None

    def failure(self) -> NameLookupError:
        number, text = self.error or (None, "no address")
        message = f"cannot resolve {self.host!r}: {text}"
        return NameLookupError(message) if number is None else NameLookupError(number, message)


class _LookUp:
    """One look-up of a name, waiting for a thread or running in one."""

    __slots__ = ("ended", "is_running", "is_slow", "name", "timer")

    def __init__(self, name: _Name, ended: asyncio.Future[None]) -> None:
        self.name = name
        self.ended = ended
        """Done when there is a result, or none in time. Never an exception, which might not be retrieved."""
        self.is_running = False
        self.is_slow = name.is_slow
        self.timer: asyncio.TimerHandle | None = None


class Resolver:
    """Resolves names for one event loop."""

    def __init__(
        self,
        clock: Clock | None = None,
        *,
        look_up: LookUp = system_look_up,
        patience: float = PATIENCE,
        slow_after: float = SLOW_SECONDS,
    ) -> None:
        """Begin without names; needs no running loop.

        :param look_up: resolves a name, in a thread.
        :param patience: longest wait for it, in seconds.
        :param slow_after: seconds from which on a look-up is slow.
        """
        self._clock = clock or SystemClock()
        self._look_up = look_up
        self._patience = patience
        self._slow_after = slow_after
        self._names: dict[str, _Name] = {}
        self._queue: deque[_LookUp] = deque()
        self._quick = 0
        self._slow = 0

    async def resolve(self, host: str, port: int = 0) -> Sequence[AddressInfo]:
        """Return the addresses of a name, in the order in which to try them; an IP address is its own.

        :raises NameLookupError: if there are none.
        """
        literal = _parse_literal(host, port)
        if literal is not None:
            return literal
        name = self._name(host)
        now = self._clock.monotonic()
        if not self._is_usable(name, now) and now >= name.refresh_at:
            await asyncio.shield(self._begin(name))
        elif now >= name.refresh_at:
            self._begin(name)
        if not self._is_usable(name, self._clock.monotonic()):
            raise name.failure()
        return _with_port(name.addresses, port)

    async def refresh(self, host: str, port: int = 0) -> Sequence[AddressInfo]:
        """Look a name up again, whatever is known of it, and return its addresses.

        :raises NameLookupError: if the look-up fails; what was known before stays known.
        """
        literal = _parse_literal(host, port)
        if literal is not None:
            return literal
        name = self._name(host)
        await asyncio.shield(self._begin(name))
        if name.error is not None:
            raise name.failure()
        return _with_port(name.addresses, port)

    @property
    def threads(self) -> int:
        """Threads in use."""
        return self._quick + self._slow

    def _name(self, host: str) -> _Name:
        name = self._names.pop(host, None)
        if name is None:
            if len(self._names) >= MOST_NAMES:
                self._evict()
            name = _Name(host)
        self._names[host] = name  # the least recently used name is the first
        return name

    def _evict(self) -> None:
        idle = next((host for host, name in self._names.items() if name.look_up is None), None)
        if idle is not None:
            del self._names[idle]

    @staticmethod
    def _is_usable(name: _Name, now: float) -> bool:
        return bool(name.addresses) and now < name.resolved_at + STALE_SECONDS

    # -- look-ups: queued, running, given up, ended

    def _begin(self, name: _Name) -> asyncio.Future[None]:
        """Join the look-up of a name, or begin one."""
        look_up = name.look_up
        if look_up is None:
            loop = asyncio.get_running_loop()
            look_up = name.look_up = _LookUp(name, loop.create_future())
            look_up.timer = loop.call_later(self._patience, self._give_up, look_up)
            self._queue.append(look_up)
            self._start_threads()
        return look_up.ended

    def _start_threads(self) -> None:
        waiting: list[_LookUp] = []
        while self._queue and self.threads < QUICK_THREADS + SLOW_THREADS:
            look_up = self._queue.popleft()
            if self._slow < SLOW_THREADS if look_up.is_slow else self._quick < QUICK_THREADS:
                self._start_thread(look_up)
            else:
                waiting.append(look_up)
        self._queue.extendleft(reversed(waiting))

    def _start_thread(self, look_up: _LookUp) -> None:
        loop = asyncio.get_running_loop()
        thread = threading.Thread(target=self._run, args=(look_up, loop), name="gateway-resolver", daemon=True)
        look_up.is_running = True
        self._count(look_up, 1)
        began = self._clock.monotonic()
        if not look_up.is_slow:
            loop.call_later(self._slow_after, self._note_slow, look_up)
        try:
            thread.start()
        except RuntimeError as error:
            loop.call_soon(self._end, look_up, began, (), (EAGAIN, str(error)))

    def _run(self, look_up: _LookUp, loop: asyncio.AbstractEventLoop) -> None:
        """Resolve, in a thread."""
        began = self._clock.monotonic()
        addresses: Sequence[AddressInfo] = ()
        error: tuple[int | None, str] | None = None
        try:
            addresses = tuple(self._look_up(look_up.name.host))
        except Exception as failure:  # noqa: BLE001 - the top of a thread: whatever it is, callers have to learn of it
            # The numbers of gaierror are not those of errno.
            number = None if isinstance(failure, socket.gaierror) else getattr(failure, "errno", None)
            error = number, getattr(failure, "strerror", None) or str(failure) or type(failure).__name__
        with contextlib.suppress(RuntimeError):  # the loop was closed during the look-up
            loop.call_soon_threadsafe(self._end, look_up, began, addresses, error)

    def _note_slow(self, look_up: _LookUp) -> None:
        """Let a look-up that takes long leave the quick ones, if there is room among the slow."""
        if look_up.is_running and not look_up.is_slow and self._slow < SLOW_THREADS:
            self._count(look_up, -1)
            look_up.is_slow = True
            self._count(look_up, 1)
            self._start_threads()

    def _give_up(self, look_up: _LookUp) -> None:
        """Let the callers of a look-up go on without it."""
        name = look_up.name
        name.is_slow = True
        self._note_failure(name, (None, f"no result within {self._patience:g} s"))
        if look_up.is_running:
            # The thread cannot be stopped, and a second one would have the same fate: its end is waited for.
            name.refresh_at = float("inf")
        else:
            self._queue.remove(look_up)
            name.look_up = None
        look_up.ended.set_result(None)

    def _end(
        self,
        look_up: _LookUp,
        began: float,
        addresses: Sequence[AddressInfo],
        error: tuple[int | None, str] | None,
    ) -> None:
        name = look_up.name
        self._count(look_up, -1)
        look_up.is_running = False
        if look_up.timer is not None:
            look_up.timer.cancel()
        now = self._clock.monotonic()
        name.look_up = None
        name.is_slow = now - began > self._slow_after
        if error is None and addresses:
            if name.error is not None and name.addresses:
                emit(NAME_RESOLVED, f"{name.host!r} resolves again", name=name.host)
            name.addresses, name.error = tuple(addresses), None
            name.resolved_at, name.refresh_at = now, now + FRESH_SECONDS
        else:
            self._note_failure(name, error or (None, "no address"))
        if not look_up.ended.done():
            look_up.ended.set_result(None)
        self._start_threads()

    def _note_failure(self, name: _Name, error: tuple[int | None, str]) -> None:
        if name.error is None:
            kept = "; its last addresses stay in use" if name.addresses else ""
            emit(NAME_UNRESOLVED, f"cannot resolve {name.host!r}: {error[1]}{kept}", name=name.host, reason=error[1])
        name.error = error
        name.refresh_at = self._clock.monotonic() + ERROR_SECONDS

    def _count(self, look_up: _LookUp, change: int) -> None:
        if look_up.is_slow:
            self._slow += change
        else:
            self._quick += change


def _parse_literal(host: str, port: int) -> Sequence[AddressInfo] | None:
    """Return the address that an IP address stands for; None for a name."""
    try:
        address = ip_address(host)
    except ValueError:
        return None
    if address.version == 4:
        return ((socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port)),)
    if "%" not in host:
        return ((socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port, 0, 0)),)
    try:
        # Finds the number of the interface that a link-local address names; no query is sent.
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except OSError as error:
        raise NameLookupError(f"cannot use {host!r}: {error.strerror}") from error


def _with_port(addresses: Sequence[AddressInfo], port: int) -> Sequence[AddressInfo]:
    return [
        (family, kind, protocol, name, (address[0], port, *address[2:]))
        for family, kind, protocol, name, address in addresses
    ]
