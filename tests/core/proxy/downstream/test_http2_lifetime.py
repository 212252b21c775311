"""The steps of a connection to its end."""

from __future__ import annotations

import asyncio

import pytest
from gateway_core.proxy.downstream.http2_lifetime import ACKNOWLEDGED_WITHIN, Lifetime, State
from gateway_core.proxy.sweeper import NEVER

from tests.core.proxy.downstream.http2_client import NO_ERROR, OK, http2
from tests.core.proxy.kit import Peer, Proxied


def test_connections_of_one_age_end_within_a_tenth_of_it() -> None:
    deadlines = [Lifetime(100.0, chance, now=7.0).deadline for chance in (0.0, 0.5, 1.0)]

    assert deadlines == pytest.approx([97.0, 107.0, 117.0])


def test_streams_have_as_long_again_from_the_last_goaway_on() -> None:
    lifetime = Lifetime(100.0, 0.5, now=0.0)

    lifetime.drain(now=100.0)
    assert (lifetime.state, lifetime.deadline) == (State.DRAINING, 100.0 + ACKNOWLEDGED_WITHIN)

    lifetime.finish(now=100.5)
    assert (lifetime.state, lifetime.deadline) == (State.FINISHING, 200.5)

    lifetime.end_streams()
    assert (lifetime.state, lifetime.deadline) == (State.FINISHING, NEVER)


def test_without_an_age_nothing_is_due_but_the_acknowledgement() -> None:
    lifetime = Lifetime(0.0, 0.5, now=0.0)
    assert lifetime.deadline == NEVER

    lifetime.drain(now=5.0)
    assert lifetime.deadline == 5.0 + ACKNOWLEDGED_WITHIN

    lifetime.finish(now=5.5)
    assert lifetime.deadline == NEVER


async def test_a_stream_that_is_older_than_its_connection_may_be_is_ended(proxied: Proxied) -> None:
    begun, over = asyncio.Event(), asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        begun.set()
        await peer.reader.read()
        over.set()

    gateway, _ = await proxied(
        script,
        "limits: {max_connection_age: 100s, idle_timeout: 1h}",
        "    timeouts: {response: 0}",
    )
    async with http2(gateway) as client:
        await client.send(client.head())
        await asyncio.wait_for(begun.wait(), 20)
        await gateway.pass_time(115)
        await client.until(lambda: len(client.goaways) == 1)
        await gateway.pass_time(2)
        await client.until(lambda: len(client.goaways) == 2)
        await gateway.pass_time(90)
        await client.settle()
        assert not over.is_set()
        await gateway.pass_time(20)
        assert (await client.response(1)).status == 503
        await client.end()
        await asyncio.wait_for(over.wait(), 20)


async def test_a_connection_is_idle_from_the_end_of_its_last_stream_on(proxied: Proxied) -> None:
    begun, gate = asyncio.Event(), asyncio.Event()

    async def script(peer: Peer) -> None:
        while True:
            if b"/slow" in await peer.head():
                begun.set()
                await gate.wait()
            await peer.send(OK)

    gateway, _ = await proxied(script, "limits: {idle_timeout: 20s}", "    timeouts: {response: 0}")
    async with http2(gateway) as client:
        await client.ask()
        slow = client.head(path="/slow")
        await client.send(slow)
        await asyncio.wait_for(begun.wait(), 20)
        await gateway.pass_time(50)
        gate.set()
        assert (await client.response(slow.stream_id)).status == 200
        await gateway.pass_time(15)
        await client.settle()
        assert not client.goaways
        await gateway.pass_time(10)
        await client.end()
        assert client.goaways == [(slow.stream_id, NO_ERROR)]
