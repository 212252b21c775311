"""Whatever hooks leave behind in requests and answers, both sides get messages that have one reading."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Request, Response
from gateway_core.plugins import Plugin

from tests.core.proxy.kit import Proxied, field, fields

GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
BIND = "plugins: [{name: p}]"


class Base(Plugin[Any]):
    name = "p"


class Lengthens(Base):
    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> None:
        response.headers["Cache-Control"] = "max-age=60"


async def test_a_value_made_longer_does_not_become_part_of_the_length(proxied: Proxied) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nCache-Control: max-age=6\r\n\r\nhello"
    gateway, _ = await proxied(answer, extra=BIND, plugins=[Lengthens])
    client = await gateway.connect()

    for _ in range(2):
        await client.send(GET)
        _, head, body = await asyncio.wait_for(client.answer(), 5)
        assert fields(head, b"content-length") == [b"5"]
        assert fields(head, b"cache-control") == [b"max-age=60"]
        assert body == b"hello"


class SetsHost(Base):
    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> None:
        request.headers["Host"] = "xy"


async def test_a_host_made_longer_does_not_become_part_of_another_field(proxied: Proxied) -> None:
    gateway, upstream = await proxied(extra=BIND, plugins=[SetsHost])

    assert (await gateway.ask(b"GET / HTTP/1.1\r\nX-A: 1\r\nHost: x\r\n\r\n"))[0] == 200

    assert (fields(upstream.heads[0], b"host"), fields(upstream.heads[0], b"x-a")) == ([b"xy"], [b"1"])


class AsksHead(Base):
    @hookimpl
    def gateway_request(self, request: Request) -> None:
        if request.path == "/a":
            request.method = "HEAD"


async def test_a_get_that_goes_on_as_head_is_answered_without_a_body_and_goes_on(proxied: Proxied) -> None:
    gateway, upstream = await proxied(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", extra=BIND, plugins=[AsksHead])
    client = await gateway.connect()

    for _ in range(3):
        await client.send(GET)
        status, head, body = await asyncio.wait_for(client.answer(), 5)
        assert (status, field(head, b"content-length"), body) == (200, b"0", b"")
    assert upstream.connections == 1
    assert upstream.heads[0].startswith(b"HEAD /a ")


class AsksGet(Base):
    @hookimpl
    def gateway_request(self, request: Request) -> None:
        request.method = "GET"


async def test_a_head_that_goes_on_as_get_is_answered_without_a_body(proxied: Proxied) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
    gateway, upstream = await proxied(answer, extra=BIND, plugins=[AsksGet])
    client = await gateway.connect()

    await client.send(GET.replace(b"GET", b"HEAD") + GET)

    assert field(await client.head(), b"content-length") == b"5"
    assert (await asyncio.wait_for(client.answer(), 5))[2] == b"hello"
    assert upstream.connections == 1
