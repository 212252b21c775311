"""What hooks know of the length of a body."""

from __future__ import annotations

from typing import Any

import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Request, Response

from tests.core.proxy.kit import Peer, Proxied

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    ("response", "length"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole", 5),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", None),
        (None, 7),
    ],
)
async def test_hooks_see_the_length_of_a_body_if_it_is_known(
    proxied: Proxied, response: bytes | None, length: int | None
) -> None:
    seen: list[int | None] = []

    class Looks(Plugin[Any]):
        name = "p"

        @hookimpl
        def gateway_pre_proxy(self, request: Request) -> Response | None:
            return None if response else Response(200, b"its own")

        @hookimpl
        def gateway_response(self, request: Request, response: Response) -> None:
            seen.append(response.content_length)
            if response.is_streamed:
                response.body = b"another"
                seen.append(response.content_length)

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(response or b"")

    gateway, _ = await proxied(script, extra="plugins: [{name: p}]", plugins=[Looks])
    await gateway.ask(GET)

    assert seen == ([length, 7] if response else [length])
