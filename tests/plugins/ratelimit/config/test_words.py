from __future__ import annotations

from typing import Any

import pytest
from gateway_plugin_ratelimit.config import RateLimitConfig
from pydantic import ValidationError


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"rate": 1, "exempt": [{"client_ip": "10.0.0"}]}, "'10.0.0' is not a network: write for example"),
        ({"rate": 1, "key": "ip"}, "String should match pattern"),
        ({"rate": 1, "key": "header:X Tenant"}, "'x tenant' is not a header name"),
        ({"rate": 1, "cost": "header:X:Cost"}, "'x:cost' is not a header name"),
        ({"rate": 1, "cost": "response-header:X Cost"}, "'x cost' is not a header name"),
        ({"rate": 1, "name": 'a"b'}, "String should match pattern"),
    ],
)
def test_what_is_no_source_network_cost_or_name_is_refused(config: Any, problem: Any) -> None:
    with pytest.raises(ValidationError, match=problem):
        RateLimitConfig.model_validate(config)


def test_one_source_may_stand_without_a_list() -> None:
    config = RateLimitConfig.model_validate({"rate": 1, "key": "route", "exempt": [{"method": "OPTIONS"}]})

    assert config.key == ("route",)
    assert config.exempt == ({"method": ("OPTIONS",)},)
