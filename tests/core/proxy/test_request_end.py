"""What is recorded of requests that are over, and what is left of them, on routes that are transparent and others."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Record, Request, Response
from gateway_core.proxy.attempt import Attempt
from gateway_core.proxy.exchange import Exchange
from gateway_core.proxy.request_body import RequestBody

from tests.core.proxy.bodies import BIND
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


OF_A_REQUEST = (Attempt, Exchange, Request, RequestBody)


class LetsPass(Plugin[Any]):
    """Sees requests before they are sent."""

    name = "p"

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> None:
        """Look at the fields."""
        request.headers.get("accept")


class LetsPassAndLogs(LetsPass):
    """Sees them at their end as well."""

    @hookimpl
    def gateway_log(self, request: Request, response: Response, record: Record) -> None:
        """Do nothing."""


@pytest.mark.parametrize("plugins", [[], [LetsPass], [LetsPassAndLogs]])
async def test_a_request_that_has_ended_is_freed_without_the_garbage_collector(
    proxied: Proxied, plugins: list[type[Plugin[Any]]]
) -> None:
    async def serve(peer: Peer) -> None:
        while head := await peer.head():
            if head.startswith(b"POST"):
                await peer.exactly(3)
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    gateway, _ = await proxied(serve, extra=BIND if plugins else "", plugins=plugins)
    (route,) = gateway.proxy.holder.current.routes.values()
    client = await gateway.connect()
    gc.collect()
    gc.freeze()  # what is there already is not looked through
    gc.disable()
    try:
        for request in (GET, POST, POST):
            await client.send(request)
            await client.response()

        await until(lambda: not counts(gateway))
        await until(lambda: not [each for each in gc.get_objects() if isinstance(each, OF_A_REQUEST)])
    finally:
        gc.unfreeze()
        gc.enable()
    assert (route.counts.bytes_in, route.counts.bytes_out) == (6, 6)
