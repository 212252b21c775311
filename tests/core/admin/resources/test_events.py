"""The stream of events over real sockets: what it begins with, who may have it, and how it ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest
from gateway_core.admin import Access, AdminListener, Place, Token
from gateway_core.admin.access import digest_of
from gateway_core.admin.resources import events
from gateway_core.observe.live_feed import MOST_STREAMS, LiveFeed
from gateway_core.process.listeners import open_site

from tests.core.admin.kit import listening
from tests.core.admin.test_listener import View
from tests.ports import free_port

CHANGES = "/api/v1/events?types=change"


class Stream:
    """One stream, read event by event."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def next(self) -> tuple[str, Any, str]:
        """Return name, data and id of the next event; a heartbeat has no name."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(30):
            while line := (await self.response.content.readline()).decode().rstrip("\n"):
                name, _, value = line.partition(": ")
                fields[name] = value
        return fields.get("event", ""), json.loads(fields.get("data", "null")), fields.get("id", "")


@pytest.fixture
async def view() -> View:
    return View()


@pytest.fixture
async def port(view: View) -> AsyncIterator[int]:
    async with listening(view) as number:
        yield number
    assert len(view.live) == 0


@pytest.fixture
async def session(port: int) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        yield session


@pytest.fixture
async def streams(session: aiohttp.ClientSession) -> AsyncIterator[AsyncExitStack]:
    """Ends the streams of a test, before its session."""
    async with AsyncExitStack() as stack:
        yield stack


async def opened(
    streams: AsyncExitStack, session: aiohttp.ClientSession, path: str = CHANGES, **headers: str
) -> Stream:
    response = await streams.enter_async_context(session.get(path, headers=headers))
    assert response.status == 200, await response.text()
    return Stream(response)


async def test_a_stream_begins_with_hello_and_has_what_happens(
    streams: AsyncExitStack, session: aiohttp.ClientSession, view: View
) -> None:
    stream = await opened(streams, session)

    name, data, identifier = await stream.next()
    assert (name, data["types"], bool(identifier)) == ("hello", ["change"], True)
    headers = stream.response.headers
    assert (headers["Content-Type"], headers["Cache-Control"]) == ("text/event-stream", "no-store")
    assert ("Server" in headers, "Content-Security-Policy" in headers) == (False, True)
    view.live.publish("change", {"n": 1})
    assert (await stream.next())[:2] == ("change", {"n": 1})


async def test_last_event_id_resumes(streams: AsyncExitStack, session: aiohttp.ClientSession, view: View) -> None:
    stream = await opened(streams, session)
    identifier = (await stream.next())[2]
    stream.response.close()
    view.live.publish("change", {"n": 1})

    stream = await opened(streams, session, **{"Last-Event-ID": identifier})

    assert [(await stream.next())[0], (await stream.next())[1]] == ["hello", {"n": 1}]
    stream = await opened(streams, session, **{"Last-Event-ID": "of-another-program"})
    assert [(await stream.next())[0], (await stream.next())[1]["reason"]] == ["hello", "restarted"]


async def test_a_heartbeat_has_the_position(
    streams: AsyncExitStack, session: aiohttp.ClientSession, view: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "HEARTBEAT", 0.0)
    stream = await opened(streams, session)
    await stream.next()

    name, _, identifier = await stream.next()
    assert (name, identifier) == ("", view.live.identifier(0))


async def test_every_stream_ends_with_the_gateway_and_with_its_listener(streams: AsyncExitStack, view: View) -> None:
    port = free_port()
    listener = AdminListener(open_site)
    await listener.open(Place(f"127.0.0.1:{port}"), view)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        first, second = await opened(streams, session), await opened(streams, session)
        for stream in (first, second):
            await stream.next()
        await listener.aclose()
        assert (await first.next())[:2] == ("end", {"reason": "listener-closed"})

        await listener.open(Place(f"127.0.0.1:{port}"), view)
        third = await opened(streams, session)
        await third.next()
        view.live.end("stopping")
        assert (await third.next())[:2] == ("end", {"reason": "stopping"})
        async with session.get(CHANGES) as refused:
            assert (refused.status, (await refused.json())["detail"]) == (503, "the gateway is stopping")
    await listener.aclose()
    assert len(view.live) == 0


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ([Token("ops", "viewer", digest_of("gwa_x"))], [], "token-revoked"),
        (
            [Token("ops", "viewer", digest_of("gwa_x"))],
            [Token("ops", "viewer", digest_of("gwa_x"), expires=1.0)],
            "token-expired",
        ),
        ([Token("ops", "viewer", digest_of("gwa_x"))], [Token("ops", "editor", digest_of("gwa_x"))], "rights-changed"),
    ],
)
async def test_a_stream_ends_with_the_rights_of_its_token(
    streams: AsyncExitStack,
    session: aiohttp.ClientSession,
    view: View,
    before: list[Token],
    after: list[Token],
    reason: str,
) -> None:
    view.let_in = Access(before)
    stream = await opened(streams, session, Authorization="Bearer gwa_x")
    await stream.next()

    view.let_in = Access(after, has_token_file=True)

    assert (await stream.next())[:2] == ("end", {"reason": reason})


async def test_a_stream_without_a_token_ends_when_there_is_one(
    streams: AsyncExitStack, session: aiohttp.ClientSession, view: View
) -> None:
    stream = await opened(streams, session)
    await stream.next()

    view.let_in = Access([Token("ops", "viewer", digest_of("gwa_x"))])

    assert (await stream.next())[:2] == ("end", {"reason": "unauthorized"})


async def test_what_is_no_query_of_events_is_refused(session: aiohttp.ClientSession) -> None:
    for query in ("types=traffic,x", "types=", "type=change", "types=change&types=change", "status=9xx", "client=x"):
        async with session.get(f"/api/v1/events?{query}") as response:
            assert response.status == 422, query
    async with session.head(CHANGES) as response:
        assert (response.status, response.headers["Content-Type"]) == (200, "text/event-stream")


async def test_streams_are_bounded_in_number(
    streams: AsyncExitStack, session: aiohttp.ClientSession, view: View
) -> None:
    view._live = LiveFeed(view.live._clock, most_streams=1)
    first = await opened(streams, session)
    await first.next()

    async with session.get(CHANGES) as response:
        assert (response.status, (await response.json())["code"]) == (503, "too-many-streams")
        assert response.headers["Retry-After"] == "10"
    assert MOST_STREAMS == 100


async def test_a_reader_that_takes_nothing_is_disconnected(
    port: int, view: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "WRITE_TIMEOUT", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.write(f"GET {CHANGES} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    await reader.readuntil(b"hello")
    filling = {"text": "x" * 100_000}

    async with asyncio.timeout(20):
        while len(view.live):
            view.live.publish("change", filling)
            await asyncio.sleep(0.01)

    writer.close()


@pytest.mark.parametrize("role", ["viewer", "operator", "editor"])
async def test_watching_requests_is_a_right_of_its_own(
    streams: AsyncExitStack, session: aiohttp.ClientSession, view: View, role: Any
) -> None:
    tokens = [Token("a", role, digest_of("gwa_a")), Token("b", "viewer", digest_of("gwa_b"), may_tail=True)]
    view.let_in = Access(tokens)

    for types in ("tail", "traffic,tail"):
        refused = await session.get(f"/api/v1/events?types={types}", headers={"Authorization": "Bearer gwa_a"})
        assert (refused.status, (await refused.json())["code"]) == (403, "forbidden")
    stream = await opened(streams, session, "/api/v1/events?types=tail&status=5xx", Authorization="Bearer gwa_b")
    assert (await stream.next())[0] == "hello"
    assert [each.status for each in view.live.filters] == ["5xx"]


async def test_a_tail_ends_when_its_right_is_taken_away(
    streams: AsyncExitStack, session: aiohttp.ClientSession, view: View
) -> None:
    view.let_in = Access([Token("a", "viewer", digest_of("gwa_a"), may_tail=True)])
    stream = await opened(streams, session, "/api/v1/events?types=tail", Authorization="Bearer gwa_a")
    await stream.next()

    view.let_in = Access([Token("a", "viewer", digest_of("gwa_a"))])

    assert (await stream.next())[:2] == ("end", {"reason": "rights-changed"})


async def test_anonymous_callers_watch_no_requests(session: aiohttp.ClientSession) -> None:
    async with session.get("/api/v1/events?types=tail") as refused:
        assert refused.status == 403
