"""Connections of an admin listener: some clients cannot keep the others out, whatever they send or read."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator

import pytest
from gateway_core.admin import api, connections
from gateway_core.admin.access import Access, Token
from gateway_core.admin.connections import AdminConnection

from tests.core.admin.kit import listening
from tests.core.admin.test_listener import View

TOKEN = "gwa_secret"
Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def port() -> AsyncIterator[int]:
    view = View()
    view.let_in = Access([Token("ops", "editor", f"sha256:{hashlib.sha256(TOKEN.encode()).hexdigest()}", None, False)])
    async with listening(view) as found:
        yield found


async def connect(port: int, sent: str = "") -> Ends:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent.encode())
    await writer.drain()
    return reader, writer


def request(path: str, more: str = "", method: str = "GET") -> str:
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n"


async def status_of(reader: asyncio.StreamReader) -> int:
    line = await asyncio.wait_for(reader.readline(), 30)
    return int(line.split()[1])


async def is_closed(reader: asyncio.StreamReader) -> bool:
    try:
        return await asyncio.wait_for(reader.read(), 30) == b""
    except ConnectionResetError:
        return True


async def test_clients_that_send_half_a_head_do_not_keep_others_out(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 8)
    half = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: "
    slow = [await connect(port, half) for _ in range(20)]

    reader, writer = await connect(port, request("/healthz"))

    assert await status_of(reader) == 200
    assert [await is_closed(each) for each, _ in slow[:12]] == [True] * 12
    for _, each in (*slow, (reader, writer)):
        each.close()


async def test_a_caller_with_a_token_keeps_its_connection_whoever_else_comes(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 4)
    known = f"Authorization: Bearer {TOKEN}\r\n"
    reader, writer = await connect(port, request("/api/v1/session", known))
    assert await status_of(reader) == 200

    others = [await connect(port) for _ in range(12)]
    assert [await is_closed(each) for each, _ in others[:9]] == [True] * 9
    await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
    writer.write(request("/healthz").encode())

    assert b"HTTP/1.1 200" in await asyncio.wait_for(reader.readuntil(b"200 OK"), 30)
    for _, each in (*others, (reader, writer)):
        each.close()


async def test_a_head_that_does_not_come_and_a_body_that_stops_are_given_up(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "IDLE_TIMEOUT", 0.2)
    monkeypatch.setattr(api, "READ_TIMEOUT", 0.2)

    silent, other = await connect(port)
    more = f"Authorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n"
    body, writer = await connect(port, request("/api/v1/reload", more, "POST") + "{")

    assert await is_closed(silent)
    assert await status_of(body) == 408
    for each in (other, writer):
        each.close()


async def test_a_client_that_does_not_take_its_response_is_disconnected(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "WRITE_TIMEOUT", 0.2)

    async def exposition(_view: View, _content_type: str) -> bytes:
        return b"x" * (64 << 20)  # more than buffers of sockets hold

    monkeypatch.setattr(View, "exposition", exposition)
    is_lost, lose = asyncio.Event(), AdminConnection.connection_lost

    def lost(connection: AdminConnection, error: BaseException | None) -> None:
        lose(connection, error)
        is_lost.set()

    monkeypatch.setattr(AdminConnection, "connection_lost", lost)
    reader, writer = await connect(port, request("/metrics"))
    assert await status_of(reader) == 200

    # A StreamReader takes no more than its buffer holds until it is read.
    await asyncio.wait_for(is_lost.wait(), 30)
    writer.close()
