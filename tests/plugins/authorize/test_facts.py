from __future__ import annotations

from enum import StrEnum
from typing import Any

import pytest
from gateway_plugin_authorize.config import kind_of
from gateway_plugin_authorize.consumers import read_consumers
from gateway_plugin_authorize.facts import SetOfCaller, claim_reader, members, words
from gateway_plugin_sdk import MISSING, Headers, Identity, Request
from hypothesis import given
from hypothesis import strategies as st

PATHS = ("groups", "realm.groups")


class Word(StrEnum):
    """A text whose type derives from that of texts."""

    A = "a"


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
    ("path", "name"),
    [
        ("groups", "groups"),
        ("realm.groups", "realm"),
        ("https://shop.example/groups", "https://shop.example/groups"),
        ("https://shop.example/claims.groups", "https://shop.example/claims"),
        (r"https://shop\.example/claims.groups", "https://shop.example/claims"),
        (r"https://shop\.example/groups", "https://shop.example/groups"),
        (r"a\\b.groups", r"a\b"),
    ],
)
def test_a_claim_that_was_cut_is_not_known_however_its_path_names_it(path: str, name: str) -> None:
    cut = {"_claim_names": {name: "src1"}, "roles": ["a"]}

    assert groups_of(SetOfCaller((path, "roles"), members), {"roles": ["a"]}) == {"a"}
    assert groups_of(SetOfCaller((path, "roles"), members), cut) is None
    assert claim_reader(path)({**cut, path: "a"}) is MISSING


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


VALUES = st.sampled_from(
    [None, "", "a b", "a", 1, True, [], ["a"], ["b", "a"], ["a", 1], [["a"]], ("a",), {"a": 1}, Word.A, [Word.A]]
)
MARKS = st.sampled_from([None, True, False, "all", {}, {"groups": "s"}, {"scope": "s"}, {"other": "s"}])


@given(
    st.dictionaries(st.sampled_from(["groups", "scope", "scp"]), VALUES),
    st.fixed_dictionaries({}, optional={"_claim_names": MARKS, "hasgroups": MARKS}),
    st.sampled_from([(("groups",), members), (("scope", "scp"), words)]),
)
def test_the_quick_look_finds_what_the_thorough_one_finds(claims: Any, marks: Any, source: Any) -> None:
    paths, of = source
    facts = SetOfCaller(paths, of)
    request = Request("GET", "/", Headers())
    request.identity = Identity("x", "jwt", {**claims, **marks})

    for names in (frozenset({"a"}), frozenset({"z"})):
        assert facts.condition(names)(request) is facts.has_any(names, request.identity)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (True, "boolean"),
        (1, "number"),
        (1.5, "number"),
        ("a", "text"),
        (Word.A, "text"),
        (None, "NoneType"),
        ([], "list"),
    ],
)
def test_the_type_of_a_claim_is_that_of_json(value: object, kind: str) -> None:
    assert kind_of(value) == kind
