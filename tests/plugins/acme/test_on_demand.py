from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from gateway_core.clock import SystemClock
from gateway_plugin_acme.config import OnDemandConfig, StorageConfig
from gateway_plugin_acme.on_demand import OnDemand
from gateway_plugin_acme.records import Records
from gateway_plugin_acme.storage import open_storage
from gateway_plugin_sdk.testing import ManualClock


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


async def on_demand(
    folder: Path, session: aiohttp.ClientSession, clock: ManualClock | None = None, **options: Any
) -> OnDemand:
    storage = open_storage(StorageConfig(directory=str(folder)), lambda: session, SystemClock().wall)
    await storage.start()
    config = OnDemandConfig.model_validate(options)
    records = Records(storage, None)
    return OnDemand(config, records, lambda: session, clock or ManualClock(), lambda: None, is_private=False)


async def allowed(source: OnDemand, name: str) -> bool:
    """Ask for a name, and give it a certificate if it may have one."""
    waiting = source.provide(name)
    if waiting is None:
        return False
    return await waited(source, name, waiting)


async def waited(source: OnDemand, name: str, waiting: Awaitable[bool]) -> bool:
    event = source._pending[name]
    source._on_allowed = lambda: source.serve(frozenset(source.names))
    result = await waiting
    assert event.is_set()
    return result


async def test_a_listed_name_is_waited_for_until_it_has_its_certificate(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    source = await on_demand(tmp_path, session, allow=["*.example.com"])

    assert await allowed(source, "a.example.com")
    assert source.provide("a.example.com") is None
    assert source.names == ("a.example.com",)
    await source.aclose()


@pytest.mark.parametrize(
    "name",
    ["a.example.org", "a.b.example.com", "*.example.com", "localhost", "192.0.2.1", "x" * 300, "a_/.example.com"],
)
async def test_other_names_get_nothing(tmp_path: Path, session: aiohttp.ClientSession, name: str) -> None:
    source = await on_demand(tmp_path, session, allow=["*.example.com", "*.com"])

    assert source.provide(name) is None
    await source.aclose()


async def test_names_are_bounded_over_all_time_and_by_the_minute(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    clock = ManualClock()
    source = await on_demand(tmp_path, session, clock, allow=["*.example.com"], most=3, per_minute=2)

    got = [await allowed(source, f"{each}.example.com") for each in "abc"]
    clock.advance(61)
    later = [await allowed(source, f"{each}.example.com") for each in "cd"]

    assert (got, later) == ([True, True, False], [True, False])
    await source.aclose()


async def test_gateways_that_take_the_last_place_together_stay_within_the_bound(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    sources = [await on_demand(tmp_path, session, allow=["*.example.com"], most=3) for _ in range(4)]

    await asyncio.gather(*(allowed(each, f"{number}.example.com") for number, each in enumerate(sources)))
    await sources[0].read()

    assert len(sources[0].names) <= 3
    assert len(list((tmp_path / "wanted").iterdir())) <= 3
    for each in sources:
        await each.aclose()


async def test_a_name_that_is_no_longer_listed_is_not_renewed(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    source = await on_demand(tmp_path, session, allow=["*.example.com", "*.example.org"])
    assert await allowed(source, "a.example.com")
    assert await allowed(source, "a.example.org")

    later = await on_demand(tmp_path, session, allow=["*.example.org"])
    await later.read()

    assert later.names == ("a.example.org",)
    await source.aclose()
    await later.aclose()


@contextlib.asynccontextmanager
async def serving(
    handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    """Serve connections by raw bytes, and end all of them, with their handlers, before the test ends."""
    handlers: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handlers.append(task)
        try:
            await handle(reader, writer)
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    for task in handlers:
        task.cancel()
    await asyncio.gather(*handlers, return_exceptions=True)


@pytest.mark.parametrize("behaviour", ["redirects", "never ends", "garbage", "no head"])
async def test_a_hostile_url_gets_no_name_in_and_ends_nothing(
    tmp_path: Path, session: aiohttp.ClientSession, behaviour: str
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if behaviour == "redirects":
            writer.write(b"HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n")
        elif behaviour == "never ends" and b"bad" in head:
            writer.write(b"HTTP/1.1 403 No\r\n")
            while not writer.is_closing():
                writer.write(b"X-Field: " + b"x" * 100_000 + b"\r\n")
                await writer.drain()
        elif behaviour == "garbage":
            writer.write(b"\x00\xff\r\n\r\n" * 10)
        writer.close()

    async with serving(serve) as url:
        source = await on_demand(tmp_path, session, ask=f"{url}/may")

        assert not await allowed(source, "bad.example.com")
        assert source.names == ()
        await source.aclose()


@pytest.mark.slow
async def test_a_url_that_takes_too_long_refuses(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    async def hold(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with serving(hold) as url:
        source = await on_demand(tmp_path, session, ask=f"{url}/may")

        assert not await allowed(source, "a.example.com")
        await source.aclose()


async def test_the_url_decides_and_a_refusal_is_remembered(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    asked: list[str] = []

    async def decide(request: web.Request) -> web.Response:
        asked.append(request.query["domain"])
        return web.Response(status=200 if request.query["domain"] == "good.example.com" else 404)

    app = web.Application()
    app.router.add_get("/may", decide)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    source = await on_demand(tmp_path, session, ask=f"http://127.0.0.1:{runner.addresses[0][1]}/may")

    assert await allowed(source, "good.example.com")
    assert not await allowed(source, "bad.example.com")
    assert source.provide("bad.example.com") is None
    assert asked == ["good.example.com", "bad.example.com"]
    await source.aclose()
    await runner.cleanup()


async def test_a_url_that_does_not_respond_refuses(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    source = await on_demand(tmp_path, session, ask="http://127.0.0.1:1/may")

    assert not await allowed(source, "a.example.com")
    assert source.names == ()
    await source.aclose()
