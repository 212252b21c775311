from __future__ import annotations

from ipaddress import ip_network

import pytest
from gateway_core.config import GatewayConfig
from pydantic import ValidationError


def test_an_empty_document_is_a_gateway_with_defaults() -> None:
    config = GatewayConfig.model_validate({})

    assert (config.workers, config.fast_lane, config.shutdown_timeout) == (1, True, 30.0)
    assert (config.plugins, config.upstreams, config.routes) == ((), (), ())


def test_trusted_proxies_are_networks() -> None:
    config = GatewayConfig.model_validate({"trusted_proxies": ["10.0.0.0/8", "::1"]})

    assert config.trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("::1/128"))


@pytest.mark.parametrize(
    "value", [{"workers": -1}, {"workers": 5000}, {"listen": []}, {"fast_lane": 1}, {"nonsense": None}]
)
def test_what_is_out_of_range_is_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        GatewayConfig.model_validate(value)
