from __future__ import annotations

from gateway_core.routing import (
    Explanation,
    Match,
    MethodNotAllowed,
    Router,
    RouteRule,
    ValueCondition,
    explain,
    path_problem,
)
from hypothesis import given, settings

from tests.core.routing.strategies import LENIENT, REQUESTS, Request, lookup, tables

RULES: list[RouteRule[str]] = [
    RouteRule(id="users", payload="", path="/api/users/:id", methods=frozenset({"GET", "HEAD"}), order=0),
    RouteRule(id="beta", payload="", path="/api/users/:id", headers=(ValueCondition("X-V", value="2"),), order=1),
    RouteRule(id="api", payload="", path_prefix="/api", order=2),
    RouteRule(id="host", payload="", path_prefix="/api", hosts=("a.com",), order=3),
    RouteRule(id="query", payload="", path="/api/users/:id", query=(ValueCondition("q", present=False),), order=4),
    RouteRule(id="posts", payload="", path="/api/posts/:id", order=5),
    RouteRule(id="far", payload="", path="/other", order=6),
    RouteRule(id="first", payload="", path_prefix="/", priority=-1, order=7),
]


def route_and_params(outcome: object) -> object:
    return (outcome.rule, outcome.params) if isinstance(outcome, Match) else outcome


def ask(
    method: str, path: str, query: str = "", headers: dict[str, str] | None = None, limit: int = 9
) -> Explanation[str]:
    return explain(
        RULES,
        method,
        "b.com",
        path,
        query,
        lookup({name: [value] for name, value in (headers or {}).items()}),
        limit=limit,
    )


def reasons(explanation: Explanation[str]) -> dict[str, tuple[str, ...]]:
    return {loser.rule.id: loser.reasons for loser in explanation.losers}


def test_the_winner_comes_with_what_the_others_lacked() -> None:
    explanation = ask("GET", "/api/users/7", query="q")

    assert isinstance(explanation.outcome, Match)
    assert explanation.outcome.rule.id == "users"
    assert explanation.outcome.params == {"id": "7"}
    assert reasons(explanation) == {
        "beta": ("headers: x-v is absent",),
        "query": ("query: q is present, it must be absent",),
        "api": ("path: /api is less specific than /api/users/:id of 'users'",),
        "host": ("hosts: b.com is not one of a.com",),
        "posts": ("path: /api/users/7 is not matched by /api/posts/:id",),
        "far": ("path: /api/users/7 is not matched by /other",),
        "first": ("priority: -1 is lower than 0 of 'users'",),
    }


def test_the_nearest_come_first() -> None:
    losers = ask("GET", "/api/users/7", query="q", limit=3).losers

    assert [loser.rule.id for loser in losers] == ["api", "first", "beta"]


def test_other_reasons_are_told() -> None:
    assert reasons(ask("POST", "/api/users/7", headers={"x-v": "3"}))["users"] == (
        "methods: POST is not one of GET, HEAD",
    )
    assert reasons(ask("POST", "/api/users/7", headers={"x-v": "3"}))["beta"] == ("headers: x-v is '3', not '2'",)
    assert reasons(ask("GET", "/api/users/7"))["query"] == ("methods: 'users' has a condition",)
    assert reasons(ask("POST", "/api/users/7", headers={"x-v": "2"}))["query"] == (
        "conditions: 'beta' has more conditions",
    )


def test_a_refused_path_is_explained_by_its_problem() -> None:
    assert ask("GET", "/a/..").outcome == "path has the dot segment '..', raw or encoded"


def test_no_match_is_explained_too() -> None:
    rules = [RouteRule(id="a", payload="", path="/a", methods=frozenset({"GET"}))]
    explanation = explain(rules, "PUT", "", "/a", "", lambda name: ())

    assert explanation.outcome == MethodNotAllowed(("GET",))
    assert reasons(explanation) == {"a": ("methods: PUT is not one of GET",)}


@settings(max_examples=100, deadline=None)
@given(tables(), REQUESTS)
def test_every_loser_has_a_reason_and_the_outcome_is_the_routers(table: list[RouteRule[str]], request: Request) -> None:
    method, host, path, query, headers = request
    explanation = explain(table, method, host, path, query, lookup(headers), policy=LENIENT, limit=99)

    router, (read, flags) = Router.build(table), LENIENT.read(path)
    outcome = router.match(method, host, read, query, lookup(headers))
    problem = path_problem(router, outcome, method, host, path, flags, query, lookup(headers))
    if problem is None:
        assert route_and_params(explanation.outcome) == route_and_params(outcome)
    else:
        assert str(explanation.outcome).startswith(problem)
    for loser in explanation.losers:
        assert loser.reasons
        assert all(loser.reasons)
