from __future__ import annotations

import re
from typing import Any

import pytest
from gateway_plugin_auth.rules import (
    LONGEST_MATCHED_TEXT,
    NOTHING,
    AccessRules,
    Rule,
    SetRule,
    contains,
    find_claim,
    is_same,
    matches,
    texts_of,
)
from hypothesis import given
from hypothesis import strategies as st

CLAIMS = {
    "sub": "a", "null": None, "realm": {"roles": ["x", "y"], "deep": {"er": 1}}, "https://a.example/r": 5,
    "a.b": {"c.d": 6, "c": {"d": 7}},
    "list": [{"x": 1}], "a": {"b": 8},
}  # fmt: skip


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("sub", "a"), ("null", None), ("realm.roles", ["x", "y"]), ("realm.deep.er", 1), ("https://a.example/r", 5),
        ("a.b.c.d", 6), ("a.b", {"c.d": 6, "c": {"d": 7}}), ("x", NOTHING), ("sub.x", NOTHING), ("list.x", NOTHING),
        ("list.0", NOTHING), ("", NOTHING), (".", NOTHING), ("realm.", NOTHING), (".sub", NOTHING), ("null.x", NOTHING),
    ],
)  # fmt: skip
def test_claims_are_found_by_path(path: str, value: Any) -> None:
    assert find_claim(CLAIMS, path) == value


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab.", max_size=3), inner, max_size=3),
)


@given(st.dictionaries(st.text("ab.", max_size=3), json_values), st.text("ab.", max_size=8))
def test_looking_for_a_claim_never_fails(claims: dict[str, Any], path: str) -> None:
    find_claim(claims, path)


@given(st.lists(st.text("ab.", min_size=1, max_size=3), min_size=1, max_size=4))
def test_the_only_claim_is_found_at_its_path(path: list[str]) -> None:
    claims: Any = "here"
    for name in reversed(path):
        claims = {name: claims}

    assert find_claim(claims, ".".join(path)) == "here"


def test_comparing_is_jsons() -> None:
    assert is_same(1, 1.0)
    assert not is_same(1, True)
    assert not is_same(False, 0)
    assert not is_same("1", 1)
    assert is_same([1], [1])
    assert not is_same(NOTHING, None)


def test_sets_are_lists_of_texts_or_words() -> None:
    assert list(texts_of("a  b")) == ["a", "b"]
    assert list(texts_of(["a b", 5, None])) == ["a b"]
    assert not texts_of(5)
    assert contains("read write", "read")
    assert not contains("readwrite", "read")
    assert contains([1, "a"], 1)
    assert not contains([True], 1)
    assert not contains({"a": 1}, "a")
    assert not contains(NOTHING, NOTHING)


def test_patterns_match_from_end_to_end() -> None:
    pattern = re.compile("a+")

    assert matches("aa", pattern)
    assert matches(["b", "a"], pattern)
    assert not matches("aab", pattern)
    assert not matches("aa\n", pattern)
    assert not matches(5, pattern)
    assert not matches("a" * (LONGEST_MATCHED_TEXT + 1), pattern)


@given(st.sets(st.sampled_from("abcd")), st.sets(st.sampled_from("abcd")), st.lists(st.sampled_from("abcd")))
def test_set_rules(every: set[str], some: set[str], held: list[str]) -> None:
    rule = SetRule(("x", "y"), frozenset(every), frozenset(some))
    expected = all(text in held for text in every) and (not some or any(text in held for text in some))

    assert rule.holds({"x": held}) == rule.holds({"y": " ".join(held)}) == expected
    assert rule.holds({"x": held[:1], "y": held[1:]}) == expected


def test_the_first_rule_that_is_not_met_is_named() -> None:
    rules = AccessRules(
        SetRule(("scope",), frozenset({"b", "a"})), SetRule(("roles",), some=frozenset({"r"})), (Rule("x",
        lambda value: value == 1),)
    )  # fmt: skip
    met = {"scope": "a b", "roles": ["r"], "x": 1}

    assert rules.problem(met) is None
    assert rules.problem(met | {"scope": "a"}) == "scope"
    assert rules.problem(met | {"roles": "s"}) == "role"
    assert rules.problem(met | {"x": 2}) == "claim"
    assert rules.scope_needed == "a b"
    assert AccessRules().problem({}) is None
