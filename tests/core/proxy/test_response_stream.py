"""Responses whose body has to be asked for: iterators, files and filters over what a plugin made."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import BodyFilter, Headers, Record, Request, Response
from gateway_core.proxy.response_stream import PIECES_PER_TURN

from tests.core.proxy.kit import Peer, Proxied, RunningProxy, counts, field, settled, until

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
HEAD = b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
BIND = "plugins: [{name: p}]"

current: contextvars.ContextVar[str] = contextvars.ContextVar("current", default="nobody")


class Pieces:
    """An iterator that tells what becomes of it."""

    def __init__(self, *pieces: bytes | Exception) -> None:
        self._pieces = list(pieces)
        self.asked = 0
        self.closed = 0
        self.closed_by = ""
        self.gate: asyncio.Event | None = None

    def __aiter__(self) -> Pieces:
        return self

    async def __anext__(self) -> bytes:
        self.asked += 1
        if not self._pieces:
            if self.gate is not None:
                await self.gate.wait()
            raise StopAsyncIteration
        piece = self._pieces.pop(0)
        if isinstance(piece, Exception):
            raise piece
        return piece

    async def aclose(self) -> None:
        await asyncio.sleep(0)
        self.closed += 1
        self.closed_by = current.get()


def serves(made: Response, records: list[Record] | None = None) -> type[Plugin[Any]]:
    """Return a plugin that responds with a response."""

    class Serves(Plugin[Any]):
        name = "p"

        @hookimpl
        def gateway_pre_proxy(self, request: Request) -> Response:
            current.set(request.raw_path)
            return made

        @hookimpl
        def gateway_log(self, record: Record) -> None:
            if records is not None:
                records.append(record)

    return Serves


async def started(proxied: Proxied, made: Response, records: list[Record] | None = None) -> RunningProxy:
    gateway, _ = await proxied(extra=BIND, plugins=[serves(made, records)])
    return gateway


async def chunks(client: Peer) -> bytes:
    return await client.reader.readuntil(b"0\r\n\r\n")


@pytest.mark.one_protocol(reason="framing")
async def test_an_iterator_goes_out_piece_by_piece_and_the_connection_stays(proxied: Proxied) -> None:
    pieces = Pieces(b"one", b"", b"two")
    gateway = await started(proxied, Response(body=pieces, headers={"x-made": "here"}))
    client = await gateway.connect()

    await client.send(GET)
    head = await client.head()

    assert field(head, b"x-made") == b"here"
    assert field(head, b"transfer-encoding") == b"chunked"
    assert await chunks(client) == b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
    await until(lambda: pieces.closed == 1)
    assert pieces.closed_by == "/"
    await client.send(GET)
    assert (await client.head()).startswith(b"HTTP/1.1 200")


async def test_each_piece_is_sent_before_the_next_one_is_there(proxied: Proxied) -> None:
    pieces = Pieces(b"data: 1\n\n")
    pieces.gate = asyncio.Event()
    gateway = await started(proxied, Response(body=pieces))
    client = await gateway.connect()

    await client.send(GET)
    await client.head()
    assert await client.exactly(14) == b"9\r\ndata: 1\n\n\r\n"
    pieces.gate.set()

    assert await client.exactly(5) == b"0\r\n\r\n"


async def test_a_content_length_is_sent_and_what_is_beyond_dropped(proxied: Proxied) -> None:
    pieces = Pieces(b"123", b"456", b"789")
    gateway = await started(proxied, Response(body=pieces, headers={"content-length": "5"}))
    client = await gateway.connect()

    await client.send(GET)

    assert (await client.response())[2] == b"12345"
    await until(lambda: pieces.closed == 1)
    assert pieces.asked == 2


async def test_a_body_that_is_too_short_is_visibly_cut(proxied: Proxied) -> None:
    records: list[Record] = []
    gateway = await started(proxied, Response(body=Pieces(b"123"), headers={"content-length": "5"}), records)

    data = await gateway.send(GET)

    assert data.endswith(b"\r\n\r\n123")
    await until(lambda: records)
    assert (records[0].aborted, records[0].reason) == ("gateway", "plugin.failed")


async def test_for_head_nothing_is_asked_for_and_the_iterator_is_closed(proxied: Proxied) -> None:
    pieces = Pieces(b"123")
    gateway = await started(proxied, Response(body=pieces, headers={"content-length": "3"}))

    data = await gateway.send(HEAD)

    assert field(data, b"content-length") == b"3"
    assert data.endswith(b"\r\n\r\n")
    await until(lambda: pieces.closed == 1)
    assert pieces.asked == 0


async def test_a_first_piece_that_fails_is_500(proxied: Proxied) -> None:
    pieces = Pieces(ValueError("no"))
    gateway = await started(proxied, Response(body=pieces))

    data = await gateway.send(GET[:-2] + b"Connection: close\r\n\r\n")

    assert data.startswith(b"HTTP/1.1 500")
    await until(lambda: pieces.closed == 1)


async def test_a_later_piece_that_fails_is_a_visible_cut(proxied: Proxied) -> None:
    pieces = Pieces(b"one", ValueError("no"))
    gateway = await started(proxied, Response(body=pieces))

    data = await gateway.send(GET)

    assert data.startswith(b"HTTP/1.1 200")
    assert data.endswith(b"3\r\none\r\n")
    await until(lambda: pieces.closed == 1)


async def test_a_client_that_leaves_closes_the_iterator(proxied: Proxied) -> None:
    records: list[Record] = []
    pieces = Pieces(b"one")
    pieces.gate = asyncio.Event()
    gateway = await started(proxied, Response(body=pieces), records)
    client = await gateway.connect()

    await client.send(GET)
    await client.head()
    client.reset()

    await until(lambda: pieces.closed == 1)
    assert pieces.closed_by == "/"
    await until(lambda: records)
    assert (records[0].aborted, records[0].reason) == ("client", "client-left")
    await until(lambda: not counts(gateway))


async def test_a_client_that_leaves_when_the_body_has_ended_is_logged_once(proxied: Proxied) -> None:
    records: list[Record] = []
    gateways: list[RunningProxy] = []

    class LeftAtTheEnd(Pieces):
        async def aclose(self) -> None:
            await super().aclose()
            [exchange] = gateways[0].proxy.exchanges
            # Behind the end of the task that reads this, and before what is called for it.
            asyncio.get_running_loop().call_soon(exchange.client_gone)  # type: ignore[attr-defined]

    gateways.append(gateway := await started(proxied, Response(body=LeftAtTheEnd(b"one")), records))
    client = await gateway.connect()

    await client.send(GET)

    await until(lambda: records)
    assert await settled(lambda: len(records)) == 1
    assert gateway.proxy.holder.current.active == 0


async def test_an_iterator_is_not_asked_faster_than_the_client_takes(proxied: Proxied) -> None:
    produced = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal produced
        while True:
            produced += 1
            yield bytes(65536)

    gateway = await started(proxied, Response(body=endless()))
    client = await gateway.connect()
    await client.send(GET)
    await client.head()

    assert await settled(lambda: produced) < 1000  # when the buffers between both ends are full
    client.reset()
    await until(lambda: not counts(gateway))


async def test_a_file_is_sent(proxied: Proxied, tmp_path: Path) -> None:
    path = tmp_path / "page"
    path.write_bytes(b"x" * 1_000_000)
    gateway = await started(proxied, Response(body=path, headers={"content-length": "1000000"}))
    client = await gateway.connect()

    for _ in range(2):
        await client.send(GET)
        status, _, body = await client.response()
        assert (status, body) == (200, path.read_bytes())


@pytest.mark.one_protocol(reason="fields")
@pytest.mark.parametrize("length", [None, 3])
async def test_of_a_file_no_type_and_no_range_is_derived_and_a_length_is_enforced(
    proxied: Proxied, tmp_path: Path, caplog: pytest.LogCaptureFixture, length: int | None
) -> None:
    path = tmp_path / "page.html"
    path.write_bytes(b"abcdef")
    headers = {} if length is None else {"Content-Length": str(length)}
    gateway = await started(proxied, Response(body=path, headers=headers))
    client = await gateway.connect()

    await client.send(GET.replace(b"\r\n\r\n", b"\r\nRange: bytes=0-1\r\n\r\n"))
    head = await client.head()

    assert head.startswith(b"HTTP/1.1 200")
    assert field(head, b"content-type") is field(head, b"accept-ranges") is field(head, b"content-range") is None
    body = await chunks(client) if length is None else await client.exactly(length)
    assert body == (b"6\r\nabcdef\r\n0\r\n\r\n" if length is None else b"abc")
    await until(lambda: not counts(gateway))
    assert ("more than its Content-Length of 3 bytes" in caplog.text) is (length is not None)


async def test_a_missing_file_is_500(proxied: Proxied, tmp_path: Path) -> None:
    records: list[Record] = []
    gateway = await started(proxied, Response(body=tmp_path / "none"), records)

    status, _, body = await gateway.ask(GET)

    assert status == 500
    assert str(tmp_path).encode() not in body
    await until(lambda: records)
    assert records[0].reason == "plugin.failed"


class Upper(BodyFilter):
    def feed(self, data: bytes) -> bytes:
        return data.upper()

    def finish(self, trailers: Headers) -> bytes:
        return b"!"


@pytest.mark.parametrize("body", [b"abc", "pieces"])
async def test_filters_apply_to_what_a_plugin_made(proxied: Proxied, body: Any) -> None:
    class Filters(serves(Response(body=Pieces(b"ab", b"c") if body == "pieces" else body, headers={"etag": '"1"'}))):  # type: ignore[misc]
        @hookimpl
        def gateway_response(self, response: Response) -> None:
            response.add_body_filter(Upper)

    gateway, _ = await proxied(extra=BIND, plugins=[Filters])
    client = await gateway.connect()

    await client.send(GET)
    head = await client.head()

    assert field(head, b"etag") == b'W/"1"'
    assert field(head, b"content-length") is None
    data = await chunks(client)
    assert b"".join(data.split(b"\r\n")[1::2]) == b"ABC!"


async def test_a_replaced_response_is_closed(proxied: Proxied) -> None:
    pieces = Pieces(b"never")

    class Replaces(serves(Response(body=pieces))):  # type: ignore[misc]
        @hookimpl
        def gateway_response(self) -> Response:
            return Response(body=b"other")

    gateway, _ = await proxied(extra=BIND, plugins=[Replaces])

    assert (await gateway.ask(GET))[2] == b"other"
    await until(lambda: pieces.closed == 1)
    assert pieces.asked == 0


class Escapes(BodyFilter):
    """Raises what is meant to end a program, wherever it can."""

    def __init__(self, escape: type[BaseException], where: str) -> None:
        self._escape = escape
        self._where = where

    def feed(self, data: bytes) -> Any:
        if self._where == "feed":
            raise self._escape
        return self._pieces() if self._where == "generator" else data

    def _pieces(self) -> Any:
        yield b""
        raise self._escape

    def finish(self, trailers: Headers) -> bytes:
        if self._where == "finish":
            raise self._escape
        return b""

    def close(self, error: Exception | None) -> None:
        raise self._escape


@pytest.mark.parametrize("escape", [SystemExit, KeyboardInterrupt, GeneratorExit])
@pytest.mark.parametrize("where", ["factory", "feed", "generator", "finish", "close"])
async def test_a_filter_that_means_to_end_the_program_ends_its_response_at_most(
    proxied: Proxied, escape: type[BaseException], where: str
) -> None:
    class Filters(Plugin[Any]):
        name = "p"

        @hookimpl
        def gateway_response(self, request: Request, response: Response) -> None:
            response.add_body_filter(self._make)

        def _make(self) -> BodyFilter:
            if where == "factory":
                raise escape
            return Escapes(escape, where)

    gateway, _ = await proxied(extra=BIND, plugins=[Filters])

    for _ in range(2):
        data = await gateway.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert data.startswith(b"HTTP/1.1 200 " if where in {"finish", "close"} else b"HTTP/1.1 500 "), data[:100]
    await until(lambda: not counts(gateway))


async def test_an_iterator_that_never_waits_leaves_every_turn_of_the_loop_to_others(proxied: Proxied) -> None:
    made_in_turn = [0]

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(5000):
            made_in_turn[-1] += 1
            yield b"x"

    gateway, _ = await proxied(extra=BIND, plugins=[serves(Response(200, pieces()))])
    loop = asyncio.get_running_loop()
    peer = await gateway.connect()

    def turn() -> None:
        made_in_turn.append(0)
        ticking[0] = loop.call_soon(turn)

    ticking = [loop.call_soon(turn)]
    await peer.send(GET)
    async with asyncio.timeout(20):
        await peer.reader.readuntil(b"\r\n0\r\n\r\n")
    ticking[0].cancel()

    assert sum(made_in_turn) == 5000
    assert max(made_in_turn) <= PIECES_PER_TURN
