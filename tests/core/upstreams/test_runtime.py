from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from gateway_core.clock import SystemClock
from gateway_core.config import (
    ConfigModel,
    DiscoveryConfig,
    EndpointConfig,
    HealthCheckConfig,
    UpstreamConfig,
    UpstreamTlsConfig,
)
from gateway_core.upstreams import (
    Discovered,
    DiscoveryContext,
    EndpointSpec,
    EndpointStatus,
    LiveUpstream,
    UpstreamRuntime,
)
from gateway_core.upstreams.runtime import frozen
from gateway_core.upstreams.transport import TlsSettings, with_digest

A, B, C = (EndpointSpec("http", f"127.0.0.{number}", 80, id=name) for number, name in enumerate("abc", 1))
TABLE = DiscoveryConfig(name="table", config={"of": "users"})


class TableOptions(ConfigModel):
    of: str = ""
    refuse: bool = False


class Table:
    """A discovery that finds what the test puts."""

    def __init__(self, endpoints: Iterable[EndpointSpec]) -> None:
        self._endpoints = tuple(endpoints)
        self._changed = asyncio.Event()

    def put(self, endpoints: Iterable[EndpointSpec]) -> None:
        self._endpoints = tuple(endpoints)
        self._changed.set()

    async def watch(self) -> AsyncIterator[Discovered]:
        while True:
            self._changed.clear()
            yield Discovered(self._endpoints)
            await self._changed.wait()


class Tables:
    """Discoveries that the test changes by hand."""

    config_model = TableOptions

    def __init__(self) -> None:
        self.made: list[Table] = []
        self.first: tuple[EndpointSpec, ...] = (A,)

    def __call__(self, config: TableOptions, context: DiscoveryContext) -> Table:
        if config.refuse:
            raise ValueError("refused")
        self.made.append(Table(self.first))
        return self.made[-1]


class Pool:
    def __init__(self) -> None:
        self.closed = asyncio.Event()

    async def aclose(self) -> None:
        self.closed.set()


@pytest.fixture
def tables() -> Tables:
    return Tables()


@pytest.fixture
async def runtime(tables: Tables) -> AsyncIterator[UpstreamRuntime]:
    runtime = UpstreamRuntime(SystemClock())
    runtime.extend({}, {"table": tables})
    yield runtime
    await runtime.aclose()


def ids(live: LiveUpstream) -> set[str]:
    return {endpoint.id for endpoint in live.upstream.endpoints}


def config(
    name: str, endpoints: Iterable[EndpointSpec], status: Mapping[str, Any] | None = None, **settings: Any
) -> UpstreamConfig:
    statuses = status or {}
    given = tuple(EndpointConfig(url=e.url, id=e.id, status=statuses.get(e.id, "up")) for e in endpoints)
    return UpstreamConfig(name=name, endpoints=given, **settings)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - the state of the code under test has no event
            await asyncio.sleep(0.005)


async def test_a_reload_keeps_endpoints_position_and_counts(runtime: UpstreamRuntime) -> None:
    old = runtime.open(config("users", [A, B, C]))
    first = old.upstream.pick(None, 1.0)
    assert first is not None
    first.pool = pool = Pool()
    old.upstream.admission.enter(first)

    new = runtime.open(config("users", [A, B, C]))
    await old.aclose()

    assert not pool.closed.is_set()
    assert new.upstream.endpoints[0] is first
    assert new.upstream.admission.load.active == 1
    second = new.upstream.pick(None, 1.0)
    assert second is not None
    assert second.id == "b"
    await new.aclose()
    assert pool.closed.is_set()


async def test_an_upstream_with_equal_settings_is_the_same_one_until_the_last_snapshot_closes_it(
    runtime: UpstreamRuntime, tables: Tables
) -> None:
    old = runtime.open(config("users", [A], discovery=TABLE))
    await until(lambda: len(tables.made) == 1)

    new = runtime.open(config("users", [A], discovery=TABLE))
    assert new.upstream is old.upstream

    await old.aclose()
    tables.made[0].put([B])
    await until(lambda: ids(new) == {"a", "b"})
    await new.aclose()
    assert ids(new) == set()
    again = runtime.open(config("users", [A], discovery=TABLE))
    assert again.upstream is not new.upstream
    await again.aclose()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {"panic_threshold": 50}),
        ({}, {"timeouts": {"response": "1s"}}),
        ({"strategy_options": {"a": 1}}, {"strategy_options": {"a": True}}),
        (
            {"discovery": {"name": "table", "config": {"of": "users"}}},
            {"discovery": {"name": "table", "config": {"of": "orders"}}},
        ),
    ],
)
async def test_an_upstream_with_other_settings_is_another_one_on_the_same_endpoints(
    one: dict[str, Any], other: dict[str, Any], runtime: UpstreamRuntime
) -> None:
    document = {"name": "users", "endpoints": [{"url": "http://127.0.0.1:9"}]}
    old = runtime.open(UpstreamConfig.model_validate({**document, **one}))

    new = runtime.open(UpstreamConfig.model_validate({**document, **other}))

    assert new.upstream is not old.upstream
    assert new.upstream.endpoints == old.upstream.endpoints
    for live in (old, new):
        await live.aclose()


async def test_an_upstream_whose_tls_files_hold_something_else_is_another_one(
    runtime: UpstreamRuntime, tmp_path: Path
) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("one")
    users = config("users", [A], tls=UpstreamTlsConfig(ca=str(file)))
    old = runtime.open(users, tls=with_digest(TlsSettings(users.tls)))
    same = runtime.open(users, tls=with_digest(TlsSettings(users.tls)))

    file.write_text("other")
    other = runtime.open(users, tls=with_digest(TlsSettings(users.tls)))

    assert same.upstream is old.upstream
    assert other.upstream is not old.upstream
    for live in (old, same, other):
        await live.aclose()


async def test_settings_that_come_back_take_nothing_of_an_earlier_snapshot_that_still_ends(
    runtime: UpstreamRuntime,
) -> None:
    first = runtime.open(config("users", [A]))
    drained = runtime.open(config("users", [A], status={"a": "drain"}))

    back = runtime.open(config("users", [A]))

    assert back.upstream is not first.upstream
    assert back.upstream.pick(None, 1.0) is first.upstream.endpoints[0]
    for live in (drained, first, back):
        await live.aclose()


async def test_other_check_settings_are_another_endpoint(runtime: UpstreamRuntime) -> None:
    old = runtime.open(config("users", [A]))
    new = runtime.open(config("users", [A], health_check=HealthCheckConfig.model_construct(path="/x")))
    other = runtime.open(config("orders", [A]))

    assert len({live.upstream.endpoints[0] for live in (old, new, other)}) == 3
    for live in (old, new, other):
        await live.aclose()


async def test_a_refused_upstream_leaves_nothing_behind(runtime: UpstreamRuntime) -> None:
    with pytest.raises(ValueError, match="'fastest' is not a strategy"):
        runtime.open(config("users", [A], strategy="fastest"))
    with pytest.raises(ValueError, match="refused"):
        runtime.open(config("users", [A], discovery=DiscoveryConfig(name="table", config={"refuse": True})))
    with pytest.raises(ValueError, match="'zookeeper' is not a discovery: known are dns, table"):
        runtime.open(config("users", [A], discovery=DiscoveryConfig(name="zookeeper")))

    await asyncio.sleep(0)
    assert not runtime._endpoints
    assert not runtime._loads
    assert not runtime._shared_strategies


async def test_endpoints_are_the_configured_and_the_discovered_ones(runtime: UpstreamRuntime, tables: Tables) -> None:
    live = runtime.open(config("users", [C], discovery=TABLE))
    assert ids(live) == {"c"}

    assert await live.wait_for_endpoints(10)
    assert ids(live) == {"a", "c"}

    tables.made[0].put([A, B])
    await until(lambda: ids(live) == {"a", "b", "c"})
    await live.aclose()


async def test_endpoints_that_come_later_or_are_opened_begin_slowly_and_those_at_the_start_do_not(
    runtime: UpstreamRuntime, tables: Tables
) -> None:
    found = runtime.open(config("users", [C], discovery=TABLE))
    await found.wait_for_endpoints(10)
    at_start = {endpoint.id: endpoint.joined_at for endpoint in found.upstream.endpoints}
    tables.made[0].put([A, B])
    await until(lambda: ids(found) == {"a", "b", "c"})
    drained = runtime.open(config("orders", [A, B], status={"b": "drain"}))
    reloaded = runtime.open(config("orders", [A, B, C]))

    assert at_start == {"a": float("-inf"), "c": float("-inf")}
    for live, late in ((found, {"b"}), (reloaded, {"b", "c"})):
        assert {endpoint.id for endpoint in live.upstream.endpoints if endpoint.joined_at > float("-inf")} == late
    for live in (found, drained, reloaded):
        await live.aclose()


async def test_a_discovered_endpoint_that_goes_is_closed(runtime: UpstreamRuntime, tables: Tables) -> None:
    live = runtime.open(config("users", (), discovery=TABLE))
    await live.wait_for_endpoints(10)
    live.upstream.endpoints[0].pool = pool = Pool()

    tables.made[0].put([B])

    await asyncio.wait_for(pool.closed.wait(), 30)
    assert ids(live) == {"b"}
    await live.aclose()


async def test_a_reload_does_not_ask_the_discovery_again(runtime: UpstreamRuntime, tables: Tables) -> None:
    old = runtime.open(config("users", (), discovery=TABLE))
    await old.wait_for_endpoints(10)

    new = runtime.open(config("users", (), discovery=TABLE))
    await old.aclose()

    assert ids(new) == {"a"}
    assert len(tables.made) == 1
    tables.made[0].put([B])
    await until(lambda: ids(new) == {"b"})
    await new.aclose()


async def test_waiting_for_a_discovery_that_does_not_respond_ends(runtime: UpstreamRuntime) -> None:
    live = runtime.open(
        config(
            "users",
            (),
            discovery=DiscoveryConfig(
                name="dns", config={"host": "users.test", "nameservers": ["127.0.0.1:1"], "timeout": "10ms"}
            ),
        )
    )

    assert not await live.wait_for_endpoints(0.05)
    await live.aclose()


async def test_active_checks_take_a_sick_endpoint_out_and_back(runtime: UpstreamRuntime) -> None:
    status = 500

    async def health(_: web.Request) -> web.Response:
        return web.Response(status=status)

    app = web.Application()
    app.router.add_get("/health", health)
    async with TestServer(app, host="127.0.0.1") as sick:
        assert sick.port is not None
        check = HealthCheckConfig.model_construct(path="/health", interval=0.02, timeout=5.0, healthy_threshold=1)
        endpoints = [EndpointSpec("http", "127.0.0.1", sick.port)]
        live = runtime.open(config("users", endpoints, health_check=check))
        endpoint = live.upstream.endpoints[0]
        assert endpoint.healthy

        await until(lambda: not endpoint.healthy)
        status = 200
        await until(lambda: endpoint.healthy)
        await live.aclose()


@pytest.mark.parametrize(
    "changed",
    [
        {"health_check": {"path": "/x"}},
        {"health_check": {"headers": {"authorization": "Bearer other"}}},
        {"circuit_breaker": {"window": "4s"}},
        {"keepalive": {"max_idle": 8}},
        {"timeouts": {"connect": "1s"}},
        {"tls": {"verify": False}},
    ],
)
async def test_what_an_endpoint_is_made_with_is_in_force_after_a_reload(
    changed: dict[str, Any], runtime: UpstreamRuntime
) -> None:
    document = {"name": "users", "endpoints": [{"url": "http://127.0.0.1:9"}], "health_check": {"headers": {"a": "b"}}}
    old = runtime.open(UpstreamConfig.model_validate(document))

    same = runtime.open(UpstreamConfig.model_validate(document))
    other = runtime.open(UpstreamConfig.model_validate({**document, **changed}))

    assert same.upstream.endpoints[0] is old.upstream.endpoints[0]
    assert other.upstream.endpoints[0] is not old.upstream.endpoints[0]
    for live in (old, same, other):
        await live.aclose()


@pytest.mark.parametrize(
    ("one", "other"),
    [({"a": 1}, {"a": True}), ({"a": [1, 2]}, {"a": [2, 1]}), ({"a": {"b": 1}}, {"a": {"b": 2}}), ({}, {"a": None})],
)
def test_options_that_differ_have_other_keys(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert frozen(one) != frozen(other)
    assert hash(frozen(one)) == hash(frozen({**one}))


async def test_an_override_holds_over_what_is_discovered_and_configured_later(
    runtime: UpstreamRuntime, tables: Tables
) -> None:
    tables.first = (A, B)
    live = runtime.open(config("users", (), discovery=TABLE))
    await until(lambda: len(live.upstream.endpoints) == 2)
    before = {each.id: each for each in live.upstream.endpoints}

    runtime.override({("users", "a"): EndpointStatus.DRAIN, ("others", "b"): EndpointStatus.DRAIN})
    picked = {live.upstream.pick(None, 1.0) for _ in range(4)}
    assert picked == {before["b"]}

    # It is discovered again, with another weight, and is the same endpoint.
    tables.made[0].put([replace(A, weight=3), B, C])
    await until(lambda: len(live.upstream.endpoints) == 3)
    assert {each.id for each in (live.upstream.pick(None, 1.0) for _ in range(8)) if each is not None} == {"b", "c"}
    assert {each.id: each for each in live.upstream.endpoints}["a"] is before["a"]

    # It goes and comes back.
    tables.made[0].put([B])
    await until(lambda: len(live.upstream.endpoints) == 1)
    tables.made[0].put([A, B])
    await until(lambda: len(live.upstream.endpoints) == 2)
    second = runtime.open(config("users", (A, B)))
    for each in (live, second):
        assert {one.id for one in (each.upstream.pick(None, 1.0) for _ in range(4)) if one is not None} == {"b"}

    runtime.override({})
    for each in (live, second):
        assert {one.id for one in (each.upstream.pick(None, 1.0) for _ in range(4)) if one is not None} == {"a", "b"}
        await each.aclose()
    runtime.override({("users", "a"): EndpointStatus.DRAIN})  # of an upstream that is closed
