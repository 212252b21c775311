from __future__ import annotations

from contextlib import aclosing

from gateway_core.upstreams import EndpointSpec
from gateway_core.upstreams.discovery import StaticDiscovery

A, B = EndpointSpec("http", "a", 80), EndpointSpec("http", "b", 80)


async def test_static_endpoints_are_known_at_once_and_change_when_told() -> None:
    discovery = StaticDiscovery([A])
    async with aclosing(discovery.watch()) as answers:  # type: ignore[type-var]
        first = await anext(answers)

        discovery.put([A, B])
        second = await anext(answers)

    assert (first.endpoints, second.endpoints) == ((A,), (A, B))
    assert not first.is_stale
