from __future__ import annotations

import json
from typing import Any

from gateway_core.cli.comparison import MOST_GROUPS, Comparison, Decision, Failure, Outcome, differences_between
from gateway_core.cli.recording import RecordedRequest

REQUEST = RecordedRequest("GET", "a.test", "/users/1", route="recorded")
USERS = Decision("users", "people")


def outcome(status: int = 200, **more: Any) -> Outcome:
    return Outcome(status, more.pop("headers", {}), **more)


def test_status_headers_body_and_decision_are_compared() -> None:
    old = outcome(headers={"vary": "a", "allow": "GET"}, body="1 bytes", decision=USERS)
    new = outcome(404, headers={"vary": "b"}, body="2 bytes", decision=Decision(None, None))

    assert [tuple(each) for each in differences_between(old, new)] == [
        ("route", "users", "none"),
        ("upstream", "people", "none"),
        ("status", "200", "404"),
        ("header allow", "GET", "none"),
        ("header vary", "a", "b"),
        ("body", "1 bytes", "2 bytes"),
    ]
    assert list(differences_between(old, old)) == []


def test_a_decision_that_is_known_of_one_only_is_no_difference() -> None:
    assert list(differences_between(outcome(decision=USERS), outcome())) == []


def test_differences_are_grouped_by_route_with_a_count_and_an_example() -> None:
    comparison = Comparison()
    for n in range(3):
        comparison.add(REQUEST, outcome(decision=USERS, body=f"{n}"), outcome(404, decision=USERS, body=f"{n}{n}"))
    comparison.add(REQUEST, outcome(), outcome(500))
    comparison.add(REQUEST, outcome(), outcome())

    assert list(comparison.lines()) == [
        "users: 3 differ",
        "  3 such as GET a.test/users/1",
        "    status: 200 -> 404",
        "    body: 0 -> 00",
        "recorded: 1 differ",
        "  1 such as GET a.test/users/1",
        "    status: 200 -> 500",
        "5 compared, 4 different",
    ]
    plain = json.loads(json.dumps(comparison.to_plain()))
    assert [(each["route"], each["count"]) for each in plain["routes"]] == [("users", 3), ("recorded", 1)]
    assert (plain["compared"], plain["same"], plain["different"]) == (5, 1, 4)


def test_what_has_no_response_is_undecided_and_not_different() -> None:
    comparison = Comparison()
    comparison.add(REQUEST, outcome(), Failure("no connection"))
    comparison.add(REQUEST, Failure("a"), Failure("b"))

    assert (comparison.compared, comparison.different, comparison.is_decided) == (0, 0, False)
    assert comparison.undecided == {"new: no connection": 1, "old: a; new: b": 1}


def test_nothing_is_decided_by_no_request() -> None:
    comparison = Comparison()
    assert not comparison.is_decided

    comparison.add(REQUEST, outcome(), outcome())
    assert comparison.is_decided


def test_memory_is_bounded_and_what_is_beyond_is_counted() -> None:
    comparison = Comparison()
    for n in range(MOST_GROUPS + 5):
        comparison.add(RecordedRequest("GET", "", "/", route=f"r{n}"), outcome(), outcome(404))
        comparison.add(REQUEST, Failure(f"reason {n}"), outcome())

    assert (len(comparison.groups), comparison.ungrouped, comparison.different) == (MOST_GROUPS, 5, MOST_GROUPS + 5)
    assert len(comparison.undecided) <= 101
    assert comparison.undecided.total() == MOST_GROUPS + 5
