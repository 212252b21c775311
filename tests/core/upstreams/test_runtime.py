from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from gateway_core.clock import SystemClock
from gateway_core.upstreams import (
    DiscoveryContext,
    DiscoverySettings,
    EndpointSpec,
    HealthCheckSettings,
    LiveUpstream,
    UpstreamRuntime,
    UpstreamSettings,
)
from gateway_core.upstreams.discovery import StaticDiscovery

A, B, C = (EndpointSpec("http", f"127.0.0.{number}", 80, id=name) for number, name in enumerate("abc", 1))
TABLE = DiscoverySettings("table", {"of": "users"})


class Tables:
    """Discoveries that the test changes by hand."""

    def __init__(self) -> None:
        self.made: list[StaticDiscovery] = []
        self.first: tuple[EndpointSpec, ...] = (A,)

    def __call__(self, config: Mapping[str, Any], context: DiscoveryContext) -> StaticDiscovery:
        if "refuse" in config:
            raise ValueError("refused")
        self.made.append(StaticDiscovery(self.first))
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
    runtime = UpstreamRuntime(SystemClock(), discoveries={"table": tables})
    yield runtime
    await runtime.aclose()


def ids(live: LiveUpstream) -> set[str]:
    return {endpoint.id for endpoint in live.upstream.endpoints}


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the state of the code under test has no event
            await asyncio.sleep(0.005)


async def test_a_reload_keeps_endpoints_position_and_counts(runtime: UpstreamRuntime) -> None:
    old = runtime.open("users", UpstreamSettings(), [A, B, C])
    first = old.upstream.pick(None, 1.0)
    assert first is not None
    first.pool = pool = Pool()
    old.upstream.admission.enter(first)

    new = runtime.open("users", UpstreamSettings(), [A, B, C])
    await old.aclose()

    assert not pool.closed.is_set()
    assert new.upstream.endpoints[0] is first
    assert new.upstream.admission.load.active == 1
    second = new.upstream.pick(None, 1.0)
    assert second is not None
    assert second.id == "b"
    await new.aclose()
    assert pool.closed.is_set()


async def test_other_check_settings_are_another_endpoint(runtime: UpstreamRuntime) -> None:
    old = runtime.open("users", UpstreamSettings(), [A])
    new = runtime.open("users", UpstreamSettings(health_check=HealthCheckSettings(path="/x")), [A])
    other = runtime.open("orders", UpstreamSettings(), [A])

    assert len({live.upstream.endpoints[0] for live in (old, new, other)}) == 3
    for live in (old, new, other):
        await live.aclose()


async def test_a_refused_upstream_leaves_nothing_behind(runtime: UpstreamRuntime) -> None:
    bad_statuses = HealthCheckSettings(enable=True, expected_statuses=("2xx",))

    with pytest.raises(ValueError, match="2xx"):
        runtime.open("users", UpstreamSettings(health_check=bad_statuses), [A])
    with pytest.raises(ValueError, match="'fastest' is not a strategy"):
        runtime.open("users", UpstreamSettings(strategy="fastest"), [A])
    with pytest.raises(ValueError, match="refused"):
        runtime.open("users", UpstreamSettings(), [A], DiscoverySettings("table", {"refuse": True}))
    with pytest.raises(ValueError, match="'zookeeper' is not a discovery: known are dns, table"):
        runtime.open("users", UpstreamSettings(), [A], DiscoverySettings("zookeeper"))

    await asyncio.sleep(0)
    assert not runtime._endpoints
    assert not runtime._loads
    assert not runtime._shared_strategies


async def test_endpoints_are_the_configured_and_the_discovered_ones(runtime: UpstreamRuntime, tables: Tables) -> None:
    live = runtime.open("users", UpstreamSettings(), [C], TABLE)
    assert ids(live) == {"c"}

    assert await live.wait_for_endpoints(10)
    assert ids(live) == {"a", "c"}

    tables.made[0].put([A, B])
    await until(lambda: ids(live) == {"a", "b", "c"})
    await live.aclose()


async def test_a_discovered_endpoint_that_goes_is_closed(runtime: UpstreamRuntime, tables: Tables) -> None:
    live = runtime.open("users", UpstreamSettings(), (), TABLE)
    await live.wait_for_endpoints(10)
    live.upstream.endpoints[0].pool = pool = Pool()

    tables.made[0].put([B])

    await asyncio.wait_for(pool.closed.wait(), 10)
    assert ids(live) == {"b"}
    await live.aclose()


async def test_a_reload_does_not_ask_the_discovery_again(runtime: UpstreamRuntime, tables: Tables) -> None:
    old = runtime.open("users", UpstreamSettings(), (), TABLE)
    await old.wait_for_endpoints(10)

    new = runtime.open("users", UpstreamSettings(), (), TABLE)
    await old.aclose()

    assert ids(new) == {"a"}
    assert len(tables.made) == 1
    tables.made[0].put([B])
    await until(lambda: ids(new) == {"b"})
    await new.aclose()


async def test_waiting_for_a_discovery_that_does_not_answer_ends(runtime: UpstreamRuntime) -> None:
    live = runtime.open(
        "users",
        UpstreamSettings(),
        (),
        DiscoverySettings("dns", {"host": "users.test", "nameservers": ["127.0.0.1:1"], "timeout": "10ms"}),
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
        check = HealthCheckSettings(enable=True, path="/health", interval=0.02, timeout=5.0, healthy_threshold=1)
        endpoints = [EndpointSpec("http", "127.0.0.1", sick.port)]
        live = runtime.open("users", UpstreamSettings(health_check=check), endpoints)
        endpoint = live.upstream.endpoints[0]
        assert endpoint.healthy

        await until(lambda: not endpoint.healthy)
        status = 200
        await until(lambda: endpoint.healthy)
        await live.aclose()
