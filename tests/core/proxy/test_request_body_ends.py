"""How request bodies that hooks change end: trailers, Expect, clients that leave or stall, slow upstreams."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import BodyFilter, Headers, Record, Request
from gateway_core.tasks import spawn

from tests.core.proxy.bodies import BIND, Upper, chunks
from tests.core.proxy.kit import Peer, Proxied, counts, field, until
from tests.core.proxy.test_request_changes import CHUNKED, EXPECTS, POST, filters, hook


@pytest.mark.one_protocol(reason="framing")
async def test_trailers_go_through_the_filter(proxied: Proxied) -> None:
    class Trailing(BodyFilter):
        def finish(self, trailers: Headers) -> bytes:
            trailers["x-added"] = trailers["x-came"] + "!"
            return b""

    seen: list[bytes] = []

    async def script(peer: Peer) -> None:
        await peer.head()
        seen.append(await peer.reader.readuntil(b"0\r\n") + await peer.reader.readuntil(b"\r\n\r\n"))
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await peer.rest()

    gateway, _ = await proxied(script, extra=BIND, plugins=filters(Trailing))

    assert (await gateway.ask(CHUNKED + b"3\r\nabc\r\n0\r\nX-Came: 1\r\n\r\n"))[0] == 200
    assert seen == [b"3\r\nabc\r\n0\r\nX-Came: 1\r\nx-added: 1!\r\n\r\n"]


@pytest.mark.parametrize("reads", [True, False])
async def test_a_client_that_waits_is_told_to_go_on_by_who_wants_its_body(proxied: Proxied, reads: bool) -> None:
    async def run(request: Request) -> None:
        if reads:
            assert await request.read() == b"abcdef"
        else:
            request.add_body_filter(Upper)

    gateway, upstream = await proxied(extra=BIND, plugins=hook(run))
    client = await gateway.connect()
    await client.send(EXPECTS)

    assert await client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
    await client.send(b"abcdef")

    assert (await client.response())[0] == 200
    assert field(upstream.heads[0], b"expect") is None


@pytest.mark.one_protocol(reason="the connection closes behind an early response")
async def test_a_client_whose_body_is_replaced_is_not_asked_for_it(proxied: Proxied) -> None:
    async def run(request: Request) -> None:
        request.set_body(b"other")

    gateway, upstream = await proxied(extra=BIND, plugins=hook(run))
    client = await gateway.connect()
    await client.send(EXPECTS)

    status, head, _ = await client.response()

    assert (status, field(head, b"connection")) == (200, b"close")
    assert upstream.bodies == [b"other"]


async def test_a_client_that_leaves_in_the_middle_closes_the_filter(proxied: Proxied) -> None:
    made = Upper()
    gateway, _ = await proxied(extra=BIND, plugins=filters(lambda: made))
    client = await gateway.connect()
    await client.send(CHUNKED + b"3\r\nabc\r\n")
    await until(lambda: made.fed)

    client.reset()

    await until(lambda: made.closed)
    assert made.closed != [None]
    await until(lambda: not counts(gateway))


@pytest.mark.parametrize("where", ["filter", "read", "read behind a filter"])
async def test_a_client_that_stalls_gets_408_and_the_hooks_time_stands_still(proxied: Proxied, where: str) -> None:
    failed: list[Record] = []

    async def run(request: Request) -> None:
        if where != "read":
            request.add_body_filter(Upper)
        if where != "filter":
            await request.read()

    extra = "plugins: [{name: p, timeout: 50ms}]\nlimits: {body_timeout: 300ms}"
    gateway, _ = await proxied(extra=extra, plugins=hook(run, failed))
    client = await gateway.connect()
    await client.send(CHUNKED + b"3\r\nabc\r\n")

    assert (await client.response())[0] == 408
    await until(lambda: failed)
    assert failed[0].reason == "body-too-slow"
    await until(lambda: not counts(gateway))


async def test_a_large_body_streams_through_a_filter_at_the_upstreams_pace(proxied: Proxied) -> None:
    gate = asyncio.Event()
    total = 0

    async def script(peer: Peer) -> None:
        nonlocal total
        await peer.head()
        await gate.wait()
        total = len(await chunks(peer))
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await peer.rest()

    made = Upper()
    gateway, _ = await proxied(script, extra=BIND, plugins=filters(lambda: made))
    client = await gateway.connect()
    size = 200_000
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size
    sending = spawn(client.send(head + bytes(size)), name="a large upload")
    await until(lambda: made.fed)
    gate.set()
    await sending

    status, _, _ = await client.response()

    assert (status, total) == (200, size)


async def test_nothing_can_be_changed_once_the_request_is_on_its_way(proxied: Proxied) -> None:
    caught: list[Exception] = []

    class Late(Plugin[Any]):
        name = "p"

        @hookimpl
        def gateway_response(self, request: Request) -> None:
            try:
                request.set_body(b"late")
            except RuntimeError as error:
                caught.append(error)

    gateway, _ = await proxied(extra=BIND, plugins=[Late])

    assert (await gateway.ask(POST))[0] == 200
    assert len(caught) == 1


async def test_a_filter_that_fails_behind_the_response_cuts_it(proxied: Proxied) -> None:
    records: list[Record] = []

    class FailsLate(Upper):
        def feed(self, data: bytes) -> Any:
            if data == b"def":
                raise ValueError("boom")
            return super().feed(data)

    made = FailsLate()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.reader.readuntil(b"ABC\r\n")
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")
        await peer.rest()

    async def run(request: Request) -> None:
        request.add_body_filter(lambda: made)

    gateway, _ = await proxied(script, extra=BIND, plugins=hook(run, records))
    client = await gateway.connect()
    await client.send(CHUNKED + b"3\r\nabc\r\n")
    assert (await client.head()).startswith(b"HTTP/1.1 200 ")
    await client.exactly(7)

    await client.send(b"3\r\ndef\r\n")

    assert await asyncio.wait_for(client.rest(), 30) == b""  # no end of the chunks
    await until(lambda: records and not counts(gateway))
    assert (records[0].reason, records[0].aborted) == ("plugin.failed", "gateway")
    assert [str(error) for error in made.closed] == ["boom"]


async def test_an_upstream_that_is_away_ends_the_filter(proxied: Proxied) -> None:
    made = Upper()

    async def away(peer: Peer) -> None:
        peer.reset_hard()

    gateway, _ = await proxied(away, extra=BIND, plugins=filters(lambda: made))

    assert (await gateway.ask(POST))[0] == 502

    await until(lambda: not counts(gateway) and (made.closed or not made.fed))
    assert len(made.closed) <= 1


async def test_a_filter_goes_on_over_a_reload(proxied: Proxied) -> None:
    made = Upper()
    gateway, upstream = await proxied(extra=BIND, plugins=filters(lambda: made))
    client = await gateway.connect()
    await client.send(CHUNKED + b"3\r\nabc\r\n")
    await until(lambda: made.fed)

    await gateway.reload((gateway.folder / "gateway.yaml").read_text().replace("plugins: [{name: p}]", ""))
    await client.send(b"3\r\ndef\r\n0\r\n\r\n")

    assert (await client.response())[0] == 200
    assert upstream.bodies[0].replace(b"\r\n", b"").startswith(b"3ABC3DEF")
    await until(lambda: not counts(gateway) and not len(gateway.proxy.holder.retirement))


async def test_a_body_over_the_limit_ends_its_filter(proxied: Proxied) -> None:
    made = Upper()
    gateway, _ = await proxied(extra=BIND + "\nlimits: {max_body_bytes: 5}", plugins=filters(lambda: made))
    client = await gateway.connect()
    await client.send(CHUNKED + b"3\r\nabc\r\n")
    await until(lambda: made.fed)

    await client.send(b"3\r\ndef\r\n")

    assert (await client.response())[0] == 413
    await until(lambda: made.closed and not counts(gateway))
    assert made.closed != [None]


async def test_a_head_request_with_a_body_goes_through_its_filters(proxied: Proxied) -> None:
    response = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
    gateway, upstream = await proxied(response, extra=BIND, plugins=filters(Upper))

    data = await gateway.send(POST.replace(b"POST", b"HEAD").replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))

    assert data.startswith(b"HTTP/1.1 200 ")
    assert b"ABC" in upstream.bodies[0].upper()
    assert upstream.bodies[0].upper() == upstream.bodies[0]
