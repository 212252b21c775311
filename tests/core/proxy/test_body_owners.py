"""A body's failure counts for the hook that made it or its filter, wherever that was and whichever hook reads it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import pytest
from gateway_core.hooks import Plugin, hookimpl_blocking
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import BodyFilter, Record, Request, Response

from tests.core.proxy.kit import Proxied, RunningProxy, counts, until

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
BINDINGS = "plugins: [{name: reader}, {name: owner}]"  # response hooks run in reverse: the owner's, then the reader's
records: list[Record] = []


@pytest.fixture(autouse=True)
def nothing_left() -> None:
    records.clear()


class Failing(BodyFilter):
    def feed(self, data: bytes) -> bytes:
        raise ValueError("boom")


async def numbers() -> AsyncIterator[bytes]:
    yield b"1"
    raise ValueError("boom")


class Reader(Plugin[Any]):
    name = "reader"
    seen: ClassVar[list[str]] = []

    @hookimpl
    async def gateway_response(self, response: Response) -> None:
        try:
            await response.read()
        except ValueError as error:
            self.seen.append(str(error))
            raise

    @hookimpl
    def gateway_log(self, record: Record) -> None:
        records.append(record)


class Watching(Plugin[Any]):
    name = "reader"

    @hookimpl
    async def gateway_response(self, response: Response) -> None:
        await asyncio.sleep(0)  # is the last hook that is awaited before the filter runs

    @hookimpl
    def gateway_log(self, record: Record) -> None:
        records.append(record)


class Plain(Plugin[Any]):
    name = "owner"

    @hookimpl
    def gateway_response(self, response: Response) -> None:
        response.add_body_filter(Failing)


class Awaited(Plugin[Any]):
    name = "owner"

    @hookimpl
    async def gateway_response(self, response: Response) -> None:
        await asyncio.sleep(0)
        response.add_body_filter(Failing)


class InATask(Plugin[Any]):
    name = "owner"

    @hookimpl
    async def gateway_response(self, response: Response) -> None:
        async def add() -> None:
            response.add_body_filter(Failing)

        await asyncio.gather(add())


class InAThread(Plugin[Any]):
    name = "owner"

    @hookimpl_blocking
    def gateway_response(self, response: Response) -> None:
        response.add_body_filter(Failing)


class IteratorInATask(Plugin[Any]):
    name = "owner"

    @hookimpl
    async def gateway_response(self, response: Response) -> None:
        async def replace() -> None:
            response.body = numbers()

        await asyncio.gather(replace())


OWNERS = [Plain, Awaited, InATask, InAThread, IteratorInATask]


def failures(gateway: RunningProxy) -> dict[str, int]:
    return {each.id: each.faults.count for each in gateway.proxy.holder.current.global_chain.bindings}


@pytest.mark.parametrize("owner", OWNERS)
@pytest.mark.parametrize("on_error", ["deny", "continue"])
async def test_a_hook_that_reads_anothers_body_is_not_to_blame_for_it(
    proxied: Proxied, owner: type[Plugin[Any]], on_error: str
) -> None:
    Reader.seen.clear()
    bindings = f"plugins: [{{name: reader, on_error: {on_error}}}, {{name: owner}}]"
    gateway, _ = await proxied(extra=bindings, plugins=[Reader, owner])

    status, _, body = await gateway.ask(GET)

    await until(lambda: records and not counts(gateway))
    assert (status, Reader.seen) == (500, ["boom"])
    assert b"boom" not in body
    assert failures(gateway) == {"reader": 0, "owner": 1}
    assert records[0].reason == "plugin.failed"


@pytest.mark.parametrize("owner", OWNERS)
async def test_a_body_that_fails_later_counts_for_the_hook_that_made_it(
    proxied: Proxied, owner: type[Plugin[Any]]
) -> None:
    gateway, _ = await proxied(extra=BINDINGS, plugins=[Watching, owner])

    await gateway.send(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))

    await until(lambda: records and not counts(gateway))
    assert failures(gateway) == {"reader": 0, "owner": 1}


@pytest.mark.parametrize("reads", [False, True])
async def test_a_filter_of_a_request_that_a_thread_added_counts_for_its_binding(proxied: Proxied, reads: bool) -> None:
    class Owner(Plugin[Any]):
        name = "owner"

        @hookimpl_blocking
        def gateway_pre_proxy(self, request: Request) -> None:
            request.add_body_filter(Failing)

    class Behind(Plugin[Any]):
        name = "reader"

        @hookimpl
        async def gateway_pre_proxy(self, request: Request) -> None:
            if reads:
                await request.read()

        @hookimpl
        def gateway_log(self, record: Record) -> None:
            records.append(record)

    gateway, _ = await proxied(extra="plugins: [{name: owner}, {name: reader}]", plugins=[Owner, Behind])

    assert (await gateway.ask(POST))[0] == 500

    await until(lambda: records and not counts(gateway))
    assert failures(gateway) == {"reader": 0, "owner": 1}


async def test_what_a_spawned_task_makes_is_no_hooks(proxied: Proxied) -> None:
    """Background work belongs to no request: its failure is reported as a task's."""
    found: list[object] = []

    class Spawning(Plugin[Any]):
        name = "owner"

        @hookimpl
        async def gateway_pre_proxy(self) -> None:
            async def later() -> None:
                found.append(Response(200, numbers()).body_owner)

            await self.spawn(later())

    gateway, _ = await proxied(extra="plugins: [{name: owner}]", plugins=[Spawning])

    assert (await gateway.ask(GET))[0] == 200
    assert found == [None]
