"""What the program reports of its start, stop, restart and reloads: lines of the log, and states of `ServiceManager`.

A service manager that supervises the gateway is notified by the protocol of ``sd_notify`` (systemd's ``Type=notify``):
``READY=1`` once it listens, ``RELOADING=1`` and ``READY=1`` around a reload, ``STOPPING=1`` when it begins to drain,
and ``WATCHDOG=1`` twice in each ``WATCHDOG_USEC``, which a blocked event loop misses.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from gateway_core.clock import SystemClock
from gateway_core.config import ConfigProblem, GatewayConfig, render_problems
from gateway_core.config.sources.factories import configured_log
from gateway_core.events import (
    CONFIG_WARNINGS,
    SERVER_LISTENING,
    SERVER_NOT_RESTARTED,
    SERVER_NOT_STARTED,
    SERVER_RESTARTED,
    SERVER_RESTARTING,
    SERVER_STOPPING,
    emit,
)
from gateway_core.process.logs import announce, configure


def use_configured_format(paths: Sequence[Path]) -> None:
    """Have what is said before a configuration is in force written as its files want it. Blocks."""
    with contextlib.suppress(OSError, ImportError):  # there may be no descriptors to read them with
        configure(configured_log(paths, os.environ))


def not_started(text: str, reason: str = "") -> None:
    """Say why there is no gateway.

    :param text: as it is printed.
    :param reason: without what only people need; the text unless given.
    """
    announce(SERVER_NOT_STARTED, text, reason=reason or text)


def listening(urls: Sequence[str], config: GatewayConfig) -> None:
    """Say that the gateway is ready, with a line for each address."""
    for url in urls:
        announce(
            SERVER_LISTENING,
            f"listening on {url}",
            url=url,
            version=version("gateway-core"),
            admin=None if config.admin is None else config.admin.listen,
            workers=config.workers,
        )


def has_warnings(warnings: Sequence[ConfigProblem]) -> None:
    """Show the warnings of the configuration in force, if there are some."""
    if warnings:
        details = render_problems(warnings)
        emit(CONFIG_WARNINGS, "the configuration in force has warnings", details=details, problems=len(warnings))


def stopping(signal: str, config: GatewayConfig) -> None:
    """Say that requests are finished and the program ends."""
    deadline = config.shutdown_timeout
    text = f"stopping, requests may take {deadline:g} s to finish"
    emit(SERVER_STOPPING, text, signal=signal, shutdown_timeout=deadline, drain_delay=config.drain_delay)


def restarting(why: str) -> None:
    """Say that a new program is to take over."""
    emit(SERVER_RESTARTING, f"{why}: a new process is to take over", reason=why)


def restarted(urls: Sequence[str], config: GatewayConfig) -> None:
    """Say that this program has taken over."""
    number, admin = version("gateway-core"), None if config.admin is None else config.admin.listen
    shown = "no admin listener" if admin is None else f"admin on {admin}"
    text = f"the new program has taken over: gateway {number} on {', '.join(urls)}; {shown}"
    emit(SERVER_RESTARTED, text, version=number, urls=list(urls), admin=admin)


def not_restarted(what: str, reason: str, problems: Sequence[ConfigProblem] = ()) -> None:
    """Say why the running program goes on."""
    emit(
        SERVER_NOT_RESTARTED, f"{what}: {reason}", details=render_problems(problems) if problems else "", reason=reason
    )


class ServiceManager:
    """The socket that ``NOTIFY_SOCKET`` names; without one nothing is sent."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Read where and how often to notify."""
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

    def waiting(self, status: str) -> None:
        """Tell what the start waits for, with a line for people."""
        self._send(f"STATUS={' '.join(status.split())}")  # each line of a notification is one of its own

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
        # A notification that fails is no reason to serve any worse.
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock,
        ):
            sock.setblocking(False)
            sock.sendto(text.encode(), self._address)
