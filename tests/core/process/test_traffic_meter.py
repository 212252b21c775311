from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from gateway_core.clock import ManualClock
from gateway_core.metrics.catalogue import DURATION_BOUNDS, PLUGIN_ERRORS
from gateway_core.metrics.counts import KEPT, UPSTREAM
from gateway_core.process.engine import Engine
from gateway_core.process.socket_table import SocketTable
from gateway_core.process.traffic_meter import FORGOTTEN_AFTER, TrafficMeter

from tests.core.process.conftest import Canon, ask
from tests.end_to_end.kit import Upstream


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def server() -> AsyncIterator[Upstream]:
    async with Upstream("up") as running:
        yield running


@pytest.fixture
def upstream(server: Upstream) -> str:
    return server.url


@pytest.fixture
async def engine(canon: Canon, upstream: str, clock: ManualClock) -> AsyncIterator[Engine]:
    sockets = SocketTable()
    engine = Engine(sockets)
    text = (
        f"listen: 127.0.0.1:0\nupstreams: [{{name: users, endpoints: [{{url: '{upstream}'}}]}}]\n"
        "routes: [{id: it, path: /a, target: users}, {id: idle, path: /b, target: users}]\n"
    )
    prepared = await engine.prepare(canon(text))
    sockets.bind(prepared.config.listen)
    await engine.commit(prepared)
    engine.clock = clock
    yield engine
    await engine.stop(0)
    sockets.keep_only(())


async def served(engine: Engine, *paths: str) -> None:
    (url,) = engine.listeners.urls()
    for path in paths:
        await ask(url, path)


def later(meter: TrafficMeter, clock: ManualClock, seconds: float = 1.0) -> dict[str, Any]:
    clock.advance(seconds)
    return meter.read()


async def test_the_first_question_only_notes_where_the_counters_are(engine: Engine, clock: ManualClock) -> None:
    await served(engine, "/a", "/none")
    meter = TrafficMeter(engine)

    first = meter.read()

    assert (first["elapsed"], first["routes"], first["endpoints"], first["reasons"]) == (0.0, [], [], {})
    second = later(meter, clock)
    assert (second["elapsed"], second["routes"], second["endpoints"], second["reasons"]) == (1.0, [], [], {})


async def test_what_has_moved_since_is_returned_and_nothing_else(engine: Engine, clock: ManualClock) -> None:
    await served(engine, "/a")
    meter = TrafficMeter(engine)
    meter.read()

    await served(engine, "/a", "/a", "/none")
    found = later(meter, clock, 2.0)

    rows = {each[0]: each for each in found["routes"]}
    assert (found["elapsed"], set(rows), found["reasons"]) == (2.0, {"", "it"}, {"no-route": 1})
    _, in_flight, bytes_in, bytes_out, ((outcome, seconds, buckets),) = rows["it"]
    assert (in_flight, bytes_in, outcome, sum(number for _, number in buckets)) == (0, 0, (200 << 2) + UPSTREAM, 2)
    assert bytes_out > 0
    assert seconds > 0
    ((upstream, _, in_flight, failures, ((outcome, _, _),)),) = found["endpoints"]
    assert (upstream, in_flight, failures, outcome >> 2) == ("users", 0, 0, 200)
    assert later(meter, clock)["routes"] == []


async def test_a_route_and_an_endpoint_that_had_no_response_yet_have_their_requests_in_flight(
    engine: Engine, clock: ManualClock, server: Upstream
) -> None:
    meter = TrafficMeter(engine)
    meter.read()
    async with asyncio.TaskGroup() as group:
        group.create_task(served(engine, "/a?/slow"))
        await server.waiting.wait()

        found = later(meter, clock)

        assert found["routes"] == [["it", 1, 0, 0, []]]
        assert [(name, *rest) for name, _, *rest in found["endpoints"]] == [("users", 1, 0, [])]
        server.go.set()


async def test_attempts_that_failed_are_counted_where_no_response_was(engine: Engine, clock: ManualClock) -> None:
    meter, ((key, counts),) = TrafficMeter(engine), engine.metrics.endpoints.items()
    meter.read()

    counts.fail("upstream.reset")
    counts.fail("upstream.timeout")

    assert later(meter, clock)["endpoints"] == [[*key, 0, 2, []]]  # type: ignore[misc]  # a pair
    assert later(meter, clock)["endpoints"] == []


async def test_counters_that_were_not_asked_for_in_a_while_begin_again(engine: Engine, clock: ManualClock) -> None:
    meter = TrafficMeter(engine)
    meter.read()
    await served(engine, "/a")

    found = later(meter, clock, FORGOTTEN_AFTER + 1)

    assert (found["elapsed"], found["routes"]) == (0.0, [])


async def test_calls_and_failures_of_hooks_are_by_binding(engine: Engine, clock: ManualClock) -> None:
    meter, hook = TrafficMeter(engine), engine.metrics.hook("auth", "a", "request")
    meter.read()

    hook.calls += 3
    engine.metrics.count(PLUGIN_ERRORS, "auth", "a", "request")
    engine.metrics.count(PLUGIN_ERRORS, "auth", "a", "log", by=2)

    (row,) = later(meter, clock)["bindings"]
    assert row == {
        "plugin": "auth", "binding": "a", "calls": 3, "errors": 3, "timeouts": 0, "timed_calls": 0, "seconds": 0,
    }  # fmt: skip


@pytest.mark.parametrize("bounds", [(1.0,), tuple(bound + 1 for bound in DURATION_BOUNDS)], ids=["fewer", "as many"])
async def test_other_buckets_begin_at_nothing(engine: Engine, clock: ManualClock, bounds: tuple[float, ...]) -> None:
    await served(engine, "/a", "/a")
    meter = TrafficMeter(engine)
    meter.read()

    engine.metrics.use(bounds=bounds, max_endpoints=10)
    await served(engine, "/a")

    ((_, _, _, _, cells),) = later(meter, clock)["routes"]
    assert [buckets for _, _, buckets in cells] == [[(0, 1)]]


async def test_counts_that_were_dropped_and_come_back_begin_at_nothing(engine: Engine, clock: ManualClock) -> None:
    meter, metrics = TrafficMeter(engine), engine.metrics
    metrics.routes.acquire("gone").add(200 << 2, 0.5, 100)
    metrics.routes.acquire("gone").add(200 << 2, 0.5, 100)
    meter.read()
    for name in ["gone", "gone", *("other" * n for n in range(1, KEPT + 1))]:
        if name != "gone":
            metrics.routes.acquire(name)
        metrics.routes.release(name)

    metrics.routes.acquire("gone").add(200 << 2, 0.5, 30)

    ((name, _, _, bytes_out, ((_, seconds, ((_, number),)),)),) = later(meter, clock)["routes"]
    assert (name, bytes_out, seconds, number) == ("gone", 30, 0.5, 1)


async def test_routes_that_are_gone_are_forgotten(engine: Engine, clock: ManualClock) -> None:
    meter, metrics = TrafficMeter(engine), engine.metrics
    for name in map(str, range(3 * KEPT)):
        metrics.routes.acquire(name).add(200 << 2, 0.5, 100)
        metrics.routes.release(name)
        meter.read()

    assert len(meter._routes_read) <= KEPT + 10
