"""Whatever hooks leave behind in requests and answers, both sides get messages that have one reading."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Request, Response
from gateway_core.plugins import Plugin

from tests.core.proxy.kit import Proxied, fields

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
