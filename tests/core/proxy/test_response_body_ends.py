"""How response bodies that hooks change or observe end: failures on every side, reloads, shutdown."""

from __future__ import annotations

import asyncio

import pytest
from gateway_core.messages import BodyFilter, Record, Response

from tests.core.proxy.bodies import (
    BIND,
    CHUNKED,
    GET,
    WHOLE,
    FailsAt,
    Upper,
    adds,
    chunks,
    hook,
)
from tests.core.proxy.kit import Peer, Proxied, counts, field, settled, turns, until


async def in_two_parts(peer: Peer) -> None:
    while True:
        await peer.head()
        await peer.send(CHUNKED + b"3\r\nabc\r\n")
        await turns()  # so that they are two pieces
        await peer.send(b"3\r\ndef\r\n0\r\n\r\n")


async def begins(peer: Peer) -> None:
    """Send the beginning of a response, and nothing more."""
    await peer.head()
    await peer.send(CHUNKED + b"3\r\nabc\r\n")
    await peer.rest()


async def test_a_filter_that_fails_before_the_head_is_500(proxied: Proxied) -> None:
    records: list[Record] = []
    made = FailsAt(0)
    gateway, _ = await proxied(in_two_parts, extra=BIND, plugins=[adds(lambda: made, records)])

    data = await gateway.send(GET[:-2] + b"Connection: close\r\n\r\n")

    assert data.startswith(b"HTTP/1.1 500")
    assert b"abc" not in data
    assert len(made.closed) == 1
    assert isinstance(made.closed[0], ValueError)
    await until(lambda: records)
    assert (records[0].reason, records[0].aborted) == ("plugin.failed", None)
    await until(lambda: not counts(gateway))


async def test_a_filter_that_fails_behind_the_head_is_a_visible_cut(proxied: Proxied) -> None:
    records: list[Record] = []
    made = FailsAt(1)
    gateway, _ = await proxied(in_two_parts, extra=BIND, plugins=[adds(lambda: made, records)])

    data = await gateway.send(GET)

    assert data.startswith(b"HTTP/1.1 200")
    assert data.endswith(b"3\r\nabc\r\n")
    assert len(made.closed) == 1
    await until(lambda: records)
    assert (records[0].reason, records[0].aborted) == ("plugin.failed", "gateway")


async def test_a_factory_that_fails_is_500_and_an_observers_is_not(proxied: Proxied) -> None:
    def fails() -> BodyFilter:
        raise ValueError("no")

    gateway, _ = await proxied(WHOLE, extra=BIND, plugins=[adds(fails)])
    assert (await gateway.ask(GET))[0] == 500

    gateway, _ = await proxied(WHOLE, extra=BIND, plugins=[adds(fails, observe=True)])
    assert (await gateway.ask(GET))[2] == b"abcdef"


async def test_an_upstream_that_leaves_is_a_cut_and_the_filter_learns_why(proxied: Proxied) -> None:
    records: list[Record] = []
    made = Upper()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(CHUNKED + b"3\r\nabc\r\n")
        peer.close()

    gateway, _ = await proxied(script, extra=BIND, plugins=[adds(lambda: made, records)])

    data = await gateway.send(GET)

    assert data.endswith(b"3\r\nABC\r\n")
    assert [type(error).__name__ for error in made.closed] == ["UpstreamError"]
    await until(lambda: records)
    assert (records[0].aborted, records[0].reason) == ("upstream", "upstream.truncated")


async def test_an_upstream_that_leaves_while_a_hook_reads_is_502(proxied: Proxied) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(CHUNKED + b"3\r\nabc\r\n")
        peer.close()

    async def run(response: Response) -> None:
        await response.read()

    gateway, _ = await proxied(script, extra=BIND, plugins=hook(run))

    assert (await gateway.ask(GET))[0] == 502


async def test_a_client_that_leaves_closes_the_filter(proxied: Proxied) -> None:
    made = Upper()

    gateway, _ = await proxied(begins, extra=BIND, plugins=[adds(lambda: made)])
    client = await gateway.connect()
    await client.send(GET)
    await client.head()

    client.reset()

    await until(lambda: made.closed)
    assert [type(error).__name__ for error in made.closed] == ["ClientGoneError"]
    assert made.contexts == {"/"}
    await until(lambda: not counts(gateway))


@pytest.mark.parametrize("reads", [True, False])
async def test_an_upstream_that_stalls_runs_into_its_idle_timeout(proxied: Proxied, reads: bool) -> None:
    async def run(response: Response) -> None:
        if reads:
            await response.read()
        else:
            response.add_body_filter(Upper)

    gateway, _ = await proxied(begins, extra=BIND, upstream_extra="    timeouts: {idle: 10s}", plugins=hook(run))

    data = await gateway.passing(11, gateway.send(GET))

    if reads:
        assert data.startswith(b"HTTP/1.1 504")
    else:
        assert data.startswith(b"HTTP/1.1 200")
        assert data.endswith(b"3\r\nABC\r\n")
    await until(lambda: not counts(gateway))


async def test_an_observer_sees_the_body_and_changes_nothing(proxied: Proxied) -> None:
    made: list[Upper] = []

    def factory() -> Upper:
        made.append(Upper())
        return made[-1]

    gateway, _ = await proxied(WHOLE, extra=BIND, plugins=[adds(factory, observe=True)])

    _, head, body = await gateway.ask(GET)

    assert (body, field(head, b"etag"), field(head, b"digest")) == (b"abcdef", b'"1"', b"x")
    await until(lambda: made[0].closed == [None])
    assert b"".join(made[0].fed) == b"abcdef"


async def test_an_observer_that_fails_is_dropped(proxied: Proxied) -> None:
    made = FailsAt(0)
    gateway, _ = await proxied(in_two_parts, extra=BIND, plugins=[adds(lambda: made, observe=True)])
    client = await gateway.connect()

    await client.send(GET)
    await client.head()

    assert await chunks(client) == b"abcdef"
    assert made.fed == [b"abc"]
    assert len(made.closed) == 1


async def test_an_upstream_is_not_read_faster_than_the_client_takes(proxied: Proxied) -> None:
    written = 0

    async def script(peer: Peer) -> None:
        nonlocal written
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await peer.send(bytes(65536))
            written += 1

    gateway, _ = await proxied(script, extra=BIND, plugins=[adds(Upper)])
    client = await gateway.connect()
    await client.send(GET)
    await client.head()

    assert await settled(lambda: written) < 1000  # when the buffers between both ends are full
    client.reset()
    await until(lambda: not counts(gateway))


async def test_a_filtered_stream_goes_on_over_a_reload(proxied: Proxied) -> None:
    gate = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(CHUNKED + b"3\r\nabc\r\n")
        await gate.wait()
        await peer.send(b"3\r\ndef\r\n0\r\n\r\n")
        await peer.rest()

    gateway, upstream = await proxied(script, extra=BIND, plugins=[adds(Upper)])
    client = await gateway.connect()
    await client.send(GET)
    await client.head()
    assert await client.exactly(8) == b"3\r\nABC\r\n"

    await gateway.reload(f"routes: [{{id: other, path_prefix: /other, target: '{upstream.url}'}}]\n")
    gate.set()

    assert await chunks(client) == b"DEF"


async def test_a_shutdown_waits_for_a_filtered_stream_and_closes_it_at_last(proxied: Proxied) -> None:
    made = Upper()

    gateway, _ = await proxied(begins, extra=BIND, plugins=[adds(lambda: made)])
    client = await gateway.connect()
    await client.send(GET)
    await client.head()

    await gateway.proxy.drain(0.1)
    await gateway.proxy.aclose()

    await until(lambda: made.closed)
    assert made.closed != [None]
