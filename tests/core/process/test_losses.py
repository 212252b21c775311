from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from gateway_core.config import GatewayConfig
from gateway_core.process.losses import losses


def config(
    upstream: dict[str, Any] | None = None, plugins: Sequence[dict[str, Any]] = (), **more: Any
) -> GatewayConfig:
    found = {"name": "u", "endpoints": [{"url": "http://a"}, {"url": "http://b"}], **(upstream or {})}
    route = {"id": "r", "path": "/", "target": "u", "plugins": list(plugins), **more}
    return GatewayConfig.model_validate({"upstreams": [found], "routes": [route]})


STATUS = [{"name": "u", "endpoints": [{"id": "b:80", "url": "http://b:80", "active": 2}]}] * 2
"""As two workers describe the upstream."""


def connections(endpoint: str, active: int) -> dict[str, Any]:
    return {"kind": "connections", "upstream": "u", "endpoint": endpoint, "active_requests": active}


def state(binding: str, what: str) -> dict[str, Any]:
    return {"kind": "plugin_state", "binding": binding, "plugin": "cache", "what": what}


MADE_AGAIN = "is made again, as its configuration changes"


def test_an_endpoint_that_goes_loses_its_connections_and_requests_of_all_workers() -> None:
    after = config({"endpoints": [{"url": "http://a"}]})

    assert list(losses(config(), after, STATUS)) == [connections("http://b:80", 4)]
    assert list(losses(config(), config(), STATUS)) == []


@pytest.mark.parametrize(
    "change",
    [
        {"timeouts": {"connect": "1s"}},
        {"health_check": {"path": "/health"}},
        {"circuit_breaker": {}},
        {"keepalive": {"max_idle": 1}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_all_connections_end_where_a_setting_changes_that_they_depend_on(change: dict[str, Any]) -> None:
    found = list(losses(config(), config(change), STATUS))

    assert found == [connections("http://a:80", 0), connections("http://b:80", 4)]


@pytest.mark.parametrize(
    "change", [{"timeouts": {"response": "1s"}}, {"strategy": "least_requests"}], ids=lambda change: next(iter(change))
)
def test_no_connection_ends_where_another_setting_changes(change: dict[str, Any]) -> None:
    assert list(losses(config(), config(change), STATUS)) == []


def test_a_weight_and_a_drain_cost_no_connection_but_another_id_does() -> None:
    calm = config({"endpoints": [{"url": "http://a", "weight": 3}, {"url": "http://b", "status": "drain"}]})
    renamed = config({"endpoints": [{"url": "http://a"}, {"url": "http://b", "id": "blue"}]})

    assert list(losses(config(), calm, STATUS)) == []
    assert list(losses(config(), renamed, STATUS)) == [connections("http://b:80", 4)]


def test_discovered_endpoints_lose_their_connections_with_their_upstream() -> None:
    status = [{"name": "u", "endpoints": [{"id": "c:80", "url": "http://c:80", "active": 1}]}]
    gone = GatewayConfig.model_validate({"routes": [{"id": "r", "path": "/", "respond": {"status": 200}}]})

    found = list(losses(config(), gone, status))

    assert connections("http://c:80", 1) in found
    assert list(losses(config(), config(), status)) == []


def test_a_binding_loses_its_state_with_its_configuration_and_with_itself() -> None:
    before = config(
        plugins=[{"id": each, "name": "cache", "config": {}} for each in ("kept", "changed", "gone", "off")]
    )
    after = config(
        plugins=[
            {"id": "kept", "name": "cache", "config": {}, "timeout": "3s", "on_error": "continue"},
            {"id": "changed", "name": "cache", "config": {"x": 1}},
            {"id": "off", "name": "cache", "config": {}, "enabled": False},
        ]
    )

    found = list(losses(before, after, ()))

    assert found == [state("r/changed", MADE_AGAIN), state("r/gone", "ends"), state("r/off", "ends")]


def test_the_bindings_of_targets_and_upstreams_count_and_those_of_a_route_that_is_off_end() -> None:
    def split(settings: dict[str, Any], **more: Any) -> GatewayConfig:
        binding = {"id": "c", "name": "cache", "config": settings}
        targets = [{"target": "u", "plugins": [binding]}]
        return config({"plugins": [{**binding, "id": "d"}]}, target=None, targets=targets, **more)

    changed = list(losses(split({}), split({"x": 1}), ()))
    off = list(losses(split({}), split({}, enabled=False), ()))

    assert changed == [state("upstreams/u/c", MADE_AGAIN), state("upstreams/u/d", MADE_AGAIN)]
    assert off == [state("upstreams/u/c", "ends")]
