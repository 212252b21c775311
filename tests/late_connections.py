"""Connections of tests that asyncio leaves open: those of a server that is closed meanwhile, and those of closed loops.

`asyncio.Server.close` forgets them (CPython issue 109564, which is open): between `accept` and the first step of the
task that makes the transport there is a turn of the loop. If the server is closed in it, the transport fails to
attach to the server, and its socket stays open until the garbage collector finds it. That reports an unclosed
transport within whatever test runs by then. Tests close servers whose clients connect again and again, such as
collectors of traces and registries; the gateway's own listeners do not use such servers on asyncio's loop.

A client of a test that is stopped in the middle may leave its connection to the loop that is closed then. Such
connections end with the loop. Those whose protocol is the gateway's do not: they are faults, and stay reported.
"""

from __future__ import annotations

import asyncio
import socket
from asyncio.selector_events import BaseSelectorEventLoop
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest


def _close_what_clients_left(loop: BaseSelectorEventLoop) -> None:
    transports: Any = loop._transports  # type: ignore[attr-defined]
    for transport in [*transports.values()]:
        protocol = transport.get_protocol()
        protocol = getattr(protocol, "_app_protocol", protocol)  # behind TLS
        if transport._sock is not None and not type(protocol).__module__.startswith("gateway_"):
            transport._sock.close()
            transport._sock = None


@contextmanager
def closed_with_their_owners() -> Iterator[None]:
    """Have loops close what their server accepted while it was closed, and what clients of tests left to them."""
    accept: Any = BaseSelectorEventLoop._accept_connection2  # type: ignore[attr-defined]

    async def accept_unless_closed(
        loop: BaseSelectorEventLoop,
        factory: Callable[[], asyncio.BaseProtocol],
        connection: socket.socket,
        extra: dict[str, Any],
        tls: Any = None,
        server: asyncio.Server | None = None,
        *timeouts: Any,
        **named_timeouts: Any,
    ) -> None:
        if server is not None and not server.sockets:
            connection.close()
        else:
            await accept(loop, factory, connection, extra, tls, server, *timeouts, **named_timeouts)

    close = BaseSelectorEventLoop.close

    def close_all(loop: BaseSelectorEventLoop) -> None:
        if not loop.is_closed():
            _close_what_clients_left(loop)
        close(loop)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseSelectorEventLoop, "close", close_all)
        patch.setattr(BaseSelectorEventLoop, "_accept_connection2", accept_unless_closed)
        yield
