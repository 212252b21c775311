from __future__ import annotations

from typing import Any

import pytest
from gateway_plugin_ratelimit.config import RateLimitConfig
from pydantic import ValidationError


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"rate": 1, "store": "redis", "redis": {"mode": "sentinel"}}, "mode: sentinel needs nodes"),
        ({"rate": 1, "store": "redis", "redis": {"nodes": ["a:1"]}}, "nodes belong to mode: cluster or sentinel"),
        ({"rate": 1, "store": "redis", "redis": {"master": "m"}}, "master belongs to mode: sentinel"),
    ],
)
def test_addresses_that_do_not_fit_the_mode_are_refused(config: Any, problem: Any) -> None:
    with pytest.raises(ValidationError, match=problem):
        RateLimitConfig.model_validate(config)
