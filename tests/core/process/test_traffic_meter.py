from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from gateway_core.clock import ManualClock
from gateway_core.metrics.catalogue import PLUGIN_ERRORS
from gateway_core.process.engine import Engine
from gateway_core.process.socket_table import SocketTable
from gateway_core.process.traffic_meter import FORGOTTEN_AFTER, TrafficMeter

from tests.core.process.conftest import Canon, ask


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


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

    rows = {each["route"]: each for each in found["routes"]}
    assert (found["elapsed"], set(rows), found["reasons"]) == (2.0, {"", "it"}, {"no-route": 1})
    assert (rows["it"]["status"], rows["it"]["origins"], sum(rows["it"]["buckets"])) == (
        {"2xx": 2}, {"upstream": 2}, 2,
    )  # fmt: skip
    assert rows["it"]["bytes_out"] > 0
    (endpoint,) = found["endpoints"]
    assert (endpoint["upstream"], endpoint["status"], endpoint["failures"]) == ("users", {"2xx": 2}, 0)
    assert later(meter, clock)["routes"] == []


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


async def test_other_buckets_begin_at_nothing(engine: Engine, clock: ManualClock) -> None:
    await served(engine, "/a", "/a")
    meter = TrafficMeter(engine)
    meter.read()

    engine.metrics.use(bounds=(1.0,), max_endpoints=10)
    await served(engine, "/a")

    (row,) = later(meter, clock)["routes"]
    assert (row["status"], len(row["buckets"])) == ({"2xx": 1}, 2)
