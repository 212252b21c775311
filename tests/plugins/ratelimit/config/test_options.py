from __future__ import annotations

import pytest
from gateway_plugin_ratelimit.config import RateLimitConfig
from pydantic import ValidationError


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({}, "exactly one of rate, quota and concurrency, and this one has none of them"),
        ({"rate": 1, "quota": 5, "window": "1s"}, "this one has rate and quota"),
        ({"quota": 5}, "quota needs a window"),
        ({"quota": 5, "window": "1h", "burst": 3}, "burst belongs to rate, which is not given"),
        ({"rate": 1, "window": "1h"}, "window belongs to quota"),
        ({"rate": 1, "burst": 5, "cost": 6}, "a request that costs 6 can never pass a limit of 5"),
        ({"rate": 1, "cost": 2}, "can never pass a limit of 1"),
        ({"concurrency": 3, "cost": 2}, "cost has no meaning for concurrency"),
        ({"rate": 1, "overrides": [{"when": {"method": "GET"}}]}, "either unlimited: true or an amount"),
        ({"rate": 1, "overrides": [{"when": {"method": "GET"}, "quota": 1, "window": "1s"}]}, "cannot be a quota"),
        ({"rate": 1, "overrides": [{"when": {}, "rate": 2}]}, "at least 1 item"),
        ({"rate": 1, "limits": [{"name": "a", "rate": 1}]}, "rate stands beside limits: move it into each"),
        ({"limits": [{"name": "a", "rate": 1}, {"name": "a", "rate": 2}]}, "two limits are called 'a'"),
        ({"rate": 1, "redis": {}}, "redis belongs to store: redis"),
        ({"rate": 1, "store": "redis", "redis": {"mode": "sentinel"}}, "mode: sentinel needs nodes"),
        ({"rate": 1, "store": "redis", "redis": {"nodes": ["a:1"]}}, "nodes belong to mode: cluster or sentinel"),
        ({"rate": 1, "store": "redis", "redis": {"master": "m"}}, "master belongs to mode: sentinel"),
        ({"rate": 1, "exempt": [{"client_ip": "10.0.0"}]}, "'10.0.0' is not a network: write for example"),
        ({"rate": 1, "key": "ip"}, "String should match pattern"),
        ({"rate": 1, "key": "header:X Tenant"}, "'x tenant' is not a header name"),
        ({"rate": 1, "cost": "header:X:Cost"}, "'x:cost' is not a header name"),
        ({"rate": 1, "cost": "response-header:X Cost"}, "'x cost' is not a header name"),
        ({"rate": 1, "name": 'a"b'}, "String should match pattern"),
        ({"rate": -1}, "greater than 0"),
        ({"rate": 1, "brust": 2}, "Extra inputs are not permitted"),
    ],
)
def test_what_contradicts_itself_is_refused_with_the_remedy(config, problem):
    with pytest.raises(ValidationError, match=problem):
        RateLimitConfig.model_validate(config)


def test_one_source_may_stand_without_a_list():
    config = RateLimitConfig.model_validate({"rate": 1, "key": "route", "exempt": [{"method": "OPTIONS"}]})

    assert config.key == ("route",)
    assert config.exempt == ({"method": ("OPTIONS",)},)
