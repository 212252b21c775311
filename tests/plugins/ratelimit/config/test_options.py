from __future__ import annotations

from typing import Any

import pytest
from gateway_plugin_ratelimit.config import RateLimitConfig
from pydantic import ValidationError


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"rate": 1, "limits": [{"name": "a", "rate": 1}]}, "rate stands beside limits: move it into each"),
        ({"limits": [{"name": "a", "rate": 1}, {"name": "a", "rate": 2}]}, "two limits are called 'a'"),
        ({"rate": 1, "redis": {}}, "redis belongs to store: redis"),
        ({"rate": 1, "brust": 2}, "Extra inputs are not permitted"),
    ],
)
def test_options_that_contradict_each_other_are_refused_with_the_remedy(config: Any, problem: Any) -> None:
    with pytest.raises(ValidationError, match=problem):
        RateLimitConfig.model_validate(config)
