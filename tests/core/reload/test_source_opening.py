from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from random import Random

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from gateway_core.clock import SystemClock
from gateway_core.config.sources import SourceContext, SourceUrl
from gateway_core.reload.source_opening import Sessions, SourceError, fetch_documents, open_sources


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text="routes: []")

    application = web.Application()
    application.router.add_get("/g.yaml", answer)
    async with TestServer(application) as server:
        yield f"http://127.0.0.1:{server.port}/g.yaml"


async def test_documents_are_fetched_once(url: str) -> None:
    documents = await asyncio.to_thread(fetch_documents, [SourceUrl.parse(url)])

    assert [(document.name, document.text) for document in documents] == [(url, "routes: []")]


def test_nothing_is_fetched_from_nowhere() -> None:
    assert fetch_documents([]) == []


async def test_a_source_that_refuses_is_named_without_its_password(url: str) -> None:
    parsed = SourceUrl.parse(url.replace("://", "://me:word@").replace("g.yaml", "other.yaml"))

    with pytest.raises(SourceError, match="it answers 404") as raised:
        await asyncio.to_thread(fetch_documents, [parsed])

    assert raised.value.source == str(parsed)
    assert "word" not in str(raised.value)


async def test_a_source_that_is_silent_is_not_waited_for_forever() -> None:
    async def swallow(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ended.wait()
        writer.close()

    ended = asyncio.Event()
    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    silent = SourceUrl.parse(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/g.yaml")

    with pytest.raises(SourceError, match=r"does not respond within 0\.2 seconds"):
        await asyncio.to_thread(fetch_documents, [silent], timeout=0.2)

    ended.set()
    server.close()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense://h/x", "'nonsense' is no source of configuration: known are http, https"),
        ("https://h/x?interval=5", "option interval: '5' is not a duration"),
        ("http://a,b/x", "needs exactly one host"),
    ],
)
async def test_a_url_that_cannot_work_is_refused(text: str, said: str) -> None:
    sessions = Sessions()
    context = SourceContext(SystemClock(), Random(1), {}, sessions.get)

    with pytest.raises(SourceError, match=said):
        await open_sources([SourceUrl.parse(text)], context)

    await sessions.aclose()
