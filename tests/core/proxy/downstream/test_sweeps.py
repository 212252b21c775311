"""Clients that are slow, but never pause for long enough to meet another limit; connections that are idle."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from gateway_core.proxy.downstream import sweeps
from gateway_core.proxy.downstream.sweeps import WINDOW, MinimumRate, Pace
from hypothesis import given
from hypothesis import strategies as st

from tests.core.proxy.downstream.test_slow_clients import deaf_client
from tests.core.proxy.kit import Peer, Proxied, RunningProxy, settled, turns, until

pytestmark = pytest.mark.one_protocol(reason="connections of HTTP/1")

GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
RATE = 100


def test_a_transfer_is_slow_if_it_moved_too_little_in_a_whole_window() -> None:
    pace: Pace[str] = Pace()

    assert pace.slow([("a", 0), ("b", 0)], RATE, 100.0) == []
    assert pace.slow([("a", 0), ("b", 999)], RATE, 109.0) == []
    assert pace.slow([("a", 1000), ("b", 999)], RATE, 110.0) == ["b"]
    assert pace.slow([("a", 1000)], RATE, 119.0) == []
    assert pace.slow([("a", 1999)], RATE, 120.0) == ["a"]


def test_a_transfer_that_did_not_wait_for_its_client_begins_anew() -> None:
    pace: Pace[str] = Pace()
    pace.slow([("a", 0)], RATE, 100.0)

    pace.slow([], RATE, 105.0)

    assert pace.slow([("a", 0)], RATE, 110.0) == []
    assert pace.slow([("a", 0)], RATE, 119.9) == []
    assert pace.slow([("a", 0)], RATE, 120.0) == ["a"]


@given(steps=st.lists(st.integers(RATE, 10 * RATE), min_size=1, max_size=40))
def test_who_keeps_the_rate_every_second_is_never_slow(steps: list[int]) -> None:
    pace: Pace[str] = Pace()
    count = 0
    for second, step in enumerate(steps):
        assert pace.slow([("a", count)], RATE, float(second)) == []
        count += step


def sweep(gateway: RunningProxy, rate: int = RATE) -> MinimumRate:
    """Return the watch over a proxy, to be asked at any time; its own begins at the real one."""
    connections: Any = gateway.proxy.connections.open
    return MinimumRate(connections, lambda: rate)


async def test_a_body_below_the_rate_gets_408(proxied: Proxied) -> None:
    gateway, _ = await proxied()
    client = await gateway.connect()
    await client.send(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
    await until(lambda: gateway.proxy.exchanges)
    watch = sweep(gateway)

    watch.expire(0.0)
    await client.send(b"x" * (RATE - 1))
    exchange: Any = next(iter(gateway.proxy.exchanges))
    await until(lambda: exchange.body is not None and exchange.body.received == RATE - 1)
    watch.expire(WINDOW)

    status, _, _ = await client.response()
    assert status == 408
    assert exchange.error == "the client sends its body too slowly"


async def test_a_body_at_the_rate_and_one_that_the_upstream_does_not_take_go_on(proxied: Proxied) -> None:
    async def deaf(peer: Peer) -> None:
        await peer.head()
        await asyncio.Event().wait()

    gateway, _ = await proxied(deaf)
    client = await gateway.connect()
    await client.send(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n")
    await until(lambda: gateway.proxy.exchanges)
    exchange: Any = next(iter(gateway.proxy.exchanges))
    watch = sweep(gateway)
    watch.expire(0.0)
    await client.send(b"x" * 10 * RATE)
    await until(lambda: exchange.body is not None and exchange.body.received == 10 * RATE)
    watch.expire(WINDOW)
    assert not exchange.is_over

    client.writer.write(b"x" * 30_000_000)
    (connection,) = cast("Any", gateway.proxy.connections.open)
    await until(lambda: not connection.intake.waits_for_client)
    for now in range(3):
        watch.expire(WINDOW * (2 + now))

    assert not exchange.is_over


async def test_a_client_that_is_told_to_wait_for_100_is_not_slow(proxied: Proxied) -> None:
    async def silent(peer: Peer) -> None:
        await asyncio.Event().wait()

    gateway, _ = await proxied(silent)
    client = await gateway.connect()
    await client.send(b"POST /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    await until(lambda: gateway.proxy.exchanges)
    (connection,) = cast("Any", gateway.proxy.connections.open)

    assert not connection.intake.waits_for_client


async def test_a_response_that_is_taken_below_the_rate_ends_with_its_connection(proxied: Proxied) -> None:
    async def much(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n" + b"x" * 100_000_000)

    gateway, _ = await proxied(much)
    with await deaf_client(gateway, GET):
        await until(lambda: gateway.proxy.exchanges)
        (connection,) = cast("Any", gateway.proxy.connections.open)
        exchange: Any = next(iter(gateway.proxy.exchanges))
        await until(lambda: any(connection.awaited_responses()))
        # What the system takes is not in our hands: wait until it takes no more.
        before = -1
        while before != connection.progress()[1]:
            before = connection.progress()[1]
            await turns(20)
        watch = sweep(gateway)

        watch.expire(0.0)
        watch.expire(WINDOW - 0.1)
        assert gateway.proxy.connections
        watch.expire(WINDOW)

        await until(lambda: not gateway.proxy.connections)
        assert exchange.aborted == "client"
        assert (exchange.reason, exchange.error) == (
            "client-too-slow",
            "the client takes its response below limits.min_rate",
        )


async def test_without_a_rate_and_in_a_tunnel_nothing_is_slow(proxied: Proxied) -> None:
    async def switch(peer: Peer) -> None:
        if b"upgrade" in (await peer.head()).lower():
            await peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
        await asyncio.Event().wait()

    gateway, _ = await proxied(switch)
    silent = await gateway.connect()
    await silent.send(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
    await until(lambda: gateway.proxy.exchanges)
    for watch in (sweep(gateway, 0), sweep(gateway, 0)):
        for turn in range(3):
            watch.expire(WINDOW * turn)
    assert gateway.proxy.exchanges
    silent.reset()
    await until(lambda: not gateway.proxy.exchanges)

    tunnel = await gateway.connect()
    await tunnel.send(b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
    await tunnel.head()
    watch = sweep(gateway)
    for turn in range(3):
        watch.expire(WINDOW * turn)

    assert len(gateway.proxy.connections) == 1


async def test_the_configured_rate_counts(proxied: Proxied) -> None:
    gateway, _ = await proxied(extra="limits: {min_rate: 1kB}")

    watched = [item for group, _ in gateway.proxy._sweeper._groups for item in group if isinstance(item, MinimumRate)]

    assert [watch._rate() for watch in watched] == [1000]


async def test_zero_waits_for_ever(proxied: Proxied) -> None:
    gateway, _ = await proxied(extra="limits: {idle_timeout: 0, write_timeout: 0, body_timeout: 0}")
    client = await gateway.connect()

    await client.send(GET)
    await client.response()
    (connection,) = cast("Any", gateway.proxy.connections.open)
    assert connection.deadline == float("inf")

    await client.send(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n1")
    await until(lambda: gateway.proxy.exchanges)
    exchange: Any = next(iter(gateway.proxy.exchanges))
    assert exchange.deadline == connection.deadline == float("inf")
    await client.send(b"2345")
    assert (await client.response())[0] == 200


GET = b"GET /users/7 HTTP/1.1\r\nHost: example.com\r\n\r\n"


def remembered(gateway: RunningProxy) -> list[bool]:
    return [connection.remembers for connection in gateway.proxy.connections.open]


async def test_an_idle_connection_forgets_its_last_head_and_serves_on(
    proxied: Proxied, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeps, "KEPT", 0.2)
    gateway, _ = await proxied()
    client = await gateway.connect()
    await client.send(GET)
    await client.response()
    assert remembered(gateway) == [True]

    await until(lambda: remembered(gateway) == [False])

    await client.send(GET)
    assert (await client.response())[0] == 200
    assert remembered(gateway) == [True]


async def test_a_connection_in_use_keeps_its_head(proxied: Proxied, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway, _ = await proxied()
    client = await gateway.connect()
    await client.send(GET)
    await client.response()
    (connection,) = cast("Any", gateway.proxy.connections.open)
    heads = sweeps.IdleHeads(gateway.proxy.connections.open, lambda: gateway.proxy.limits.idle_timeout)
    idle_since = connection.deadline - gateway.proxy.limits.idle_timeout

    heads.expire(idle_since + sweeps.KEPT - 0.1)
    assert connection.remembers
    heads.expire(idle_since + sweeps.KEPT)
    assert not connection.remembers


@pytest.mark.parametrize("kind", [b"application/grpc", b"application/grpc+proto", b"Application/gRPC-Web; a=b"])
async def test_grpc_may_be_silent_in_both_directions(proxied: Proxied, kind: bytes) -> None:
    async def stream(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        while True:
            await peer.send(b"x" * 65536)

    gateway, _ = await proxied(stream)
    client = await gateway.connect()
    await client.send(b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nContent-type:" + kind + b"\r\n\r\n")
    (connection,) = cast("Any", gateway.proxy.connections.open)
    await until(lambda: any(connection.awaited_responses()))
    await settled(lambda: connection.progress()[1])
    watch = sweep(gateway)

    for turn in range(3):
        watch.expire(WINDOW * turn)

    assert list(gateway.proxy.connections.open) == [connection]
    assert gateway.proxy.exchanges
