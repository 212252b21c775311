"""Tell the service manager how the gateway is (the protocol of ``sd_notify``, systemd's ``Type=notify``).

``READY=1`` once it listens, ``RELOADING=1`` and ``READY=1`` around a reload, ``STOPPING=1`` when it begins to drain,
and ``WATCHDOG=1`` twice in each ``WATCHDOG_USEC``, which a blocked event loop misses.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from gateway_core.clock import SystemClock


class ServiceManager:
    """The socket that ``NOTIFY_SOCKET`` names; without one nothing is sent."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Read where and how often to tell."""
        address = environ.get("NOTIFY_SOCKET", "")
        # An abstract address begins with a zero byte, which the environment writes as `@`.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog = 0.0
        """Seconds between two signs of life; 0 asks for none."""
        pid = environ.get("WATCHDOG_PID", "")
        with contextlib.suppress(ValueError):
            if not pid or int(pid) == os.getpid():
                self.watchdog = int(environ.get("WATCHDOG_USEC", "0")) / 2_000_000

    def ready(self, status: str) -> None:
        """Tell that requests are served, with a line for people."""
        self._send(f"READY=1\nSTATUS={status}")

    @contextmanager
    def during_reload(self) -> Iterator[None]:
        """Tell that a reload has begun, and at the end that requests are served by what is in force then."""
        microseconds = int(SystemClock().monotonic() * 1_000_000)
        self._send(f"RELOADING=1\nMONOTONIC_USEC={microseconds}")
        try:
            yield
        finally:
            self.ready("serving")

    def stopping(self) -> None:
        """Tell that the gateway ends."""
        self._send("STOPPING=1")

    async def keep_alive(self) -> None:
        """Give a sign of life again and again; returns at once if none is asked for."""
        while self.watchdog:
            self._send("WATCHDOG=1")
            await asyncio.sleep(self.watchdog)

    def _send(self, text: str) -> None:
        if not self._address:
            return
        # Not told is no reason to serve any worse.
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock,
        ):
            sock.setblocking(False)
            sock.sendto(text.encode(), self._address)
