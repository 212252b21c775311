from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from gateway_plugin_ratelimit.algorithms import Concurrency, FixedWindow, SlidingWindow, TokenBucket
from gateway_plugin_ratelimit.config import LimitConfig
from gateway_plugin_ratelimit.limits import MISSING, Limit
from gateway_plugin_sdk import Request


def limit_of(scope: str = "scope", **options: object) -> Limit:
    return Limit("l", LimitConfig.model_validate({"name": "l", **options}), scope)


@pytest.mark.parametrize(
    ("options", "kind", "quota", "window"),
    [
        ({"rate": 10}, TokenBucket, 10, 1.0),
        ({"rate": 0.5}, TokenBucket, 1, 2.0),
        ({"rate": 90, "per": "1m", "burst": 3}, TokenBucket, 3, 2.0),
        ({"quota": 5, "window": "1h"}, SlidingWindow, 5, 3600.0),
        ({"quota": 5, "window": "1h", "fixed": True}, FixedWindow, 5, 3600.0),
        ({"concurrency": 7}, Concurrency, 7, 0.0),
    ],
)
def test_options_name_the_rule(
    request_of: Callable[..., Request], options: Any, kind: Any, quota: Any, window: Any
) -> None:
    rule: Any = limit_of(**options).rule_for(request_of())

    assert type(rule) is kind
    assert (rule.quota, rule.window) == (quota, window)


def test_an_override_keeps_what_it_does_not_name(request_of: Callable[..., Request]) -> None:
    limit = limit_of(rate=60, per="1m", burst=5, overrides=[{"when": {"method": "POST"}, "rate": 30}])

    rules: list[Any] = [limit.rule_for(request_of(method)) for method in ("GET", "POST")]
    assert [rule.parameters for rule in rules] == [TokenBucket(1, 5).parameters, TokenBucket(0.5, 5).parameters]


def test_counters_of_different_scopes_kinds_and_windows_are_different(request_of: Callable[..., Request]) -> None:
    limits = [
        limit_of("a", rate=1),
        limit_of("b", rate=1),
        limit_of("a", quota=1, window="1s"),
        limit_of("a", quota=1, window="2s"),
        limit_of("a", quota=1, window="1s", fixed=True),
        limit_of("a", concurrency=1),
    ]

    assert len({limit.counter_of(request_of()) for limit in limits}) == len(limits)


def test_a_changed_amount_keeps_the_counter(request_of: Callable[..., Request]) -> None:
    assert limit_of(rate=1).counter_of(request_of()) == limit_of(rate=2, burst=9).counter_of(request_of())


@pytest.mark.parametrize("key", ["client_ip", "identity", ["client_ip", "route"], "header:x-a"])
@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", ""])
def test_the_parts_of_a_counters_name_make_the_same_name_as_the_general_way(
    request_of: Callable[..., Request], key: Any, address: Any
) -> None:
    limit = limit_of(rate=1, key=key, ipv6_prefix=48, when_missing="refuse")
    prefix, key_of, is_address = limit.counter_parts
    requests = [request_of(client_ip=address, headers=headers) for headers in ({}, {"X-A": "1"})]

    for request in requests:
        found = key_of(request)
        if not found:
            assert limit.counter_of(request) == MISSING
        elif not (is_address and ":" in found):
            assert limit.counter_of(request) == prefix + found


@pytest.mark.parametrize(
    "options",
    [
        {"when": {"method": "POST"}},
        {"overrides": [{"when": {"method": "POST"}, "rate": 2}]},
        {"cost": "header:x-cost"},
        {"cost": "response-header:x-cost"},
        {"rate": None, "concurrency": 4},
    ],
)
def test_what_depends_on_the_request_is_no_constant_rule(options: Any) -> None:
    assert limit_of(rate=1).constant_rule is not None
    assert limit_of(**{"rate": 1, **options}).constant_rule is None
