from __future__ import annotations

import pytest
from gateway_core.config import EndpointConfig, UpstreamConfig
from pydantic import ValidationError

ENDPOINTS = [{"url": "http://127.0.0.1:8081"}]


def test_endpoint_is_named_after_its_address() -> None:
    assert EndpointConfig(url="http://users").id == "users:80"
    assert EndpointConfig(url="https://[::1]").id == "[::1]:443"
    assert EndpointConfig(url="http://users", id="a").id == "a"
    assert EndpointConfig(url="http://users:81").origin.port == 81


def test_policies_that_are_not_given_are_off() -> None:
    upstream = UpstreamConfig.model_validate({"name": "a", "endpoints": ENDPOINTS})

    assert upstream.health_check is None
    assert upstream.circuit_breaker is None
    assert upstream.retries is None


def test_policies_that_are_given_are_on() -> None:
    upstream = UpstreamConfig.model_validate(
        {"name": "a", "endpoints": ENDPOINTS, "health_check": {}, "circuit_breaker": {}}
    )

    assert upstream.health_check is not None
    assert upstream.health_check.enable
    assert upstream.circuit_breaker is not None
    assert upstream.circuit_breaker.enable


@pytest.mark.parametrize("source", ["client_ip", "header:x-user", "cookie:a", "query:q", "param:id"])
def test_hash_sources(source: str) -> None:
    upstream = {"name": "a", "endpoints": ENDPOINTS, "strategy": "consistent-hash", "hash_on": source}

    assert UpstreamConfig.model_validate(upstream).hash_on == source


@pytest.mark.parametrize(
    "change",
    [
        {"hash_on": "header:"}, {"hash_on": "ip"}, {"strategy": "consistent-hash"}, {"endpoints": []}, {"name": ""},
        {"sticky_cookie": {"name": "a b"}}, {"sticky_cookie": {"name": "a", "same_site": "none"}},
        {"panic_threshold": 101},
        {"discovery": {}}, {"timeouts": {"connect": "0s"}},
    ],
)  # fmt: skip
def test_upstreams_that_cannot_work_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        UpstreamConfig.model_validate({"name": "a", "endpoints": ENDPOINTS, **change})


def test_discovery_is_enough() -> None:
    assert UpstreamConfig.model_validate({"name": "a", "discovery": {"name": "dns"}}).endpoints == ()
