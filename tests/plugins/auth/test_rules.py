from __future__ import annotations

import pytest
from gateway_plugin_auth.rules import (
    AccessRules,
    Rule,
    SetRule,
    contains,
    is_same,
    matches,
    texts_of,
)
from gateway_plugin_sdk import MISSING, Pattern, TextTooLongError, claim_path
from hypothesis import given
from hypothesis import strategies as st


def test_comparing_is_jsons() -> None:
    assert is_same(1, 1.0)
    assert not is_same(1, True)
    assert not is_same(False, 0)
    assert not is_same("1", 1)
    assert is_same([1], [1])
    assert not is_same(MISSING, None)


def test_sets_are_lists_of_texts_or_words() -> None:
    assert list(texts_of("a  b")) == ["a", "b"]
    assert list(texts_of(["a b", 5, None])) == ["a b"]
    assert not texts_of(5)
    assert contains("read write", "read")
    assert not contains("readwrite", "read")
    assert contains([1, "a"], 1)
    assert not contains([True], 1)
    assert not contains({"a": 1}, "a")
    assert not contains(MISSING, MISSING)


def test_patterns_match_from_end_to_end() -> None:
    pattern = Pattern.compile("a+")

    assert matches("aa", pattern)
    assert matches(["b", "a"], pattern)
    assert not matches("aab", pattern)
    assert not matches("aa\n", pattern)
    assert not matches(5, pattern)


def test_a_text_that_is_too_long_for_a_pattern_matches_nothing_and_fails_nothing(without_re2: None) -> None:
    with pytest.raises(TextTooLongError) as caught:
        matches("a" * 9_000, Pattern.compile("a+"))

    assert caught.value.status == 431


@given(st.sets(st.sampled_from("abcd")), st.sets(st.sampled_from("abcd")), st.lists(st.sampled_from("abcd")))
def test_set_rules(every: set[str], some: set[str], held: list[str]) -> None:
    rule = SetRule((claim_path("x"), claim_path("y")), frozenset(every), frozenset(some))
    expected = all(text in held for text in every) and (not some or any(text in held for text in some))

    assert rule.holds({"x": held}) == rule.holds({"y": " ".join(held)}) == expected
    assert rule.holds({"x": held[:1], "y": held[1:]}) == expected


def test_the_first_rule_that_is_not_met_is_named() -> None:
    rules = AccessRules(
        SetRule((claim_path("scope"),), frozenset({"b", "a"})),
        SetRule((claim_path("roles"),), some=frozenset({"r"})),
        (Rule(claim_path("x"), lambda value: value == 1),),
    )
    met = {"scope": "a b", "roles": ["r"], "x": 1}

    assert rules.problem(met) is None
    assert rules.problem(met | {"scope": "a"}) == "scope"
    assert rules.problem(met | {"roles": "s"}) == "role"
    assert rules.problem(met | {"x": 2}) == "claim"
    assert rules.scope_needed == "a b"
    assert AccessRules().problem({}) is None


def test_a_refusal_names_only_scopes_that_a_client_can_ask_for() -> None:
    texts = ["read", "a b", 'a"b', "a\\b", "a\nb", "\u0434", "\xfc", "\x7f", "urn:x#y", ""]
    rules = AccessRules(SetRule((claim_path("scope"),), frozenset(texts)))

    assert rules.scope_needed == "read urn:x#y"
