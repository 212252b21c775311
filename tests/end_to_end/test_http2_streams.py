"""A hundred streams of one connection of HTTP/2, while the gateway is reloaded, restarted or stopped: none is lost."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable

import pytest

from tests.end_to_end.kit import PATIENCE, Gateway, Upstream, children_of, eventually
from tests.protocols.http2_link import Link, StreamAbortedError, pairs

pytestmark = [
    pytest.mark.one_protocol(reason="its client speaks HTTP/2 itself"),
    pytest.mark.slow,
    pytest.mark.timeout(300),
]

Start = Callable[..., Gateway]

STREAMS = 100


def config(upstream: Upstream, workers: int) -> str:
    return (
        f"listen: 127.0.0.1:0\nworkers: {workers}\nshutdown_timeout: 60s\n"
        f"routes:\n  - {{id: slow, path_prefix: /slow, target: '{upstream.url}', timeouts: {{response: 0}}}}\n"
    )


async def is_reloaded(gateway: Gateway, url: str, streams: Streams, text: str) -> None:
    await gateway.rewrites(text + "  - {id: more, path: /more, respond: {status: 204}}\n")
    await eventually(url, "/more", "204")
    assert not streams.link.is_terminated.is_set()


async def is_replaced(gateway: Gateway, url: str, streams: Streams, text: str) -> None:
    gateway.signal(signal.SIGUSR2)
    await streams.link.is_terminated.wait()


async def is_stopped(gateway: Gateway, url: str, streams: Streams, text: str) -> None:
    gateway.signal(signal.SIGTERM)
    await streams.link.is_terminated.wait()


class Streams:
    """One connection with a hundred requests, which the upstream holds back."""

    def __init__(self, link: Link, host: str) -> None:
        self.link = link
        self._running = asyncio.ensure_future(link.run())  # noqa: TID251
        self._responses = [
            asyncio.ensure_future(self._ask(host, f"/slow/{number}"))  # noqa: TID251
            for number in range(STREAMS)
        ]

    @classmethod
    async def begin(cls, url: str, upstream: Upstream) -> Streams:
        """Send the requests, and wait until the upstream has them all."""
        host = url.removeprefix("http://")
        link = Link(*await asyncio.open_connection("127.0.0.1", int(host.rpartition(":")[2])), is_client=True)
        link.begin()
        streams = cls(link, host)
        async with asyncio.timeout(PATIENCE):
            while len(upstream.seen) < STREAMS:  # noqa: ASYNC110 - it knows no event
                await asyncio.sleep(0.01)
        return streams

    async def _ask(self, host: str, path: str) -> str:
        stream = self.link.stream()
        stream.head([(":method", "GET"), (":scheme", "http"), (":authority", host), (":path", path)], ends=True)
        status, body = "", b""
        async for event in stream.events():
            if isinstance(event, bytes):
                body += event
            else:
                status = dict(pairs(event.headers))[":status"]
        return f"{status} {body.decode()}"

    async def ended(self) -> list[str | BaseException]:
        """Return what became of each request, in their order; the connection ends."""
        async with asyncio.timeout(PATIENCE):
            found = await asyncio.gather(*self._responses, return_exceptions=True)
            self.link.close()
            await self._running
        assert self.link.fault is None
        return found


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("change", [is_reloaded, is_replaced, is_stopped])
async def test_streams_in_progress_end_as_if_nothing_had_happened(
    start: Start, upstream: Upstream, workers: int, change: Callable[[Gateway, str, Streams, str], Awaitable[None]]
) -> None:
    text = config(upstream, workers)
    gateway = start(text)
    url = await gateway.ready()
    streams = await Streams.begin(url, upstream)

    async with asyncio.timeout(PATIENCE):
        await change(gateway, url, streams, text)
    upstream.go.set()

    assert await streams.ended() == [f"200 one GET /slow/{number} HTTP/1.1" for number in range(STREAMS)]
    if change is is_replaced:
        await gateway.says("the new program has taken over")
        await eventually(url, "/slow/after", "200")


async def test_workers_that_are_killed_end_their_streams_and_serve_again(start: Start, upstream: Upstream) -> None:
    gateway = start(config(upstream, 2))
    url = await gateway.ready()
    streams = await Streams.begin(url, upstream)

    for pid in children_of(gateway.process.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    upstream.go.set()

    assert {type(each) for each in await streams.ended()} == {StreamAbortedError}
    await eventually(url, "/slow/after", "200")
    await gateway.stops()
