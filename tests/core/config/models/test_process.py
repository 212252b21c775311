from __future__ import annotations

import pytest
from gateway_core.config import GatewayConfig
from pydantic import ValidationError


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
        {"limits": {"header_timeout": 0}},
        {"limits": {"max_connections": -1}},
        {"admin": {}},
    ],
)
def test_limits_that_would_stop_everything_are_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        GatewayConfig.model_validate(value)
