from __future__ import annotations

from typing import Any

import pytest
from gateway_plugin_cache.config import CacheConfig
from pydantic import ValidationError


def test_nothing_has_to_be_configured() -> None:
    config = CacheConfig()

    assert (config.default_ttl, config.heuristic_fraction, config.statuses) == (None, 0.0, ())
    assert (config.cookies, config.set_cookie) == ("bypass", "refuse")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"cache_status": "my cache"}, "is not a token"),
        ({"max_body": "128MiB"}, "max_body is larger than memory.size"),
        ({"remove_query": ["a=b"]}, "is not the name of a query parameter"),
        ({"statuses": [100]}, "greater than or equal to 200"),
        ({"cookies": []}, "at least 1 item"),
        ({"heuristic_fraction": 2}, "less than or equal to 1"),
    ],
)
def test_what_makes_no_sense_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        CacheConfig.model_validate(config)
