from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from random import Random
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from gateway_core.clock import SystemClock
from gateway_core.config import DocumentFormat
from gateway_core.config.source import SourceContext, SourceState
from gateway_core.config.sources import BUILT_IN, source_url
from gateway_core.config.sources.http_source import HttpSource, HttpSourceError, format_of


class Site:
    """A web server with one document, as a real one behaves: with entity tags, or without."""

    def __init__(self) -> None:
        self.text = "routes: []"
        self.status = 200
        self.content_type = "application/yaml"
        self.has_etag = True
        self.more: dict[str, str] = {}
        self.seen: list[web.Request] = []
        self.asked = asyncio.Event()
        self.port: int | None = None

    async def answer(self, request: web.Request) -> web.Response:
        self.seen.append(request)
        self.asked.set()
        if self.status != 200:
            return web.Response(status=self.status, headers=self.more)
        etag = f'"{hash(self.text)}"'
        if self.has_etag and request.headers.get("If-None-Match") == etag:
            return web.Response(status=304)
        headers = {**self.more, **({"ETag": etag} if self.has_etag else {})}
        return web.Response(body=self.text.encode(), content_type=self.content_type, headers=headers)

    async def is_asked_again(self, times: int = 1) -> None:
        for _ in range(times):
            self.asked.clear()
            await asyncio.wait_for(self.asked.wait(), 20)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    application = web.Application()
    application.router.add_get("/{name:.*}", site.answer)
    async with TestServer(application) as server:
        site.port = server.port
        yield site


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        yield session


def source(site: Site, session: aiohttp.ClientSession, rest: str = "g.yaml", user: str = "", **environ: str) -> Any:
    joiner = "&" if "?" in rest else "?"
    url = source_url(BUILT_IN["http"], f"http://{user}127.0.0.1:{site.port}/{rest}{joiner}interval=20ms")
    return HttpSource(url, SourceContext(SystemClock(), Random(1), environ, lambda: session)).documents()


async def following(states: AsyncGenerator[SourceState]) -> SourceState:
    return await asyncio.wait_for(anext(states), 20)


async def test_a_document_is_yielded_when_it_changed(site: Site, session: aiohttp.ClientSession) -> None:
    states = source(site, session)
    first = await following(states)
    assert [(each.name, each.text) for each in first.documents] == [
        (f"http://127.0.0.1:{site.port}/g.yaml", "routes: []")
    ]

    waiting = asyncio.ensure_future(following(states))  # noqa: TID251  # a test's own
    await site.is_asked_again(3)
    assert not waiting.done()
    assert site.seen[-1].headers["If-None-Match"]
    site.text = "routes: [{}]"

    assert (await waiting).documents[0].text == "routes: [{}]"
    await states.aclose()


async def test_without_entity_tags_the_text_decides(site: Site, session: aiohttp.ClientSession) -> None:
    site.has_etag = False
    site.more = {"Last-Modified": "Mon, 23 Nov 2026 00:00:00 GMT"}
    states = source(site, session)
    await following(states)

    waiting = asyncio.ensure_future(following(states))  # noqa: TID251  # a test's own
    await site.is_asked_again(2)
    assert not waiting.done()
    assert site.seen[-1].headers["If-Modified-Since"] == "Mon, 23 Nov 2026 00:00:00 GMT"
    site.text = "routes: [{}]"

    assert (await waiting).documents[0].text == "routes: [{}]"
    await states.aclose()


async def test_a_source_that_goes_away_is_stale_until_it_is_back(site: Site, session: aiohttp.ClientSession) -> None:
    states = source(site, session)
    first = await following(states)

    site.status = 503
    away = await following(states)
    assert (away.documents, away.is_stale, away.reason) == (
        first.documents,
        True,
        "it responds 503 Service Unavailable",
    )
    site.status = 200

    while (back := await following(states)).is_stale:
        pass
    assert back == first
    await states.aclose()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"status": 404}, "it responds 404 Not Found"),
        ({"status": 302, "more": {"Location": "/other"}}, "it responds 302, which is not followed"),
        ({"text": "x" * 2000}, "larger than 1024 bytes: raise max_size"),
        ({"more": {"Content-Encoding": "br"}}, "encoded as 'br', unasked"),
    ],
)
async def test_an_answer_that_is_no_document_fails(
    site: Site, session: aiohttp.ClientSession, change: dict[str, Any], said: str
) -> None:
    for name, value in change.items():
        setattr(site, name, value)

    with pytest.raises(HttpSourceError, match=said):
        await following(source(site, session, "g.yaml?max_size=1KiB"))


async def test_text_that_is_not_utf_8_fails(site: Site, session: aiohttp.ClientSession) -> None:
    async def latin(_request: web.Request) -> web.Response:
        return web.Response(body=b"a: \xe4")

    application = web.Application()
    application.router.add_get("/g.yaml", latin)
    async with TestServer(application) as server:
        site.port = server.port
        with pytest.raises(HttpSourceError, match="byte 3 of the response is not UTF-8"):
            await following(source(site, session))


async def test_options_stay_here_and_the_option_query_is_sent(site: Site, session: aiohttp.ClientSession) -> None:
    await following(source(site, session, "a%20b/g.yaml?timeout=3s&query=version%3D7%26a%3D%2520&max_size=1MiB"))

    assert site.seen[0].path_qs == "/a%20b/g.yaml?version=7&a=%20"


@pytest.mark.parametrize(
    ("user", "environ", "sent"),
    [
        ("me:w%40rd@", {}, "Basic bWU6d0ByZA=="),
        ("", {"GATEWAY_HTTP_TOKEN": "abc"}, "Bearer abc"),
        ("me:w%40rd@", {"GATEWAY_HTTP_TOKEN": "abc"}, "Basic bWU6d0ByZA=="),
        ("", {}, None),
    ],
)
async def test_credentials_come_from_the_url_or_the_environment(
    site: Site, session: aiohttp.ClientSession, user: str, environ: dict[str, str], sent: str | None
) -> None:
    await following(source(site, session, user=user, **environ))

    assert site.seen[0].headers.get("Authorization") == sent


@pytest.mark.parametrize(
    ("media_type", "name", "expected"),
    [
        ("application/json", "x", DocumentFormat.JSON),
        ("application/vnd.gateway+json", "x", DocumentFormat.JSON),
        ("application/toml", "x.json", DocumentFormat.TOML),
        ("application/x-yaml", "x.toml", DocumentFormat.YAML),
        ("text/plain", "http://h/x.toml", DocumentFormat.TOML),
        ("application/octet-stream", "http://h/x.json", DocumentFormat.JSON),
        ("text/plain", "http://h/x", DocumentFormat.YAML),
    ],
)
def test_media_type_before_ending_decides_the_format(media_type: str, name: str, expected: DocumentFormat) -> None:
    assert format_of(media_type, name) is expected


def test_certificates_that_cannot_be_read_are_refused() -> None:
    context = SourceContext(SystemClock(), Random(1), {}, aiohttp.ClientSession)

    with pytest.raises(ValueError, match="files of ca cannot be used"):
        HttpSource(source_url(BUILT_IN["http"], "https://h/g.yaml?ca=/nowhere.pem"), context)


@pytest.mark.parametrize(
    ("url", "is_allowed"),
    [
        ("http://127.0.0.1/g.yaml", True),
        ("http://127.7.7.7:8080/g.yaml", True),
        ("http://[::1]:8080/g.yaml", True),
        ("http://localhost/g.yaml", True),
        ("https://config.example.com/g.yaml", True),
        ("http://config.example.com/g.yaml?allow_http=true", True),
        ("http://config.example.com/g.yaml", False),
        ("http://10.0.0.1/g.yaml?allow_http=false", False),
        ("http://localhost.example.com/g.yaml", False),
    ],
)
def test_a_configuration_comes_unencrypted_only_from_this_machine_or_if_that_is_accepted(
    url: str, *, is_allowed: bool
) -> None:
    context = SourceContext(SystemClock(), Random(1), {}, aiohttp.ClientSession)

    if is_allowed:
        HttpSource(source_url(BUILT_IN["http"], url), context)
    else:
        with pytest.raises(ValueError, match="unencrypted: write https://, or add"):
            HttpSource(source_url(BUILT_IN["http"], url), context)


def test_a_misspelt_acceptance_is_refused() -> None:
    context = SourceContext(SystemClock(), Random(1), {}, aiohttp.ClientSession)

    with pytest.raises(ValueError, match='option allow_http: "maybe"'):
        HttpSource(source_url(BUILT_IN["http"], "http://h/x?allow_http=maybe"), context)
