"""What is recorded of requests that are over, and what is left of them, on routes that are transparent and others."""

from __future__ import annotations

import pytest

from tests.core.proxy.kit import Peer, Proxied, counts, until

GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"


@pytest.mark.parametrize(("extra", "is_transparent"), [("", True), ("    timeouts: {total: 60s}", False)])
async def test_a_request_is_counted_once_and_leaves_nothing_whether_or_not_its_route_is_transparent(
    proxied: Proxied, extra: str, is_transparent: bool
) -> None:
    async def serve(peer: Peer) -> None:
        while head := await peer.head():
            if head.startswith(b"POST"):
                await peer.exactly(3)
            status = b"404 Not Found" if b"/missing" in head else b"200 OK"
            await peer.send(b"HTTP/1.1 %b\r\nContent-Length: 2\r\n\r\nok" % status)

    gateway, _ = await proxied(serve, upstream_extra=extra)
    (route,) = gateway.proxy.holder.current.routes.values()
    client = await gateway.connect()

    for request in (GET, GET, GET, POST, GET.replace(b"/a", b"/missing")):
        await client.send(request)
        await client.response()

    assert route.is_transparent is is_transparent
    await until(lambda: not counts(gateway))
    assert not gateway.proxy.exchanges
    assert gateway.proxy.holder.current.active == 0
    assert sorted(route.counts.requests()) == [("200", "upstream", 4), ("404", "upstream", 1)]
    assert (route.counts.bytes_in, route.counts.bytes_out) == (3, 10)
