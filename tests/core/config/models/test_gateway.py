from __future__ import annotations

from ipaddress import ip_network

import pytest
from gateway_core.config import GatewayConfig
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
