from __future__ import annotations

import pytest
from gateway_core.routing import (
    Pattern,
    RouteRule,
    ValueCondition,
    params_of,
    parse_pattern,
    parse_prefix,
    parse_regex,
)
from gateway_core.snapshot.probes import Probe, failed, meeting, path_for


@pytest.mark.parametrize(
    "pattern",
    [parse_pattern("/a/:id/*rest"), parse_prefix("/a"), parse_pattern("/a/user_:n"), parse_regex("/v[0-9]+/(a|b)")],
)
def test_a_path_is_made_that_the_pattern_takes(pattern: Pattern) -> None:
    assert params_of(pattern, path_for(pattern, "1")) is not None


def test_a_request_meets_or_fails_the_conditions_of_a_rule() -> None:
    version, absent = ValueCondition("x-v", value="2"), ValueCondition("x-a", present=False)
    rule = RouteRule("r", None, path="/", headers=(version, absent), query=(ValueCondition("q", regex="[a-z]+"),))

    met = meeting(rule, Probe("GET", "a.test", "/", {}, {}))

    assert (met.headers, met.query) == ({"x-v": "2"}, {"q": "a"})
    assert failed(met.headers, version) == {}
    assert failed(met.headers, absent) == {"x-v": "2", "x-a": "1"}


def test_a_request_is_told_as_people_write_it() -> None:
    probe = Probe("GET", "a.test", "/x", {"x-v": "2"}, {"q": "a b"})

    assert str(probe) == "GET /x?q=a+b at host a.test with x-v: 2"
