from __future__ import annotations

from gateway_plugin_ratelimit.config import RateLimitConfig
from gateway_plugin_ratelimit.path_params import path_params


def test_the_parameters_of_keys_and_conditions_are_named_with_their_places() -> None:
    limits = [
        {"name": "a", "rate": 1, "key": ["route", "param:tenant"], "when": {"param:kind": "x"}},
        {"name": "b", "rate": 1, "overrides": [{"when": {"param:plan": "gold"}, "rate": 5}]},
    ]
    config = RateLimitConfig.model_validate({"limits": limits, "exempt": [{"method": "GET", "param:id": "1"}]})

    assert list(path_params(config)) == [
        (("exempt", 0, "param:id"), "id"),
        (("limits", 0, "key"), "tenant"),
        (("limits", 0, "when", "param:kind"), "kind"),
        (("limits", 1, "overrides", 0, "when", "param:plan"), "plan"),
    ]
    assert list(path_params(RateLimitConfig.model_validate({"rate": 1, "key": "param:x"}))) == [(("key",), "x")]
