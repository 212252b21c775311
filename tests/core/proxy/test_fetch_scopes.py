"""Which configuration says what the name of an upstream means that a plugin fetches from."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Request, Response
from gateway_core.tasks import spawn

from tests.core.proxy.kit import StartProxy, StartUpstream
from tests.core.proxy.test_fetches import SHORT, config


async def test_start_fetches_from_the_configuration_that_is_being_prepared(
    start_upstream: StartUpstream, start_proxy: StartProxy
) -> None:
    seen: list[bytes] = []

    class Starting(Plugin[Any]):
        name = "fetching"

        async def start(self) -> None:
            async with self.upstreams.fetch("other") as fetched:
                seen.append(await fetched.read())

    first, second = await start_upstream(), await start_upstream(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew")
    gateway = await start_proxy(config(first.url, first.url), plugins=[Starting])
    await gateway.reload(config(first.url, second.url, binding=", id: another"))

    assert seen == [b"ok", b"new"]


async def test_a_hook_fetches_from_its_own_snapshot_and_background_work_from_the_active_one(
    start_upstream: StartUpstream, start_proxy: StartProxy
) -> None:
    reloaded, waiting, spawned = asyncio.Event(), asyncio.Event(), asyncio.Event()
    background: list[bytes] = []

    class Late(Plugin[Any]):
        name = "fetching"

        @hookimpl
        async def gateway_pre_proxy(self, request: Request) -> Response:
            self.spawn(self.work())
            waiting.set()
            await reloaded.wait()
            async with self.upstreams.fetch("other") as fetched:
                return Response(200, await fetched.read())

        async def work(self) -> None:
            await reloaded.wait()
            async with self.upstreams.fetch("other") as fetched:
                background.append(await fetched.read())
            spawned.set()

    first, second = await start_upstream(), await start_upstream(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew")
    gateway = await start_proxy(config(first.url, first.url), plugins=[Late])
    asking = spawn(gateway.ask(SHORT), name="a client")
    await asyncio.wait_for(waiting.wait(), 30)
    await gateway.reload(config(first.url, second.url))
    reloaded.set()

    assert (await asking)[2] == b"ok"
    await asyncio.wait_for(spawned.wait(), 30)
    assert background == [b"new"]
