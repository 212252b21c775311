"""Copies of requests that nobody feels."""

from __future__ import annotations

import pytest

from tests.core.proxy.kit import Peer, StartProxy, StartUpstream, field, until

GET = b"GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n"


def mirrored(target: str, mirror: str) -> str:
    return f"""
routes:
  - {{id: all, path_prefix: /, target: "{target}", mirror: {{target: "{mirror}", percent: 100}}}}
"""


async def test_a_mirror_gets_a_copy_and_its_answer_goes_nowhere(
    start_proxy: StartProxy, start_upstream: StartUpstream
) -> None:
    upstream = await start_upstream()
    mirror = await start_upstream(b"HTTP/1.1 500 Bad\r\nContent-Length: 6\r\n\r\nmirror")
    gateway = await start_proxy(mirrored(upstream.url, mirror.url))

    for _ in range(3):
        status, _, body = await gateway.ask(GET)
        assert (status, body) == (200, b"ok")

    await until(lambda: len(mirror.heads) == 3)
    assert mirror.heads[0].startswith(b"GET /a?b HTTP/1.1\r\n")
    assert field(mirror.heads[0], b"x-request-id") == field(upstream.heads[0], b"x-request-id")


@pytest.mark.parametrize(
    "parts",
    [
        [b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabcdef"],
        [b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc", b"def"],
        [b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", b"3\r\ndef\r\n0\r\n\r\n"],
    ],
)
async def test_a_copy_has_the_body(start_proxy: StartProxy, start_upstream: StartUpstream, parts: list[bytes]) -> None:
    upstream, mirror = await start_upstream(), await start_upstream()
    gateway = await start_proxy(mirrored(upstream.url, mirror.url))
    client = await gateway.connect()

    for part in parts:
        await client.send(part)
    assert (await client.answer())[0] == 200

    await until(lambda: mirror.bodies)
    assert mirror.bodies == [b"abcdef"]


async def test_large_bodies_are_not_copied(start_proxy: StartProxy, start_upstream: StartUpstream) -> None:
    upstream, mirror = await start_upstream(), await start_upstream()
    gateway = await start_proxy(mirrored(upstream.url, mirror.url))

    status, _, _ = await gateway.ask(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\n" + bytes(70_000))

    assert status == 200
    assert mirror.connections == 0


async def test_nobody_feels_a_mirror_that_is_not_there_or_hangs(
    start_proxy: StartProxy, start_upstream: StartUpstream
) -> None:
    async def never(peer: Peer) -> None:
        await peer.rest()

    upstream, hanging = await start_upstream(), await start_upstream(never)
    for mirror in ("http://127.0.0.1:9", hanging.url):
        gateway = await start_proxy(mirrored(upstream.url, mirror))
        for _ in range(3):
            assert (await gateway.ask(GET))[0] == 200
