from __future__ import annotations

from typing import Any

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
        ({"rate": -1}, "greater than 0"),
    ],
)
def test_amounts_that_contradict_each_other_are_refused_with_the_remedy(config: Any, problem: Any) -> None:
    with pytest.raises(ValidationError, match=problem):
        RateLimitConfig.model_validate(config)
