"""Connections that an asyncio server is accepting while it is closed.

`asyncio.Server.close` forgets them (CPython issue 109564, which is open): between `accept` and the first step of the
task that makes the transport there is a turn of the loop. If the server is closed in it, the transport fails to
attach to the server, and its socket stays open until the garbage collector finds it. That reports an unclosed
transport within whatever test runs by then. Tests close servers whose clients connect again and again, such as
collectors of traces and registries; the gateway's own listeners do not use such servers on asyncio's loop.
"""

from __future__ import annotations

import asyncio
import socket
from asyncio.selector_events import BaseSelectorEventLoop
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest


@contextmanager
def closed_with_their_servers() -> Iterator[None]:
    """Have loops close a connection whose server was closed since it was accepted."""
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

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseSelectorEventLoop, "_accept_connection2", accept_unless_closed)
        yield
