from __future__ import annotations

from typing import Any

import pytest
from gateway_plugin_ratelimit.config import RateLimitConfig
from gateway_plugin_ratelimit.loopholes import find_loopholes


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({"exempt": [{"client_ip": "10.0.0.0/8"}, {"header:X-Internal": "*"}]}, ("exempt", 1)),
        ({"exempt": [{"query:key": "a", "cookie:b": "c"}]}, ("exempt", 0)),
        ({"overrides": [{"when": {"header:X-Internal": "*"}, "unlimited": True}]}, ("overrides", 0)),
        ({"overrides": [{"when": {"header:X-Plan": "gold"}, "rate": 5}]}, ("overrides", 0)),
        ({"overrides": [{"when": {"cookie:plan": "gold"}, "burst": 5}]}, ("overrides", 0)),
        ({"key": "header:X-Tenant", "when_missing": "skip"}, ("when_missing",)),
        ({"key": ["route", "query:key"], "when_missing": "skip"}, ("when_missing",)),
    ],
)
def test_what_a_client_can_free_itself_with_is_a_warning(config: Any, path: Any) -> None:
    (finding,) = find_loopholes(RateLimitConfig.model_validate({"rate": 1, **config}))

    assert finding.path == path
    assert (finding.code, finding.severity) == ("client-chosen", "warning")


@pytest.mark.parametrize(
    "config",
    [
        {"exempt": [{"client_ip": "10.0.0.0/8", "header:X-Internal": "*"}, {"method": "OPTIONS"}]},
        {"overrides": [{"when": {"claim:plan": "gold"}, "unlimited": True}]},
        {"overrides": [{"when": {"header:X-Bulk": "1"}, "rate": 0.5}]},
        {"key": "header:X-Tenant"},
        {"key": "identity", "when_missing": "skip"},
    ],
)
def test_what_no_client_can_claim_is_none(config: Any) -> None:
    assert list(find_loopholes(RateLimitConfig.model_validate({"rate": 1, **config}))) == []


def test_limits_of_a_list_are_looked_at_too() -> None:
    limits = [{"name": "a", "rate": 1}, {"name": "b", "rate": 1, "key": "cookie:c", "when_missing": "skip"}]

    (finding,) = find_loopholes(RateLimitConfig.model_validate({"limits": limits}))

    assert finding.path == ("limits", 1, "when_missing")
