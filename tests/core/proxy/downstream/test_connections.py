"""What bounds the connections of clients and the descriptors that they hold, and whose turn it is."""

from __future__ import annotations

import asyncio
import gc
import logging
from pathlib import Path

import pytest
from gateway_core.descriptors import default_max_connections
from gateway_core.proxy.downstream.connection import ClientConnection
from gateway_core.proxy.downstream.connections import (
    MOST_TURNED_AWAY,
    REQUESTS_PER_TURN,
    REQUESTS_PER_VISIT,
    SECONDS_PER_TURN,
    Turns,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.core.proxy.kit import Proxied, StartProxy, until

pytestmark = pytest.mark.one_protocol(reason="connections of HTTP/1")


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize(("limits", "is_one_too_many"), [("{}", True), ("{max_connections: 0}", False)])
async def test_connections_are_bound_by_descriptors_unless_the_configuration_says(
    start_proxy: StartProxy, limits: str, is_one_too_many: bool
) -> None:
    gateway = await start_proxy(f"limits: {limits}\nroutes: [{{id: a, path: /a, target: 'http://127.0.0.1:1'}}]\n")
    connections = gateway.proxy.connections
    assert connections._default_limit == default_max_connections()

    connections._default_limit = 1
    await gateway.connect()
    response = await gateway.send(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

    assert response.startswith(b"HTTP/1.1 503 ") is is_one_too_many


async def test_connections_that_are_turned_away_hold_few_descriptors(proxied: Proxied) -> None:
    gateway, _ = await proxied(extra="limits: {max_connections: 2}")
    admitted = [await gateway.connect() for _ in range(2)]
    await until(lambda: len(gateway.proxy.connections) == 2)
    before = descriptors()

    rejected = [await gateway.connect() for _ in range(60)]
    for peer in rejected[-MOST_TURNED_AWAY:]:
        assert (await peer.head()).startswith(b"HTTP/1.1 503 ")

    # Each of the clients has one of its own, and does not close it.
    assert descriptors() <= before + len(rejected) + MOST_TURNED_AWAY
    assert len(gateway.proxy.connections) == len(admitted) + MOST_TURNED_AWAY
    for peer in rejected:
        peer.writer.close()
    await until(lambda: len(gateway.proxy.connections) == len(admitted))


SERVED = b"GET / HTTP/1.1\r\nHost: x\r\n%b\r\n"
REFUSED = [
    b"GET / HTTP/1.1\r\nHost: x y\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nExpect: nothing\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nnot a size\r\n",
    b"no request\r\n\r\n",
]


@pytest.mark.parametrize("request_bytes", [SERVED % b"", SERVED % b"Connection: close\r\n", *REFUSED])
@pytest.mark.parametrize("upstream", [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", b"no response\r\n\r\n"])
async def test_a_connection_that_has_ended_is_freed_without_the_garbage_collector(
    proxied: Proxied, request_bytes: bytes, upstream: bytes
) -> None:
    gateway, _ = await proxied(upstream)
    gc.collect()
    gc.freeze()  # what is there already is not looked through
    gc.disable()
    try:
        for _ in range(3):
            client = await gateway.connect()
            await client.send(request_bytes)
            await client.head()
            client.writer.close()

        await until(lambda: not gateway.proxy.connections.open)
        await until(lambda: not [each for each in gc.get_objects() if isinstance(each, ClientConnection)])
    finally:
        gc.enable()


class Loop:
    """Runs what was scheduled, one turn at a time."""

    def __init__(self) -> None:
        self.scheduled: list[object] = []

    def call_soon(self, callback: object) -> None:
        self.scheduled.append(callback)

    def turn(self) -> None:
        (callback,) = self.scheduled
        self.scheduled = []
        assert callable(callback)
        callback()


class Connection:
    """Holds so many requests."""

    def __init__(self, turns: Turns, held: int, served: list[Connection], cost: float = 0) -> None:
        self.turns, self.held, self.served, self.cost = turns, held, served, cost
        self.aborted = False
        self.time = 0.0
        turns.enter(self)

    def serve_held(self, most: int) -> int:
        count = min(most, self.held)
        self.held -= count
        self.served += [self] * count
        if self.held:
            self.turns.enter(self)
        return count

    def abort(self) -> None:
        self.aborted = True


@pytest.fixture
def loop() -> Loop:
    return Loop()


def make(loop: Loop, times: list[float] | None = None) -> Turns:
    clock = iter(times) if times else None
    fake: object = loop
    assert not isinstance(fake, asyncio.AbstractEventLoop)
    return Turns(fake, (lambda: next(clock)) if clock else lambda: 0.0)  # type: ignore[arg-type]  # all that it calls


@given(held=st.lists(st.integers(1, 100), min_size=1, max_size=60))
def test_a_turn_is_bounded_and_everything_is_served_in_fair_order(held: list[int]) -> None:
    loop, served = Loop(), list[Connection]()
    turns = make(loop)
    connections = [Connection(turns, count, served) for count in held]

    while loop.scheduled:
        before = len(served)
        loop.turn()
        assert before < len(served) <= before + REQUESTS_PER_TURN

    assert len(served) == sum(held)
    for first in connections:
        # Between two visits to one connection every other has one at most.
        for other in connections:
            visits = [each for each in served if each in (first, other)]
            longest, run = 0, 0
            for each in visits[: visits.index(first) + 1] if first is not other else []:
                run = run + 1 if each is other else 0
                longest = max(longest, run)
            assert longest <= REQUESTS_PER_VISIT


def test_a_connection_that_is_alone_gets_one_visit_a_turn(loop: Loop) -> None:
    served: list[Connection] = []
    Connection(make(loop), 10, served)

    loop.turn()

    assert len(served) == REQUESTS_PER_VISIT


def test_a_turn_ends_when_its_time_is_over(loop: Loop) -> None:
    served: list[Connection] = []
    turns = make(loop, [0.0, 0.001, SECONDS_PER_TURN + 0.001, 9.0, 9.0, 9.0])
    connections = [Connection(turns, 1, served) for _ in range(3)]

    loop.turn()
    assert served == connections[:2]

    loop.turn()
    assert served == connections


def test_a_defect_in_one_connection_does_not_stop_the_others(loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Connection):
        def serve_held(self, most: int) -> int:
            raise RuntimeError("broken")

    served: list[Connection] = []
    turns = make(loop)
    broken, other = Broken(turns, 1, served), Connection(turns, 1, served)

    with caplog.at_level(logging.ERROR):
        loop.turn()

    assert broken.aborted
    assert served == [other]
    assert "could not be served" in caplog.text


async def test_with_many_connections_a_head_is_remembered_once_its_client_has_sent_another(
    proxied: Proxied, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway_core.proxy.downstream.connection.FEW", 1)
    gateway, upstream = await proxied()
    clients = [await gateway.connect() for _ in range(2)]
    await until(lambda: len(gateway.proxy.connections.open) == len(clients))
    remembered = []

    for _ in range(3):
        await clients[0].send(b"GET /same HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await clients[0].head()).startswith(b"HTTP/1.1 200 ")
        assert await clients[0].exactly(2) == b"ok"
        remembered.append(sum(each.remembers for each in gateway.proxy.connections.open))

    assert remembered == [0, 1, 1]
    assert len({head.split(b"\r\n")[0] for head in upstream.heads}) == 1
