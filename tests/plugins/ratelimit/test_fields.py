from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from gateway_plugin_ratelimit import RateLimit
from gateway_plugin_ratelimit.config import LimitConfig
from gateway_plugin_ratelimit.fields import ALMOST_ONE, FieldWriter
from gateway_plugin_ratelimit.limits import Limit
from gateway_plugin_ratelimit.reservation import Reservation
from gateway_plugin_sdk import Headers, Request, Response
from gateway_plugin_sdk.testing import PluginHarness


def reservation_of(request: Any, *limits: dict[str, Any], left: list[int], reset: float = 12.2) -> Reservation:
    from gateway_plugin_ratelimit.algorithms import Decision

    compiled = [Limit(str(options["name"]), LimitConfig.model_validate(options), "scope") for options in limits]
    rules: list[Any] = [limit.rule_for(request) for limit in compiled]
    reservation = Reservation(compiled, rules, ["counter"] * len(left), [1] * len(left))
    reservation.decisions = [Decision(True, None, remaining, reset, 0.0) for remaining in left]
    return reservation


BURST = {"name": "burst", "rate": 10, "burst": 25}
DAY = {"name": "day", "quota": 1000, "window": "1d"}
AT_ONCE = {"name": "at-once", "concurrency": 4}


def test_standard_fields_have_an_item_for_each_limit(request_of: Callable[..., Request]) -> None:
    response = Response(200)

    FieldWriter(["standard"]).write(reservation_of(request_of(), BURST, DAY, AT_ONCE, left=[24, 7, 3]), response)

    assert response.headers.items() == [
        ("RateLimit-Policy", '"burst";q=25;w=3, "day";q=1000;w=86400, "at-once";q=4;qu="concurrent-requests"'),
        ("RateLimit", '"burst";r=24;t=13, "day";r=7;t=13, "at-once";r=3'),
    ]


def test_older_fields_are_those_of_the_limit_of_which_least_is_left(request_of: Callable[..., Request]) -> None:
    response = Response(200)

    FieldWriter(["x-ratelimit", "ratelimit"]).write(reservation_of(request_of(), BURST, DAY, left=[24, 7]), response)

    assert response.headers.items() == [
        ("X-RateLimit-Limit", "1000"),
        ("X-RateLimit-Remaining", "7"),
        ("X-RateLimit-Reset", "13"),
        ("RateLimit-Limit", "1000"),
        ("RateLimit-Remaining", "7"),
        ("RateLimit-Reset", "13"),
    ]


@pytest.mark.parametrize(("there", "expected"), [("3", "3"), ("7", "7"), ("90", "7"), ("lots", "7")])
def test_older_fields_that_are_there_stay_if_less_is_left_by_them(
    request_of: Callable[..., Request], there: Any, expected: Any
) -> None:
    response = Response(200, headers={"x-ratelimit-limit": "99", "x-ratelimit-remaining": there, "other": "kept"})

    FieldWriter(["x-ratelimit"]).write(reservation_of(request_of(), DAY, left=[7]), response)

    assert response.headers.get_all("X-RateLimit-Remaining") == [expected]
    assert len(response.headers.get_all("X-RateLimit-Limit")) == 1
    assert response.headers["other"] == "kept"


def test_standard_fields_of_several_bindings_are_one_list(request_of: Callable[..., Request]) -> None:
    response, writer = Response(200), FieldWriter(["standard"])

    writer.write(reservation_of(request_of(), BURST, left=[24]), response)
    writer.write(reservation_of(request_of(), DAY, left=[7]), response)

    assert response.headers.joined("RateLimit") == '"burst";r=24;t=13, "day";r=7;t=13'


def test_a_whole_number_of_seconds_is_not_rounded_up(request_of: Callable[..., Request]) -> None:
    response = Response(200)

    FieldWriter(["standard"]).write(reservation_of(request_of(), DAY, left=[7], reset=30.0000001), response)

    assert response.headers["RateLimit"] == '"day";r=7;t=30'


@pytest.mark.parametrize("styles", [["standard"], ["x-ratelimit"], ["standard", "x-ratelimit", "ratelimit"]])
def test_the_quick_way_writes_the_same_fields(request_of: Callable[..., Request], styles: Any) -> None:
    writer = FieldWriter(styles)
    reservation = reservation_of(request_of(), BURST, left=[24])
    one: Any = writer.compiled(reservation.limits[0], reservation.limits[0].constant_rule)  # type: ignore[arg-type]

    for remaining, reset in [(24, 1.2), (24, 1.2), (24, 0.3), (7, 0.3)]:
        reservation.decisions = reservation_of(request_of(), BURST, left=[remaining], reset=reset).decisions
        expected, quick = Response(200), Response(200)
        writer.write(reservation, expected)
        quick.headers.extend(one[remaining, int(reset + ALMOST_ONE)])
        assert quick.headers.items() == expected.headers.items()


def test_as_many_filled_fields_as_there_are_numbers_are_not_kept(request_of: Callable[..., Request]) -> None:
    limit = reservation_of(request_of(), BURST, left=[24]).limits[0]
    fields = FieldWriter(["standard"]).compiled(limit, limit.constant_rule)  # type: ignore[arg-type]

    for remaining in [*range(3000), *range(3000)]:
        assert Headers(fields[remaining, 7])["RateLimit"] == f'"burst";r={remaining};t=7'

    assert len(fields) <= 1024


@pytest.mark.parametrize(
    ("there", "shown"), [({"X-RateLimit-Remaining": "3"}, "3"), ({"x_ratelimit_limit": "3"}, "24"), ({}, "24")]
)
def test_the_older_fields_of_an_upstream_stay_if_they_leave_less(there: dict[str, str], shown: str) -> None:
    config = {"rate": 1, "burst": 25, "headers": ["x-ratelimit"]}
    with PluginHarness(RateLimit, config) as limiter:
        response = limiter.request(upstream_response=Response(200, headers=there)).response

    assert response.headers.get_all("x-ratelimit-remaining") == [shown]
