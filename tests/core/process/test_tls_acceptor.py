"""The admin listener over TLS takes only so much of clients that have not shown who they are."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from gateway_core.admin import Access
from gateway_core.admin.access import Token
from gateway_core.process import tls_acceptor
from gateway_core.process.admin_listeners import AdminListeners

from tests.core.admin.test_listener import View
from tests.core.process.certificates import make
from tests.core.process.test_admin_listeners import admin


@pytest.fixture
async def tls_port(tmp_path: Path, unused_tcp_port: int) -> AsyncIterator[int]:
    """Return the port of an admin listener with TLS whose API takes the token ``gwa_secret``."""
    view = View()
    view.let_in = Access([Token("ops", "editor", f"sha256:{hashlib.sha256(b'gwa_secret').hexdigest()}", None)])
    listeners = AdminListeners()
    tls = make(tmp_path, "localhost").config()
    await listeners.follow(admin(listen=f"127.0.0.1:{unused_tcp_port}", tls=tls), view)
    yield unused_tcp_port
    await listeners.aclose()


async def is_closed(reader: asyncio.StreamReader) -> bool:
    try:
        return await asyncio.wait_for(reader.read(), 50) == b""
    except ConnectionResetError:
        return True


async def test_clients_that_begin_no_handshake_are_few_and_keep_no_others_out(
    tls_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_acceptor, "MOST_HANDSHAKES", 4)
    monkeypatch.setattr(tls_acceptor, "HANDSHAKE_TIMEOUT", 600.0)
    silent = [await asyncio.open_connection("127.0.0.1", tls_port) for _ in range(12)]

    assert [await is_closed(reader) for reader, _ in silent[:8]] == [True] * 8

    ca = ssl.create_default_context(cafile=str(tmp_path / "localhost.crt"))
    reader, writer = await asyncio.open_connection("127.0.0.1", tls_port, ssl=ca, server_hostname="localhost")
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert (await asyncio.wait_for(reader.readline(), 50)).split()[1] == b"200"
    for _, each in (*silent, (reader, writer)):
        each.close()


async def test_a_handshake_that_takes_long_is_given_up(tls_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_acceptor, "HANDSHAKE_TIMEOUT", 0.2)

    reader, writer = await asyncio.open_connection("127.0.0.1", tls_port)
    writer.write(b"\x16\x03\x01")  # a record begins, and no more of it comes

    assert await is_closed(reader)
    writer.close()


async def test_a_listener_that_moves_ends_handshakes_that_are_not_over(
    tmp_path: Path, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_acceptor, "HANDSHAKE_TIMEOUT", 600.0)
    listeners = AdminListeners()
    tls = make(tmp_path, "localhost").config()
    await listeners.follow(admin(listen=f"127.0.0.1:{unused_tcp_port}", tls=tls), View())
    reader, writer = await asyncio.open_connection("127.0.0.1", unused_tcp_port)

    await listeners.aclose()

    assert await is_closed(reader)
    writer.close()


_LARGE = (
    "POST /api/v1/config:validate HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer gwa_secret\r\n"
    "Content-Type: application/json\r\nContent-Length: 999999999\r\n\r\n{"
)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (f"GET /api/v1/overview HTTP/1.1\r\nHost: localhost\r\nX-Long: {'x' * 20_000}\r\n\r\n", 400),
        (f"GET /api/v1/{'x' * 20_000} HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (_LARGE, 413),
    ],
    ids=["field", "target", "body"],
)
async def test_heads_and_bodies_are_bounded_with_tls_as_well(
    tls_port: int, tmp_path: Path, head: str, status: int
) -> None:
    ca = ssl.create_default_context(cafile=str(tmp_path / "localhost.crt"))
    reader, writer = await asyncio.open_connection("127.0.0.1", tls_port, ssl=ca, server_hostname="localhost")

    writer.write(head.encode())

    assert int((await asyncio.wait_for(reader.readline(), 50)).split()[1]) == status
    writer.close()
