from __future__ import annotations

from ipaddress import ip_network

import pytest
from gateway_core.config import GatewayConfig
from gateway_core.config.models.base import field_texts
from gateway_core.config.models.gateway import LimitsConfig
from gateway_core.config.values import CANONICAL
from pydantic import ValidationError


def test_an_empty_document_is_a_gateway_with_defaults() -> None:
    config = GatewayConfig.model_validate({})

    assert (config.workers, config.server_timing, config.shutdown_timeout) == (1, False, 30.0)
    assert (config.plugins, config.upstreams, config.routes) == ((), (), ())


def test_trusted_proxies_are_networks() -> None:
    config = GatewayConfig.model_validate({"trusted_proxies": ["10.0.0.0/8", "::1"]})

    assert config.trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("::1/128"))


@pytest.mark.parametrize(
    "value", [{"workers": -1}, {"workers": 5000}, {"listen": []}, {"server_timing": 1}, {"nonsense": None}]
)
def test_what_is_out_of_range_is_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        GatewayConfig.model_validate(value)


def test_peers_on_unix_sockets_are_trusted_by_name() -> None:
    config = GatewayConfig.model_validate({"trusted_proxies": ["unix:", "10.0.0.0/8"]})

    assert config.trusted_proxies == ("unix:", ip_network("10.0.0.0/8"))
    assert GatewayConfig.model_validate(config.model_dump(mode="json"), context=CANONICAL) == config


@pytest.mark.parametrize("name", ["Host", "content-length", "Transfer-Encoding", "connection", "upgrade"])
def test_what_frames_a_request_cannot_be_stripped(name: str) -> None:
    with pytest.raises(ValidationError, match="cannot be removed"):
        GatewayConfig.model_validate({"strip_headers": [name]})


def test_strip_headers_takes_whole_names() -> None:
    with pytest.raises(ValidationError, match="no wildcard here: write whole names"):
        GatewayConfig.model_validate({"strip_headers": ["x-user-*"]})


def test_defaults_are_those_of_the_design() -> None:
    limits = GatewayConfig().limits

    assert (limits.max_head_bytes, limits.max_headers, limits.max_body_bytes) == (65536, 256, 0)
    assert (limits.header_timeout, limits.body_timeout, limits.idle_timeout) == (10.0, 30.0, 75.0)
    assert GatewayConfig().admin is None
    assert GatewayConfig().log.level == "info"


@pytest.mark.parametrize(
    "value",
    [
        {"limits": {"max_headers": 0}},
        {"limits": {"max_head_bytes": 0}},
        {"limits": {"header_timeout": 0}},
        {"limits": {"max_connections": -1}},
        {"admin": {}},
    ],
)
def test_limits_that_would_stop_everything_are_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        GatewayConfig.model_validate(value)


def test_zero_is_no_limit_where_a_gateway_can_do_without_one() -> None:
    keys = {
        "max_body_bytes", "max_connections", "max_connections_per_client", "max_requests_per_connection",
        "max_requests", "body_timeout", "idle_timeout", "write_timeout", "min_rate",
        "max_streams", "max_connection_age",
    }  # fmt: skip

    limits = GatewayConfig.model_validate({"limits": dict.fromkeys(keys, 0)}).limits

    assert keys | {"max_head_bytes", "max_headers", "header_timeout"} == set(type(limits).model_fields)
    assert limits.idle_wait == limits.write_wait == float("inf")


def test_every_count_says_whether_it_is_each_worker_s_own() -> None:
    texts = field_texts(LimitsConfig)
    for name in LimitsConfig.model_fields:
        counts_over_requests = name.startswith("max_connections") or name == "max_requests"
        assert ("in each worker" in texts[name].replace("\n", " ")) is counts_over_requests, name
