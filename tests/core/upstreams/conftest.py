from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import pytest
from gateway_core.config import DiscoveryConfig, EndpointConfig, UpstreamConfig
from gateway_core.leases import Lease, Leases
from gateway_core.upstreams import Candidates, Endpoint, EndpointKey, EndpointSpec, Upstream
from gateway_core.upstreams.strategies import make_strategy

MakeCandidates = Callable[..., Candidates]
MakeUpstream = Callable[..., Upstream]


def _spec(name: str, weight: int = 1) -> EndpointSpec:
    return EndpointSpec("http", f"{name}.test", 80, id=name, weight=weight)


@pytest.fixture
def make_candidates() -> MakeCandidates:
    """Candidates by name and weight; the same name always gives the same endpoint."""
    known: dict[str, Endpoint] = {}

    def make(**weights: int) -> Candidates:
        for name in weights:
            known.setdefault(name, Endpoint(_spec(name)))
        return Candidates([known[name] for name in weights], list(weights.values()))

    return make


@pytest.fixture
def make_upstream() -> MakeUpstream:
    """An upstream of endpoints a, b, c (or of given ones) with the given settings.

    Those that are not in ``configured`` count as discovered.
    """
    leases: Leases[EndpointKey, Endpoint] = Leases()

    def make(
        endpoints: Sequence[EndpointSpec | str] = ("a", "b", "c"),
        seed: int = 1,
        configured: Sequence[str] = ("a", "b", "c", "x"),
        **settings: Any,
    ) -> Upstream:
        if settings.get("strategy") == "consistent-hash":
            settings.setdefault("hash_on", ("client_ip",))
        known = tuple(EndpointConfig(url="http://unused.test", id=name) for name in configured)
        config = UpstreamConfig(name="u", endpoints=known, discovery=DiscoveryConfig(name="dns"), **settings)

        def acquire(spec: EndpointSpec) -> Lease[Endpoint]:
            depends_on = (config.circuit_breaker, config.health_check)
            key = EndpointKey("u", spec.id, spec.scheme, spec.host, spec.port, spec.path, depends_on)
            return leases.acquire(key, lambda: Endpoint(spec, config.circuit_breaker))

        strategy = make_strategy(config.strategy)
        upstream = Upstream(config, acquire=acquire, strategy=strategy, rng=Random(seed))
        upstream.set_endpoints([_spec(e) if isinstance(e, str) else e for e in endpoints])
        return upstream

    return make
