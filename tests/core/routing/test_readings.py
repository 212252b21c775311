from __future__ import annotations

from collections.abc import Sequence

import pytest
from gateway_core.routing import Match, PathPolicy, Router, RouteRule, path_problem

RULES: list[RouteRule[str]] = [
    RouteRule(id="open", payload="", path_prefix="/", order=0),
    RouteRule(id="tenant", payload="", path="/:tenant/admin", order=1),
    RouteRule(id="item", payload="", path="/items/:id", order=2),
    RouteRule(id="edit", payload="", path="/items/:id/edit", order=3),
    RouteRule(id="home", payload="", path="/shop/", order=4),
    RouteRule(id="page", payload="", path="/shop/:page", order=5),
    RouteRule(id="any", payload="", path_regex="/[^/]+/any", priority=1, order=6),
    RouteRule(id="hosts", payload="", path="/:tenant/hosts", hosts=("a.test",), order=7),
    RouteRule(id="posts", payload="", path="/:tenant/posts", methods=frozenset({"POST"}), order=8),
    RouteRule(id="guarded", payload="", path_prefix="/guarded", order=9),
]
ROUTER = Router.build(RULES)


def problem_of(path: str, host: str = "b.test", method: str = "GET", router: Router[str] = ROUTER) -> str | None:
    def field(_name: str) -> Sequence[str]:
        return ()

    match_path, flags = PathPolicy().read(path)
    found = router.match(method, host, match_path, "", field)
    assert isinstance(found, Match)
    return path_problem(router, found, method, host, path, flags, "", field)


@pytest.mark.parametrize(
    "path",
    [
        "/;/admin",
        "/;a=b/admin",
        "/%3Ba/admin;v=1",
        "//;a/admin",
        "/;a/%3Bb/admin",  # to Tomcat, which does not cut what is behind %3B
        "/%3Bb/;a/admin",
        "/items/;a",
        "/items/%3b",
        "/items/;a/edit",
        "/items/;//edit",
        "/;/any",
        "/shop/;v=1",
    ],
)
def test_a_segment_of_parameters_does_not_lead_past_a_route(path: str) -> None:
    problem = problem_of(path)

    assert problem is not None
    assert "path parameters only" in problem


@pytest.mark.parametrize(
    "path",
    [
        "/;jsessionid=1",
        "/pub/;jsessionid=1",
        "/shop/x/;jsessionid=1",
        "/;/guarded/x",
        "/guarded/;v/x",
        "/x;/admin",
        "/items/1;a/edit;b",
        "/items//edit",
        "/;/items/1",
        "/;/hosts",
        "/;/posts",
    ],
)
def test_segments_of_parameters_pass_where_both_readings_are_of_one_route_or_the_first_one_more_specific(
    path: str,
) -> None:
    assert problem_of(path) is None


def test_the_second_reading_meets_hosts_and_methods_as_the_first_one_does() -> None:
    assert problem_of("/;/hosts", host="a.test") is not None
    assert problem_of("/;/posts", method="POST") is not None


def test_the_policy_of_the_route_comes_first() -> None:
    strict = PathPolicy(duplicate_slash="reject")
    rule: RouteRule[str] = RouteRule(id="all", payload="", path_prefix="/", policy=strict)
    router = Router.build([rule])
    lenient = PathPolicy().read("/a//b")

    found = router.match("GET", "", lenient[0], "", lambda _name: ())

    assert path_problem(router, found, "GET", "", "/a//b", lenient[1], "", lambda _name: ()) == (
        "path has '//': path_policy.duplicate_slash"
    )
