"""Requests that outlive their clients, over sockets."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Record, Request, Response
from gateway_core.tasks import spawn

from tests.core.proxy.kit import Peer, Proxied, StartProxy, StartUpstream, counts, field, turns, unfinished, until

POST = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
PART = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nx"
BIND = "plugins: [{name: p}, {name: inner}]"
user: ContextVar[str] = ContextVar("user", default="")
records: list[tuple[Request, Record]] = []
copies: list[Request] = []


class Inner(Plugin[Any]):
    name = "inner"

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> None:
        request.headers["X-Inner"] = user.get() or "none"

    @hookimpl
    def gateway_log(self, request: Request, record: Record) -> None:
        records.append((request, record))


class Detaching(Plugin[Any]):
    """Responds at once, and leaves a detached copy."""

    name = "p"

    @hookimpl
    async def gateway_pre_proxy(self, request: Request) -> Response:
        user.set("ann")
        await request.read()
        copies.append(request.detach())
        return Response(202)


@pytest.fixture(autouse=True)
def nothing_left() -> None:
    records.clear()
    copies.clear()


async def test_a_copy_goes_upstream_when_its_client_has_left(proxied: Proxied) -> None:
    gateway, upstream = await proxied(extra=BIND, plugins=[Detaching, Inner])
    client = await gateway.connect()
    await client.send(POST)
    assert (await client.response())[0] == 202
    client.reset()

    response = await copies[0].forward()

    assert (response.status, await response.read()) == (200, b"ok")
    assert upstream.bodies == [b"abc"]
    assert field(upstream.heads[0], b"x-inner") == b"none"  # a context of its own
    await until(lambda: len(records) == 2 and not counts(gateway))
    request, record = records[1]
    assert request is copies[0]
    assert (record.upstream, record.bytes_received, record.bytes_sent, record.reason) == ("u", 3, 2, None)


async def test_it_may_be_forwarded_once(proxied: Proxied) -> None:
    gateway, _ = await proxied(extra=BIND, plugins=[Detaching, Inner])
    await gateway.ask(POST)
    await (await copies[0].forward()).read()

    with pytest.raises(RuntimeError, match="once"):
        await copies[0].forward()


@pytest.mark.parametrize("ends", ["read", "dropped"])
async def test_its_log_record_is_written_when_its_response_was_read_or_closed(proxied: Proxied, ends: str) -> None:
    gateway, _ = await proxied(extra=BIND, plugins=[Detaching, Inner])
    await gateway.ask(POST)
    await until(lambda: len(records) == 1)
    response = await copies[0].forward()
    await turns(50)
    assert len(records) == 1

    if ends == "read":
        await response.read()
    del response

    await until(lambda: len(records) == 2 and not counts(gateway))


async def test_one_that_is_dropped_unsent_keeps_no_snapshot_without_the_collector(proxied: Proxied) -> None:
    gateway, _ = await proxied(extra=BIND, plugins=[Detaching, Inner])
    await gateway.ask(POST)
    await until(lambda: counts(gateway) == {"requests of the snapshot": 1})
    gc.collect()  # what is left of the client's request
    gc.disable()
    try:
        copies.clear()
        records.clear()

        assert counts(gateway) == {}
    finally:
        gc.enable()


async def test_one_whose_response_is_dropped_is_closed(proxied: Proxied) -> None:
    script = unfinished(PART, asyncio.Event(), closed := asyncio.Event())

    gateway, _ = await proxied(script, extra=BIND, plugins=[Detaching, Inner])
    await gateway.ask(POST)
    response = await copies[0].forward()
    assert response.status == 200
    gc.disable()
    try:
        del response
        await asyncio.wait_for(closed.wait(), 30)
    finally:
        gc.enable()

    await until(lambda: not counts(gateway))


async def test_an_upstream_that_is_away_is_the_gateways_response(proxied: Proxied) -> None:
    async def script(peer: Peer) -> None:
        peer.close()

    gateway, _ = await proxied(script, extra=BIND, plugins=[Detaching, Inner])
    await gateway.ask(POST)

    response = await copies[0].forward()

    assert (response.status, response.failure) == (502, "upstream.reset")
    await until(lambda: len(records) == 2)
    assert records[1][1].reason == "upstream.reset"
    assert counts(gateway) == {}


async def test_abort_ends_it(proxied: Proxied) -> None:
    script = unfinished(b"", reached := asyncio.Event(), closed := asyncio.Event())

    gateway, _ = await proxied(script, extra=BIND, plugins=[Detaching, Inner])
    await gateway.ask(POST)
    forwarding = spawn(copies[0].forward(), name="forward", on_error=lambda _: None)
    await asyncio.wait_for(reached.wait(), 30)
    copies[0].abort("not.needed")

    with pytest.raises(asyncio.CancelledError):
        await forwarding
    await asyncio.wait_for(closed.wait(), 30)
    await until(lambda: len(records) == 2)
    assert (records[1][1].aborted, records[1][1].reason) == ("gateway", "not.needed")
    assert counts(gateway) == {}


async def test_it_stays_on_its_snapshot_over_a_reload(start_upstream: StartUpstream, start_proxy: StartProxy) -> None:
    old, new = await start_upstream(), await start_upstream(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew")

    def config(target: str) -> str:
        return f"routes: [{{id: r, path_prefix: /, target: '{target}', {BIND}}}]"

    gateway = await start_proxy(config(old.url), plugins=[Detaching, Inner])
    await gateway.ask(POST)
    before = gateway.proxy.holder.current
    await gateway.reload(config(new.url))
    response = await copies[0].forward()
    assert before.active == 1

    assert await response.read() == b"ok"
    await until(lambda: before.active == 0)


async def test_draining_waits_for_it(proxied: Proxied) -> None:
    goes_on: asyncio.Event = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await goes_on.wait()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    gateway, upstream = await proxied(script, extra=BIND, plugins=[Detaching, Inner])
    await gateway.ask(POST)
    forwarding = spawn(copies[0].forward(), name="forward")
    await until(lambda: upstream.connections)
    draining = spawn(gateway.proxy.drain(30), name="drain")
    await until(lambda: not gateway.proxy.keeps_alive)
    assert gateway.proxy.in_flight == 1
    goes_on.set()

    assert await (await forwarding).read() == b"ok"
    await asyncio.wait_for(draining, 20)


def failing(ask: Callable[[Request], None]) -> type[Plugin[Any]]:
    class Asking(Plugin[Any]):
        name = "p"

        @hookimpl
        def gateway_pre_proxy(self, request: Request) -> Response:
            ask(request)
            return Response(299)

    return Asking


async def test_a_body_that_was_not_read_cannot_be_detached(proxied: Proxied) -> None:
    def ask(request: Request) -> None:
        with pytest.raises(RuntimeError, match="read"):
            request.detach()

    gateway, _ = await proxied(extra="plugins: [{name: p}]", plugins=[failing(ask)])

    assert (await gateway.ask(POST))[0] == 299


async def test_a_plain_hook_may_detach_what_has_no_body(proxied: Proxied) -> None:
    def ask(request: Request) -> None:
        copies.append(request.detach())

    gateway, upstream = await proxied(extra=BIND, plugins=[failing(ask), Inner])
    await gateway.ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")

    assert await (await copies[0].forward()).read() == b"ok"
    assert field(upstream.heads[0], b"x-inner") == b"none"


@pytest.mark.parametrize("asks", ["forward", "detach"])
async def test_in_shadow_mode_the_hook_ends_silently(proxied: Proxied, asks: str) -> None:
    class Shadow(Plugin[Any]):
        name = "p"

        @hookimpl
        async def gateway_pre_proxy(self, request: Request) -> Response:
            if asks == "detach":
                request.detach()
            await request.forward()
            return Response(500)

    gateway, upstream = await proxied(extra="plugins: [{name: p, mode: shadow}]", plugins=[Shadow])

    assert (await gateway.ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"))[0] == 200
    assert len(upstream.heads) == 1
