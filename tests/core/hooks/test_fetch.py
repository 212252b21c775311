"""What plugins may ask of ``self.upstreams``, and what they get."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from gateway_core.errors import BodyTooLargeError, UpstreamError
from gateway_core.hooks import FetchRequest, PluginServices, Upstreams
from gateway_core.messages import Headers, Response
from gateway_core.testing.scripted_fetches import ScriptedFetches


def upstreams(**scripts: Any) -> tuple[Upstreams, ScriptedFetches]:
    fetches = ScriptedFetches(scripts)
    return Upstreams(fetches), fetches


async def test_a_body_may_be_read_twice() -> None:
    given, _ = upstreams(a=Response(200, b"body"))

    async with given.fetch("a") as fetched:
        assert [await fetched.read(), await fetched.read()] == [b"body", b"body"]


async def test_read_gives_what_is_left_behind_what_was_iterated_over() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b"a", b"b", b"c"):
            yield piece

    given, _ = upstreams(a=Response(200, pieces()))

    async with given.fetch("a") as fetched:
        async for piece in fetched:
            assert piece == b"a"
            break
        assert await fetched.read() == b"bc"


async def test_a_body_over_the_limit_is_a_responses() -> None:
    given, _ = upstreams(a=Response(200, b"body"))

    async with given.fetch("a") as fetched:
        with pytest.raises(BodyTooLargeError) as caught:
            await fetched.read(3)

    assert caught.value.status == 502


async def test_fields_of_the_connection_are_left_out() -> None:
    given, fetches = upstreams(a=Response(200))
    headers = Headers([("Connection", "x"), ("Content-Length", "3"), ("TE", "trailers"), ("X-A", "1")])

    async with given.fetch("a", headers=headers):
        pass

    assert fetches.requests == [FetchRequest("a", "GET", "/", fetches.requests[0].headers, b"", None)]
    assert fetches.requests[0].headers.items() == [("X-A", "1")]
    assert "content-length" in headers


@pytest.mark.parametrize(
    "wrong",
    [
        {"method": "G T"},
        {"method": ""},
        {"method": "CONNECT"},
        {"path": "x"},
        {"path": "/a b"},
        {"path": "/a\r\nX: 1"},
        {"path": "/é"},
        {"path": "/a#b"},
        {"timeout": 0},
        {"timeout": -1},
        {"headers": {"X": "a\r\nb"}},
    ],
)
def test_what_cannot_be_sent_is_refused_at_once(wrong: dict[str, Any]) -> None:
    given, _ = upstreams()

    with pytest.raises(ValueError, match=r"."):
        given.fetch("a", **wrong)


async def test_where_there_is_no_data_path_every_name_is_unknown() -> None:
    with pytest.raises(UpstreamError) as caught:
        async with Upstreams(PluginServices().fetch).fetch("a"):
            pass

    assert (caught.value.status, caught.value.reason) == (503, "upstream.unknown")


async def test_a_fetch_is_sent_once() -> None:
    given, _ = upstreams(a=Response(200))
    fetching = given.fetch("a")
    async with fetching:
        pass

    with pytest.raises(RuntimeError, match="call fetch"):
        async with fetching:
            pass
