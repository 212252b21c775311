from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from gateway_plugin_ratelimit import RateLimit
from gateway_plugin_ratelimit.config import RateLimitConfig
from gateway_plugin_sdk import Metrics, PluginContext, Request, Response
from gateway_plugin_sdk.testing import ManualClock

from tests.plugins.ratelimit.conftest import MakeLimiter


async def test_requests_beyond_the_burst_are_refused_until_tokens_flow_in(
    limiter: MakeLimiter, clock: ManualClock
) -> None:
    limited = await limiter({"rate": 2, "burst": 3})

    assert await limited.passed(5) == 3
    clock.advance(0.5)
    assert await limited.passed(5) == 1


async def test_a_refusal_is_a_429_problem_that_names_the_limit_and_when_to_come_back(
    limiter: MakeLimiter, clock: ManualClock
) -> None:
    limited = await limiter({"rate": 0.4, "burst": 1}, binding="per-client")
    await limited.call()

    answer = await limited.call()

    assert answer.status == 429
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "3"
    problem = json.loads(answer.body)  # type: ignore[arg-type]  # bytes
    assert problem["status"] == 429
    assert problem["violated-policies"] == ["per-client"]
    assert problem["detail"] == "too many requests"


async def test_every_answer_says_what_is_left(limiter: MakeLimiter) -> None:
    limited = await limiter({"rate": 10, "burst": 20}, binding="api")

    answer = await limited.call()

    assert answer.headers["ratelimit-policy"] == '"api";q=20;w=2'
    assert answer.headers["ratelimit"] == '"api";r=19;t=1'
    assert answer.headers["x-ratelimit-limit"] == "20"
    assert answer.headers["x-ratelimit-remaining"] == "19"
    assert answer.headers["x-ratelimit-reset"] == "1"


async def test_clients_are_counted_apart(limiter: MakeLimiter, request_of: Callable[..., Request]) -> None:
    limited = await limiter({"rate": 1, "burst": 2})

    assert await limited.passed(3, lambda: request_of(client_ip="192.0.2.1")) == 2
    assert await limited.passed(3, lambda: request_of(client_ip="192.0.2.2")) == 2


async def test_bindings_of_different_routes_count_apart_unless_they_share_a_group(limiter: MakeLimiter) -> None:
    config = {"rate": 1, "burst": 2}
    grouped = {**config, "group": "search", "name": "search"}

    one, other = await limiter(config, route="r1"), await limiter(config, route="r2")
    assert await one.passed(3) + await other.passed(3) == 4

    one, other = await limiter(grouped, route="r1"), await limiter(grouped, route="r2")
    assert await one.passed(3) + await other.passed(3) == 2


async def test_counters_survive_a_binding_that_was_replaced_by_a_changed_one(limiter: MakeLimiter) -> None:
    before = await limiter({"rate": 1, "burst": 5})
    assert await before.passed(5) == 5

    after = await limiter({"rate": 1, "burst": 5, "refusal": {"detail": "slow down"}})
    await before.plugin.stop()

    assert await after.passed(1) == 0


async def test_counters_are_forgotten_when_no_binding_uses_them(limiter: MakeLimiter) -> None:
    before = await limiter({"rate": 1, "burst": 5})
    assert await before.passed(5) == 5
    await before.plugin.stop()

    after = await limiter({"rate": 1, "burst": 5})

    assert await after.passed(5) == 5


async def test_a_request_that_one_of_several_limits_refuses_is_charged_to_none(
    limiter: MakeLimiter, clock: ManualClock, request_of: Callable[..., Request]
) -> None:
    limited = await limiter(
        {
            "limits": [
                {"name": "second", "rate": 1, "burst": 2},
                {"name": "hour", "quota": 4, "window": "1h", "key": "constant"},
            ]
        }
    )

    assert await limited.passed(3) == 2
    clock.advance(2)
    assert await limited.passed(3) == 2
    clock.advance(2)

    refused = await limited.call(request_of(client_ip="192.0.2.9"))
    assert refused.headers["ratelimit"] == '"second";r=2;t=0, "hour";r=0;t=' + refused.headers["x-ratelimit-reset"]
    assert json.loads(refused.body)["violated-policies"] == ["hour"]  # type: ignore[arg-type]  # bytes


async def test_refused_requests_count_where_the_limit_says_so(limiter: MakeLimiter, clock: ManualClock) -> None:
    lenient = await limiter({"rate": 1, "burst": 1}, route="lenient")
    strict = await limiter({"rate": 1, "burst": 1, "count_refused": True}, route="strict")

    for limited in (lenient, strict):
        await limited.passed(5)
    clock.advance(1)

    assert await lenient.passed(1) == 1
    assert await strict.passed(1) == 0


async def test_concurrency_counts_requests_until_they_are_logged(
    limiter: MakeLimiter, request_of: Callable[..., Request]
) -> None:
    limited = await limiter({"concurrency": 2})
    first, second = request_of(), request_of()
    first_answer = await limited.answer(first)
    await limited.answer(second)

    assert (await limited.call()).status == 429
    limited.finish(first, first_answer)
    third = await limited.call()

    assert third.status == 200
    assert third.headers["ratelimit-policy"] == '"ratelimit";q=2;qu="concurrent-requests"'
    assert third.headers["ratelimit"] == '"ratelimit";r=0'


async def test_a_request_that_a_rate_refuses_holds_no_place(
    limiter: MakeLimiter, request_of: Callable[..., Request]
) -> None:
    limited = await limiter(
        {"limits": [{"name": "at-once", "concurrency": 2}, {"name": "rate", "rate": 1, "burst": 1}]}
    )
    held = request_of()
    await limited.answer(held)

    for _ in range(5):
        refused = await limited.answer(request_of())
        assert json.loads(refused.body)["violated-policies"] == ["rate"]  # type: ignore[arg-type]  # bytes


async def test_a_request_that_concurrency_refuses_is_not_charged(
    limiter: MakeLimiter, clock: ManualClock, request_of: Callable[..., Request]
) -> None:
    limited = await limiter(
        {"limits": [{"name": "at-once", "concurrency": 1}, {"name": "rate", "rate": 1, "burst": 2}]}
    )
    held = request_of()
    answer = await limited.answer(held)
    assert await limited.passed(5) == 0
    limited.finish(held, answer)

    assert await limited.passed(5) == 1


@pytest.mark.parametrize(
    ("cost", "request_options", "taken"),
    [
        (5, {}, 5),
        (0, {}, 0),
        ("header:X-Cost", {"headers": {"X-Cost": "7"}}, 7),
        ("header:X-Cost", {}, 1),
        ("header:X-Cost", {"headers": {"X-Cost": "-3"}}, 1),
        ("header:X-Cost", {"headers": {"X-Cost": "0"}}, 1),
        ("query:n", {"target": "/search?n=9&n=1"}, 9),
        ("query:n", {"target": "/search?n=1&n=9"}, 9),
        ("content-length", {"headers": {"Content-Length": "0"}}, 0),
        ("content-length", {"headers": {"Content-Length": "42"}}, 42),
    ],
)
async def test_a_request_costs_what_the_limit_says(
    limiter: MakeLimiter, request_of: Callable[..., Request], cost: Any, request_options: Any, taken: Any
) -> None:
    limited = await limiter({"quota": 100, "window": "1h", "cost": cost})

    answer = await limited.call(request_of(**request_options))

    assert answer.headers["x-ratelimit-remaining"] == str(100 - taken)


async def test_an_enormous_cost_is_refused_and_breaks_nothing(
    limiter: MakeLimiter, request_of: Callable[..., Request]
) -> None:
    limited = await limiter({"rate": 10, "burst": 100, "cost": "header:X-Cost", "count_refused": True})

    answer = await limited.call(request_of(headers={"X-Cost": "9" * 5000}))

    assert answer.status == 429
    assert int(answer.headers["retry-after"]) > 0


async def test_a_cost_that_the_answer_tells_is_taken_after_it(
    limiter: MakeLimiter, request_of: Callable[..., Request]
) -> None:
    limited = await limiter({"quota": 100, "window": "1h", "cost": "response-header:X-Cost"})
    request = request_of()
    assert limited.plugin.gateway_pre_proxy(request) is None
    limited.plugin.gateway_response(request, Response(200, headers={"X-Cost": "30"}))

    assert (await limited.call()).headers["x-ratelimit-remaining"] == "69"


async def test_content_length_is_announced_as_bytes(limiter: MakeLimiter, request_of: Callable[..., Request]) -> None:
    limited = await limiter({"quota": 1000, "window": "1m", "cost": "content-length", "name": "upload"})

    answer = await limited.call(request_of(headers={"Content-Length": "42"}))

    assert answer.headers["ratelimit-policy"] == '"upload";q=1000;qu="content-bytes";w=60'


async def test_the_first_override_that_fits_gives_another_amount(
    limiter: MakeLimiter, request_of: Callable[..., Request]
) -> None:
    limited = await limiter(
        {
            "rate": 1,
            "burst": 1,
            "key": "identity",
            "overrides": [
                {"when": {"identity": "batch"}, "unlimited": True},
                {"when": {"claim:plan": ["gold", "platinum"]}, "burst": 4},
            ],
        }
    )

    async def passed(identity: str, plan: str) -> int:
        return await limited.passed(6, lambda: request_of(identity=identity, claims={"plan": plan}))

    assert await passed("ann", "free") == 1
    assert await passed("bob", "gold") == 4
    assert await passed("batch", "gold") == 6


async def test_exempt_requests_and_those_that_a_limit_is_not_for_pass(
    limiter: MakeLimiter, request_of: Callable[..., Request]
) -> None:
    limited = await limiter(
        {
            "rate": 1,
            "burst": 1,
            "when": {"method": ["POST", "PUT"]},
            "exempt": [{"client_ip": "10.0.0.0/8"}],
        }
    )

    assert await limited.passed(3, lambda: request_of("GET")) == 3
    assert await limited.passed(3, lambda: request_of("POST", client_ip="10.1.1.1")) == 3
    assert await limited.passed(3, lambda: request_of("POST")) == 1


@pytest.mark.parametrize(
    ("when_missing", "statuses"),
    [
        ("client_ip", [200, 429, 200]),
        ("share", [200, 429, 429]),
        ("skip", [200, 200, 200]),
        ("refuse", [403, 403, 403]),
    ],
)
async def test_requests_without_the_key(
    limiter: MakeLimiter, request_of: Callable[..., Request], when_missing: Any, statuses: Any
) -> None:
    limited = await limiter({"rate": 1, "burst": 1, "key": "header:X-Tenant", "when_missing": when_missing})

    addresses = ("192.0.2.1", "192.0.2.1", "192.0.2.2")
    assert [(await limited.call(request_of(client_ip=address))).status for address in addresses] == statuses


async def test_a_key_that_looks_like_an_address_is_not_that_address(
    limiter: MakeLimiter, request_of: Callable[..., Request]
) -> None:
    limited = await limiter({"rate": 1, "burst": 1, "key": "header:X-Tenant"})

    assert (await limited.call(request_of(client_ip="192.0.2.1"))).status == 200
    assert (await limited.call(request_of(headers={"X-Tenant": "192.0.2.1"}))).status == 200


async def test_a_request_within_its_patience_is_held_back_rather_than_refused(
    limiter: MakeLimiter, request_of: Callable[..., Request]
) -> None:
    limited = await limiter({"rate": 100, "burst": 1, "max_delay": "15ms"})

    results = [limited.plugin.gateway_pre_proxy(request_of()) for _ in range(3)]

    assert results[0] is None
    assert await results[1] is None
    assert isinstance(results[2], Response)


async def test_refusals_are_counted_by_limit(limiter: MakeLimiter, metrics: Metrics) -> None:
    limited = await limiter({"rate": 1, "burst": 1}, binding="b")
    await limited.passed(4)

    assert 'gateway_ratelimit_refused_total{binding="b",limit="b",route="r1"} 3.0' in metrics.exposition().decode()


@pytest.mark.parametrize(
    ("config", "needs"),
    [
        ({"rate": 1}, False),
        ({"rate": 1, "key": ["route", "identity"]}, True),
        ({"rate": 1, "when": {"claim:plan": "free"}}, True),
        ({"rate": 1, "exempt": [{"identity": "monitoring"}]}, True),
        ({"limits": [{"name": "a", "rate": 1, "overrides": [{"when": {"claim:plan": "x"}, "rate": 2}]}]}, True),
    ],
)
def test_a_limit_that_asks_who_is_calling_needs_an_identity(config: Any, needs: Any) -> None:
    assert RateLimit(RateLimitConfig.model_validate(config), _context()).needs == (
        frozenset({"identity"}) if needs else frozenset()
    )


def _context() -> PluginContext:
    return PluginContext("limit", None, ManualClock(), logging.getLogger("test"), Metrics())


async def test_a_body_without_a_length_is_charged_by_its_end(
    limiter: MakeLimiter, request_of: Callable[..., Request]
) -> None:
    limited = await limiter({"quota": 1000, "window": "1h", "cost": "content-length"})

    chunked = {"Transfer-Encoding": "chunked"}
    assert (await limited.call(request_of("POST", headers=chunked), received=5000)).status == 200
    assert (await limited.call(request_of("POST", headers=chunked), received=1)).status == 429


async def test_a_body_with_a_length_is_charged_once(limiter: MakeLimiter, request_of: Callable[..., Request]) -> None:
    limited = await limiter({"quota": 1000, "window": "1h", "cost": "content-length"})

    for _ in range(2):
        request = request_of("POST", headers={"Content-Length": "500"})
        assert (await limited.call(request, received=500)).status == 200
    assert (await limited.call(request_of("POST", headers={"Content-Length": "1"}), received=1)).status == 429


async def test_a_method_override_neither_frees_of_a_limit_nor_passes_by_one(
    limiter: MakeLimiter, request_of: Callable[..., Request]
) -> None:
    asked_for = {"X-HTTP-Method-Override": "POST"}
    plans = [{"when": {"method": "GET"}, "rate": 5, "burst": 5}]
    exempt = await limiter({"rate": 1, "burst": 1, "exempt": [{"method": "OPTIONS"}]}, binding="a")
    writes = await limiter({"rate": 1, "burst": 1, "when": {"method": "POST"}}, binding="b")
    more = await limiter({"rate": 1, "burst": 1, "overrides": plans}, binding="c")
    less = await limiter({"rate": 9, "burst": 9, "overrides": [{"when": {"method": "POST"}, "burst": 1}]}, binding="d")

    assert await exempt.passed(3, lambda: request_of("OPTIONS", headers=asked_for)) == 1
    assert await exempt.passed(3, lambda: request_of("OPTIONS")) == 3
    for limited in (writes, more, less):
        assert await limited.passed(3, lambda: request_of("GET", headers=asked_for)) == 1


async def test_a_refusal_for_a_missing_key_has_its_reason(
    limiter: MakeLimiter, request_of: Callable[..., Request]
) -> None:
    limited = await limiter({"rate": 1, "key": "header:X-Tenant", "when_missing": "refuse"})
    request = request_of()

    assert (await limited.call(request)).status == 403
    assert request.state["ratelimit.refusal"] == "key-missing"
