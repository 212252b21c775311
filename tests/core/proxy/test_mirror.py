"""Copies of requests that nobody feels."""

from __future__ import annotations

import asyncio

import pytest

from tests.core.proxy.kit import Peer, RunningProxy, StartProxy, StartUpstream, field, until


def config(target: str, mirror: str, percent: float = 100) -> str:
    return f"""
upstreams:
  - name: main
    endpoints: [{{url: "{target}"}}]
  - name: copies
    endpoints: [{{url: "{mirror}"}}]
routes:
  - {{id: all, path_prefix: /, target: main, mirror: {{target: copies, percent: {percent}}}}}
"""


async def ask(gateway: RunningProxy, data: bytes) -> int:
    return (await gateway.ask(data))[0]


async def test_a_mirror_gets_the_same_request_and_its_answer_is_dropped(
    start_proxy: StartProxy, start_upstream: StartUpstream
) -> None:
    upstream = await start_upstream()
    mirror = await start_upstream(b"HTTP/1.1 500 Broken\r\nContent-Length: 6\r\n\r\nbroken")
    gateway = await start_proxy(config(upstream.url, mirror.url))

    status, _, body = await gateway.ask(b"DELETE /a?b HTTP/1.1\r\nHost: x\r\nX-A: 1\r\n\r\n")
    await until(lambda: mirror.heads)

    assert (status, body) == (200, b"ok")
    sent, copied = upstream.heads[0], mirror.heads[0]
    assert copied.startswith(b"DELETE /a?b HTTP/1.1\r\n")
    assert [field(head, b"x-a") for head in (sent, copied)] == [b"1", b"1"]
    assert field(copied, b"x-request-id") == field(sent, b"x-request-id")


async def test_a_mirror_that_is_away_or_hangs_is_nobodys_business(
    start_proxy: StartProxy, start_upstream: StartUpstream
) -> None:
    hanging = asyncio.Event()

    async def hang(peer: Peer) -> None:
        await peer.head()
        hanging.set()
        await peer.rest()

    upstream = await start_upstream()
    mirror = await start_upstream(hang)
    gateway = await start_proxy(config(upstream.url, mirror.url))

    assert await ask(gateway, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") == 200
    await hanging.wait()
    await gateway.reload(config(upstream.url, "http://127.0.0.1:1"))
    assert await ask(gateway, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") == 200


@pytest.mark.parametrize(("percent", "copies"), [(0, 0), (100, 5)])
async def test_the_share_decides_how_many_are_copied(
    start_proxy: StartProxy, start_upstream: StartUpstream, percent: float, copies: int
) -> None:
    upstream, mirror = await start_upstream(), await start_upstream()
    gateway = await start_proxy(config(upstream.url, mirror.url, percent))

    for _ in range(5):
        assert await ask(gateway, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") == 200
    await until(lambda: len(mirror.heads) >= copies)

    assert len(mirror.heads) == copies


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
    gateway = await start_proxy(config(upstream.url, mirror.url))
    client = await gateway.connect()

    for part in parts:
        await client.send(part)
    assert (await client.answer())[0] == 200

    await until(lambda: mirror.bodies)
    assert mirror.bodies == [b"abcdef"]


async def test_a_long_body_is_not_copied(start_proxy: StartProxy, start_upstream: StartUpstream) -> None:
    upstream, mirror = await start_upstream(), await start_upstream()
    gateway = await start_proxy(config(upstream.url, mirror.url))
    size = 100_000

    long = b"POST /long HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size
    assert await ask(gateway, long) == 200
    assert await ask(gateway, b"GET /short HTTP/1.1\r\nHost: x\r\n\r\n") == 200
    await until(lambda: mirror.heads)

    assert [head.split(b" ")[1] for head in mirror.heads] == [b"/short"]
