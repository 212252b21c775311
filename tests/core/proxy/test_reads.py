"""Reads of whole bodies by hooks: how much they return, and who may read."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from gateway_core.errors import BodyTooLargeError
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import BodyFilter, Request, Response

from tests.core.proxy.bodies import BIND, GET, WHOLE, Noted, hook
from tests.core.proxy.kit import Peer, Proxied, turns

POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabcdef"


class Resizes(BodyFilter):
    def __init__(self, times: float) -> None:
        self._times = times

    def feed(self, data: bytes) -> bytes:
        return bytes(int(len(data) * self._times))


@pytest.mark.parametrize(
    ("times", "limit", "result"), [(0.5, 3, b"3"), (0.5, 2, b"large"), (2, 12, b"12"), (2, 11, b"large")]
)
@pytest.mark.parametrize("side", ["request", "response"])
async def test_a_limit_bounds_what_a_read_returns(
    proxied: Proxied, side: str, times: float, limit: int, result: bytes
) -> None:
    async def read(message: Request | Response) -> Response:
        message.add_body_filter(lambda: Resizes(times))
        try:
            return Response(200, b"%d" % len(await message.read(limit)))
        except BodyTooLargeError:
            return Response(200, b"large")

    class Reads(Plugin[Any]):
        name = "p"

        @hookimpl
        async def gateway_pre_proxy(self, request: Request) -> Response | None:
            return await read(request) if side == "request" else None

        @hookimpl
        async def gateway_response(self, response: Response) -> Response | None:
            return await read(response) if side == "response" else None

    gateway, _ = await proxied(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabcdef", BIND, plugins=[Reads])

    assert (await gateway.ask(POST))[2] == result


async def read_once(request: Request) -> Response:
    return Response(200, await request.read())


async def read_at_once(request: Request) -> Response:
    first, second = await asyncio.gather(request.read(), request.read())
    return Response(200, first if first == second else b"")


WAYS: dict[str, Callable[[Request], Awaitable[Response]]] = {
    "a coroutine": read_once,
    "a task": lambda request: asyncio.ensure_future(read_once(request)),  # noqa: TID251 - as a plugin may do
    "two tasks": read_at_once,
}


@pytest.mark.parametrize("with_filter", [False, True])
@pytest.mark.parametrize("way", WAYS)
async def test_whatever_a_plain_hook_returns_may_read(proxied: Proxied, way: str, with_filter: bool) -> None:
    class Reads(Plugin[Any]):
        name = "p"

        @hookimpl
        def gateway_pre_proxy(self, request: Request) -> Awaitable[Response]:
            if with_filter:
                request.add_body_filter(Noted)
            return WAYS[way](request)

    gateway, _ = await proxied(extra=BIND, plugins=[Reads])
    client = await gateway.connect()
    await client.send(POST[:-3])
    await turns()
    await client.send(POST[-3:])

    assert (await client.response())[2] == b"abcdef"


async def test_tasks_that_read_a_response_at_the_same_time_get_the_same(proxied: Proxied) -> None:
    gate = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(WHOLE[:-3])
        await gate.wait()
        await peer.send(WHOLE[-3:])
        await peer.rest()

    async def run(response: Response) -> Response:
        reading = asyncio.gather(response.read(), response.read())
        await asyncio.sleep(0)
        gate.set()
        return Response(200, b" ".join(await reading))

    gateway, _ = await proxied(script, extra=BIND, plugins=hook(run))

    assert (await gateway.ask(GET))[2] == b"abcdef abcdef"


async def test_a_filter_that_reads_its_own_body_fails(proxied: Proxied) -> None:
    class Filters(Plugin[Any]):
        name = "p"

        @hookimpl
        async def gateway_pre_proxy(self, request: Request) -> None:
            class Reads(BodyFilter):
                async def feed(self, data: bytes) -> bytes:
                    return await request.read()

            request.add_body_filter(Reads)
            with pytest.raises(RuntimeError, match="a body filter cannot read the body that passes through it"):
                await request.read()
            request.set_body(b"other")

    gateway, upstream = await proxied(extra=BIND, plugins=[Filters])

    assert (await gateway.ask(POST))[0] == 200
    assert upstream.bodies == [b"other"]


class ReadsNow(Plugin[Any]):
    name = "p"

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> Awaitable[Response] | Response | None:
        if request.path == "/filtered":
            request.add_body_filter(Noted)
        data = request.read_nowait(5 if request.path == "/limited" else 6)
        if data is None:
            return read_once(request)
        return None if request.path == "/passed" else Response(200, b"now " + data)


CHUNKS = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("request_bytes", "status", "body"),
    [
        (POST, 200, b"now abcdef"),
        (CHUNKS, 200, b"now abcdef"),
        (GET, 200, b"now "),
        (POST.replace(b"/ ", b"/filtered "), 200, b"abcdef"),
        (POST.replace(b"/ ", b"/limited "), 413, None),
    ],
    ids=["length", "chunks", "none", "filtered", "limited"],
)
async def test_a_body_that_is_there_is_read_without_waiting(
    proxied: Proxied, request_bytes: bytes, status: int, body: bytes | None
) -> None:
    gateway, _ = await proxied(extra=BIND, plugins=[ReadsNow])

    found = await gateway.ask(request_bytes)

    assert found[0] == status
    assert body is None or found[2] == body


async def test_a_body_that_was_read_without_waiting_goes_upstream(proxied: Proxied) -> None:
    gateway, upstream = await proxied(extra=BIND, plugins=[ReadsNow])

    assert (await gateway.ask(POST.replace(b"/ ", b"/passed ")))[0] == 200
    assert upstream.bodies == [b"abcdef"]


async def test_a_body_that_is_not_complete_has_to_be_awaited(proxied: Proxied) -> None:
    gateway, _ = await proxied(extra=BIND, plugins=[ReadsNow])
    client = await gateway.connect()
    await client.send(POST[:-3])
    await turns()
    await client.send(POST[-3:])

    assert (await client.response())[2] == b"abcdef"
