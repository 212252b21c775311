"""One context for all hooks of an exchange, and no other."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any

import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Record, Request, Response

from tests.core.proxy.kit import Proxied, until

USER: ContextVar[str] = ContextVar("user", default="nobody")
GET = b"GET /%b HTTP/1.1\r\nHost: x\r\nX-User: %b\r\n\r\n"

seen: list[tuple[str, str]] = []


class Remembers(Plugin[Any]):
    """Keeps the user in a context variable, set by a plain hook."""

    name = "p"

    @hookimpl
    def gateway_request(self, request: Request) -> None:
        seen.append(("request", USER.get()))
        if user := request.headers.get("x-user"):
            USER.set(user)

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> None:
        seen.append(("pre-proxy", USER.get()))

    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> None:
        seen.append(("response", USER.get()))

    @hookimpl
    def gateway_log(self, request: Request, response: Response, record: Record) -> None:
        seen.append(("log", USER.get()))


class RemembersAwaited(Plugin[Any]):
    """The same with hooks that are awaited."""

    name = "p"

    @hookimpl
    async def gateway_request(self, request: Request) -> None:
        seen.append(("request", USER.get()))
        await asyncio.sleep(0)
        if user := request.headers.get("x-user"):
            USER.set(user)

    @hookimpl
    async def gateway_pre_proxy(self, request: Request) -> None:
        await asyncio.sleep(0)
        seen.append(("pre-proxy", USER.get()))

    @hookimpl
    async def gateway_response(self, request: Request, response: Response) -> None:
        await asyncio.sleep(0)
        seen.append(("response", USER.get()))

    @hookimpl
    async def gateway_log(self, request: Request, response: Response, record: Record) -> None:
        await asyncio.sleep(0)
        seen.append(("log", USER.get()))


@pytest.mark.parametrize("plugin", [Remembers, RemembersAwaited])
async def test_all_hooks_of_an_exchange_see_what_an_earlier_one_set(
    proxied: Proxied, plugin: type[Plugin[Any]]
) -> None:
    gateway, _ = await proxied(extra="plugins: [{name: p}]", plugins=[plugin])
    seen.clear()

    assert (await gateway.ask(GET % (b"a", b"alice")))[0] == 200

    await until(lambda: len(seen) == 4)
    assert seen == [("request", "nobody"), ("pre-proxy", "alice"), ("response", "alice"), ("log", "alice")]


@pytest.mark.parametrize("plugin", [Remembers, RemembersAwaited])
async def test_no_other_exchange_sees_it_on_this_connection_or_over_the_same_upstream_connection(
    proxied: Proxied, plugin: type[Plugin[Any]]
) -> None:
    gateway, upstream = await proxied(extra="plugins: [{name: p}]", plugins=[plugin])
    alice, bob = await gateway.connect(), await gateway.connect()

    await alice.send(GET % (b"a", b"alice"))
    await alice.response()
    await until(lambda: ("log", "alice") in seen)
    seen.clear()
    await alice.send(GET % (b"b", b""))
    await alice.response()
    await bob.send(GET % (b"c", b""))
    await bob.response()
    await until(lambda: len(seen) == 8)

    assert upstream.connections == 1
    assert {user for _, user in seen} == {"nobody"}


async def test_a_hook_that_never_returns_ends_with_its_client(proxied: Proxied) -> None:
    cancelled = asyncio.Event()
    begun = asyncio.Event()

    class Waits(Plugin[Any]):
        name = "p"

        @hookimpl
        async def gateway_pre_proxy(self, request: Request) -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

    gateway, _ = await proxied(extra="plugins: [{name: p}]", plugins=[Waits])
    client = await gateway.connect()
    await client.send(GET % (b"a", b"x"))
    await begun.wait()

    client.reset()

    await asyncio.wait_for(cancelled.wait(), 30)
    await until(lambda: not gateway.proxy.in_flight)
