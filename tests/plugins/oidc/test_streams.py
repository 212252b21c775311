from __future__ import annotations

from collections.abc import AsyncIterator

from gateway_plugin_oidc.session import Session
from gateway_plugin_oidc.streams import Streams, may_last
from gateway_plugin_sdk import Request, Response


async def pieces() -> AsyncIterator[bytes]:
    yield b""


def test_streams_tunnels_and_large_files_may_last() -> None:
    assert may_last(Response(200, pieces()))
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
