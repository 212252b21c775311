from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from gateway_core.clock import SystemClock
from gateway_core.config import DiscoveryConfig, EndpointConfig, UpstreamConfig
from gateway_core.upstreams import (
    Discovered,
    DiscoveryContext,
    EndpointSpec,
    LiveUpstream,
    UpstreamRuntime,
    describe_upstream,
)

A, B = (EndpointSpec("http", f"127.0.0.{number}", 80, id=name) for number, name in enumerate("ab", 1))
REGISTRY = DiscoveryConfig(name="registry")


class Registry:
    """A discovery that says what the test puts into it."""

    config_model = None

    def __init__(self) -> None:
        self.responses: asyncio.Queue[Discovered] = asyncio.Queue()

    def __call__(self, config: Mapping[str, Any], context: DiscoveryContext) -> Registry:
        return self

    async def watch(self) -> AsyncIterator[Discovered]:
        while True:
            yield await self.responses.get()

    def say(self, *endpoints: EndpointSpec, strategy: str = "") -> None:
        self.responses.put_nowait(Discovered(endpoints, strategy=strategy))


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
async def runtime(registry: Registry) -> AsyncIterator[UpstreamRuntime]:
    runtime = UpstreamRuntime(SystemClock())
    runtime.extend({}, {"registry": registry})
    yield runtime
    await runtime.aclose()


def strategy_of(live: LiveUpstream) -> str:
    return type(live.upstream._strategy).__name__


def config(name: str, endpoints: Iterable[EndpointSpec], **settings: Any) -> UpstreamConfig:
    given = tuple(EndpointConfig(url=spec.url, id=spec.id) for spec in endpoints)
    return UpstreamConfig(name=name, endpoints=given, **settings)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - the state of the code under test has no event
            await asyncio.sleep(0.005)


async def heard(live: LiveUpstream, *endpoints: EndpointSpec) -> None:
    await until(lambda: {each.id for each in live.upstream.endpoints} == {each.id for each in endpoints})


async def test_the_registry_chooses_where_the_configuration_does_not(
    runtime: UpstreamRuntime, registry: Registry
) -> None:
    live = runtime.open(config("users", (), discovery=REGISTRY))
    registry.say(A, B, strategy="least-requests")
    await heard(live, A, B)
    assert strategy_of(live) == "LeastRequests"
    assert describe_upstream(live.upstream, 1.0)["strategy"] == "least-requests"
    assert live.upstream.pick(None, 1.0) is not None

    # The same endpoints with another strategy are a change, too.
    registry.say(A, B)
    await until(lambda: strategy_of(live) == "WeightedRoundRobin")
    assert describe_upstream(live.upstream, 1.0)["strategy"] == "weighted-round-robin"

    assert {live.upstream.pick(None, 1.0) for _ in range(2)} == set(live.upstream.endpoints)
    await live.aclose()
    assert not runtime._shared_strategies


async def test_weights_of_discovered_endpoints_count_unless_a_strategy_is_named(
    runtime: UpstreamRuntime, registry: Registry
) -> None:
    heavy = replace(A, weight=8)
    live = runtime.open(config("users", (), discovery=REGISTRY))
    registry.say(heavy, B)
    await heard(live, heavy, B)

    picked = Counter(endpoint.id for _ in range(90) if (endpoint := live.upstream.pick(None, 1.0)) is not None)

    assert picked == {A.id: 80, B.id: 10}
    await live.aclose()


async def test_a_configured_strategy_stays(runtime: UpstreamRuntime, registry: Registry) -> None:
    live = runtime.open(config("users", (), strategy="random", discovery=REGISTRY))

    registry.say(A, strategy="least-requests")
    await heard(live, A)

    assert strategy_of(live) == "RandomChoice"
    await live.aclose()


@pytest.mark.parametrize(
    ("wish", "reason"),
    [("fastest", "'fastest' is not a strategy: known are"), ("consistent-hash", "'consistent-hash' needs hash_on")],
)
async def test_a_strategy_that_cannot_be_is_said_once_and_changes_nothing(
    runtime: UpstreamRuntime, registry: Registry, caplog: pytest.LogCaptureFixture, wish: str, reason: str
) -> None:
    live = runtime.open(config("users", (), discovery=REGISTRY))
    registry.say(A, strategy=wish)
    await heard(live, A)
    registry.say(B, strategy=wish)
    await heard(live, B)

    assert strategy_of(live) == "WeightedRoundRobin"
    assert [reason in message for message in caplog.messages] == [True]
    await live.aclose()
    assert not runtime._shared_strategies


async def test_a_reload_keeps_the_wished_strategy_with_its_position(
    runtime: UpstreamRuntime, registry: Registry
) -> None:
    old = runtime.open(config("users", (), discovery=REGISTRY))
    registry.say(A, B, strategy="round-robin")
    await heard(old, A, B)

    new = runtime.open(config("users", (), discovery=REGISTRY))

    assert new.upstream._strategy is old.upstream._strategy
    await old.aclose()
    await new.aclose()
