from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from gateway_plugin_oidc.session import Session
from gateway_plugin_oidc.streams import Streams, may_last
from gateway_plugin_sdk import GatewayError, Request, Response


async def pieces() -> AsyncIterator[bytes]:
    yield b""


def test_streams_and_large_files_may_last() -> None:
    assert may_last(Response(200, pieces()))
    assert may_last(Response(200, Path("large")))
    assert not may_last(Response(200, b"text"))


async def test_a_request_that_is_over_leaves_by_itself() -> None:
    streams = Streams()
    session = Session("id", "i", "s", 0.0, 0.0)
    request = Request("GET", "/")
    streams.add(session, request)
    assert len(streams) == 1

    del request

    async def never(_: Session) -> bool:
        raise AssertionError("there is no stream to ask for")

    await streams.end_those(never)
    assert len(streams) == 0


async def test_a_session_of_which_nothing_is_known_keeps_no_other_streams() -> None:
    streams = Streams()
    unknown, over = Session("1", "i", "s", 0.0, 0.0), Session("2", "i", "s", 0.0, 0.0)
    requests = [Request("GET", "/"), Request("GET", "/")]
    for session, request in zip((unknown, over), requests, strict=True):
        streams.add(session, request)

    async def is_over(session: Session) -> bool:
        if session is unknown:
            raise GatewayError("the store is away")
        return True

    with pytest.raises(GatewayError):
        await streams.end_those(is_over)

    assert len(streams) == 1
