from __future__ import annotations

from typing import Any

import pytest
from gateway_plugin_authorize.consumers import read_consumers
from gateway_plugin_authorize.facts import SetOfCaller, members, words
from gateway_plugin_sdk import Headers, Identity, Request

PATHS = ("groups", "realm.groups")


def groups_of(source: SetOfCaller, claims: Any) -> set[str] | None:
    """Return which of some groups a caller is known to be in; None if that is not known of any of them."""
    request = Request("GET", "/", Headers())
    request.identity = Identity("x", "jwt", claims)
    found = {name: source.condition(frozenset({name}))(request) for name in ("a", "b", "g", "z")}
    if None in found.values():
        assert set(found.values()) == {None}
        return None
    return {name for name, is_in in found.items() if is_in}


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"groups": ["a", "b"]}, {"a", "b"}),
        ({"groups": ()}, set()),
        ({"realm": {"groups": ["a"]}}, {"a"}),
        ({"groups": ["a"], "realm": {"groups": ["b"]}}, {"a"}),
        ({}, None),
        ({"groups": None}, None),
        ({"groups": "a"}, None),
        ({"groups": ["a", 1]}, None),
        ({"groups": {"a": 1}}, None),
        ({"groups": ["a"], "hasgroups": True}, None),
        ({"groups": ["a"], "hasgroups": "true"}, None),
        ({"groups": ["a"], "hasgroups": False}, {"a"}),
        ({"groups": ["a"], "_claim_names": {"groups": "src1"}}, None),
        ({"realm": {"groups": ["a"]}, "_claim_names": {"realm": "src1"}}, None),
        ({"groups": ["a"], "_claim_names": {"roles": "src1"}}, {"a"}),
        ({"groups": ["a"], "_claim_names": "all"}, None),
    ],
)
def test_groups_are_known_only_if_they_are_whole_and_a_list_of_texts(claims: Any, expected: set[str] | None) -> None:
    assert groups_of(SetOfCaller(PATHS, members), claims) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [("a b", {"a", "b"}), (["a b"], {"a b"}), ("", set()), (1, None), ([1], None)]
)
def test_scopes_may_be_one_text(value: object, expected: set[str] | None) -> None:
    found = words(value)

    assert (None if found is None else set(found)) == expected


@pytest.mark.parametrize(
    ("claims", "expected"),
    [({}, {"g"}), ({"groups": ["a"]}, {"a", "g"}), ({"groups": 1}, None), ({"hasgroups": True}, None)],
)
def test_the_groups_of_a_consumer_count_beside_those_of_the_claim(claims: Any, expected: set[str] | None) -> None:
    found = read_consumers("consumers: [{name: a, groups: [g], credentials: [{scheme: jwt, subject: x}]}]")
    assert groups_of(SetOfCaller(PATHS, members, found.find), claims) == expected
