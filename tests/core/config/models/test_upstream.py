from __future__ import annotations

import pytest
from gateway_core.config import EndpointConfig, UpstreamConfig, UpstreamTlsConfig
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

    assert UpstreamConfig.model_validate(upstream).hash_on == (source,)


@pytest.mark.parametrize(
    "change",
    [
        {"hash_on": "header:"}, {"hash_on": "ip"}, {"strategy": "consistent-hash"}, {"endpoints": []}, {"name": ""},
        {"sticky_cookie": {"name": "a b"}}, {"sticky_cookie": {"name": "a", "same_site": "none"}},
        {"panic_threshold": 101},
        {"discovery": {}}, {"timeouts": {"connect": "-1s"}},
        {"hash_on": ["client_ip", "ip"]}, {"send_proxy_protocol": "v3"}, {"send_proxy_protocol": True},
        {"http1": {"tolerant": 1}}, {"endpoints": [{"url": "unix:run/a.sock"}]}, {"preserve_host": "yes"},
        {"tls": {"sans": ["a b"]}}, {"tls": {"sans": ["*.a.test"]}}, {"tls": {"sans": "a.test"}},
    ],
)  # fmt: skip
def test_upstreams_that_cannot_work_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        UpstreamConfig.model_validate({"name": "a", "endpoints": ENDPOINTS, **change})


def test_the_id_of_a_unix_socket_is_its_path() -> None:
    endpoint = EndpointConfig(url="unix:/run/users.sock")

    assert endpoint.id == "/run/users.sock"
    assert endpoint.origin.is_unix


def test_hash_on_alone_means_consistent_hash() -> None:
    assert UpstreamConfig.model_validate({"name": "a", "endpoints": ENDPOINTS}).strategy == "weighted-round-robin"
    assert (
        UpstreamConfig.model_validate(
            {"name": "a", "endpoints": ENDPOINTS, "hash_on": ["cookie:s", "client_ip"]}
        ).strategy
        == "consistent-hash"
    )


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"hash_on": "client_ip", "strategy": "random"}, "hash_on and the strategy random contradict each other"),
        ({"endpoints": [{"url": "http://h", "backup": True}]}, "every endpoint is a backup"),
        (
            {"endpoints": [{"url": "unix:/s"}], "health_check": {"type": "https"}},
            "health_check asks /s by https, which is for URLs",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(change: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        UpstreamConfig.model_validate({"name": "a", "endpoints": ENDPOINTS, **change})


def test_an_extensions_strategy_may_use_what_hash_on_finds() -> None:
    upstream = {"name": "a", "endpoints": ENDPOINTS, "hash_on": "client_ip", "strategy": "rendezvous"}

    assert UpstreamConfig.model_validate(upstream).strategy == "rendezvous"


def test_backups_alone_are_fine_beside_a_discovery() -> None:
    endpoints = [{"url": "http://h", "backup": True}]

    UpstreamConfig.model_validate({"name": "a", "endpoints": endpoints, "discovery": {"name": "dns"}})


def test_discovery_is_enough() -> None:
    assert UpstreamConfig.model_validate({"name": "a", "discovery": {"name": "dns"}}).endpoints == ()


def test_certificate_needs_its_key() -> None:
    with pytest.raises(ValidationError):
        UpstreamTlsConfig(cert="c")
