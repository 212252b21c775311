from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from gateway_plugin_authorize.config import AuthorizeConfig, Rule
from gateway_plugin_authorize.rules import Compiled, Verdict, asks_for_identity, compile_rule, facts_of
from gateway_plugin_sdk import Headers, Identity, Request, TextTooLongError
from hypothesis import given
from hypothesis import strategies as st

CLAIMS: dict[str, Any] = {
    "groups": ["staff"], "roles": ["r"], "scope": "read write", "tenant": {"id": 7}, "vip": True, "email": "a@b.c",
    "amr": ["pwd", "mfa"], "mixed": ["a", 1],
}  # fmt: skip
ALICE = Identity("alice", "jwt", CLAIMS)
TRUE = {"methods": ["GET"]}
FALSE = {"methods": ["PUT"]}
UNKNOWN = {"claim": {"path": "gone", "equals": 1}}


def compiled(rule: dict[str, Any], **options: Any) -> Compiled:
    config = AuthorizeConfig.model_validate({"rule": rule, **options})
    assert config.rule is not None
    return compile_rule(config.rule, facts_of(config, None))


def verdict(rule: dict[str, Any], identity: Identity | None = ALICE, path: str = "/a/b", **options: Any) -> Verdict:
    request = Request("GET", path, Headers())
    request.identity = identity
    return compiled(rule, **options)(request)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"authenticated": True}, True),
        ({"identity": ["bob", "alice"]}, True),
        ({"identity": [{"scheme": "jwt", "subject": "alice"}]}, True),
        ({"identity": [{"scheme": "basic", "subject": "alice"}]}, False),
        ({"identity": ["jwt:alice"]}, False),
        ({"groups": ["staff", "x"]}, True),
        ({"groups": ["x"]}, False),
        ({"roles": ["r"]}, True),
        ({"scopes": ["write"]}, True),
        ({"scopes": ["wri"]}, False),
        ({"consumers": ["x"]}, None),
        ({"claim": {"path": "tenant.id", "equals": 7}}, True),
        ({"claim": {"path": "tenant.id", "one_of": [1, 7]}}, True),
        ({"claim": {"path": "tenant.id", "equals": 8}}, False),
        ({"claim": {"path": "tenant.id", "equals": "7"}}, None),
        ({"claim": {"path": "tenant.id", "equals": True}}, None),
        ({"claim": {"path": "tenant", "equals": 7}}, None),
        ({"claim": {"path": "vip", "equals": True}}, True),
        ({"claim": {"path": "vip", "equals": 1}}, None),
        ({"claim": {"path": "email", "regex": ".*@b[.]c"}}, True),
        ({"claim": {"path": "email", "regex": "a"}}, False),
        ({"claim": {"path": "vip", "regex": ".*"}}, None),
        ({"claim": {"path": "amr", "contains": "mfa"}}, True),
        ({"claim": {"path": "amr", "contains": "otp"}}, False),
        ({"claim": {"path": "amr", "contains": 1}}, None),
        ({"claim": {"path": "mixed", "contains": "a"}}, None),
        ({"claim": {"path": "email", "contains": "a"}}, None),
        ({"methods": ["GET", "PUT"]}, True),
        ({"methods": ["HEAD"]}, False),
        ({"paths": ["/a/b"]}, True),
        ({"paths": ["/a"]}, False),
        ({"path_prefixes": ["/a"]}, True),
        ({"path_prefixes": ["/a/"]}, True),
        ({"path_prefixes": ["/a/b"]}, True),
        ({"path_prefixes": ["/"]}, True),
        ({"path_prefixes": ["/a/bc"]}, False),
        ({"path_prefixes": ["/a/b/c"]}, False),
        ({"groups": ["staff"], "methods": ["PUT"]}, False),
        ({"groups": ["staff"], "methods": ["GET"]}, True),
    ],
)
def test_a_condition_holds_or_not_or_is_not_known(rule: dict[str, Any], expected: Verdict) -> None:
    assert verdict(rule) is expected
    assert verdict({"not": rule}) is (None if expected is None else not expected)


@pytest.mark.parametrize(
    "rule",
    [
        {"identity": ["alice"]}, {"groups": ["staff"]}, {"roles": ["r"]}, {"scopes": ["read"]},
        {"consumers": ["c"]}, {"claim": {"path": "vip", "equals": True}},
    ],
    ids=str,
)  # fmt: skip
def test_nothing_is_known_of_a_caller_that_is_not_known(rule: dict[str, Any]) -> None:
    assert verdict(rule, None) is None
    assert verdict({"not": rule}, None) is None
    assert asks_for_identity(Rule.model_validate({"any": [TRUE, {"not": rule}]}))


ABOUT_GROUPS = [
    {"groups": ["staff"]}, {"groups": ["x"]}, {"claim": {"path": "groups", "contains": "staff"}},
    {"claim": {"path": "groups", "contains": "x"}},
]  # fmt: skip
ABOUT_OTHERS = [{"roles": ["x"]}, {"scopes": ["x"]}, {"claim": {"path": "tenant.id", "equals": 8}}]
CUT_GROUPS = {"hasgroups": True}
CUT_ALL = {"_claim_names": {"groups": "s", "roles": "s", "scope": "s", "tenant": "s"}}


@pytest.mark.parametrize(
    ("rule", "cut"), [*product(ABOUT_GROUPS, [CUT_GROUPS, CUT_ALL]), *product(ABOUT_OTHERS, [CUT_ALL])], ids=str
)
def test_a_claim_that_was_cut_is_not_known_whatever_is_left_of_it(rule: dict[str, Any], cut: dict[str, Any]) -> None:
    alice = Identity("alice", "jwt", {**CLAIMS, **cut})

    assert verdict(rule, alice) is None
    assert verdict({"not": rule}, alice) is None


def test_a_caller_that_is_anonymous_is_not_authenticated() -> None:
    assert verdict({"authenticated": True}, Identity("guest", "anonymous")) is False
    assert verdict({"authenticated": True}, None) is False


@pytest.mark.parametrize(("first", "second"), list(product((True, False, None), repeat=2)))
def test_any_all_and_not_follow_the_logic_of_three_values(first: Verdict, second: Verdict) -> None:
    written = {True: TRUE, False: FALSE, None: UNKNOWN}
    both = {first, second}

    assert verdict({"any": [written[first], written[second]]}) is (
        True if True in both else None if None in both else False
    )
    assert verdict({"all": [written[first], written[second]]}) is (
        False if False in both else None if None in both else True
    )
    assert verdict({"not": written[first]}) is (None if first is None else not first)


RULES = st.recursive(
    st.sampled_from([TRUE, FALSE, UNKNOWN]),
    lambda inner: (
        st.builds(lambda each: {"any": each}, st.lists(inner, min_size=1, max_size=3))
        | st.builds(lambda each: {"all": each}, st.lists(inner, min_size=1, max_size=3))
        | st.builds(lambda each: {"not": each}, inner)
    ),
    max_leaves=8,
)


def replaced(rule: Any, by: Any) -> Any:
    """Return a rule with every unknown one replaced."""
    if rule is UNKNOWN or rule == UNKNOWN:
        return by
    if isinstance(rule, dict):
        return {key: replaced(value, by) for key, value in rule.items()}
    return [replaced(item, by) for item in rule] if isinstance(rule, list) else rule


REQUESTS = st.sampled_from([{"groups": ["staff"]}, {"groups": ["x"]}, {"paths": ["/a/b"]}, {"paths": ["/c"]}])


@given(
    st.recursive(
        st.sampled_from([TRUE, FALSE, UNKNOWN]) | REQUESTS,
        lambda inner: (
            st.builds(lambda each: {"any": each}, st.lists(inner, min_size=1, max_size=3))
            | st.builds(lambda each: {"all": each}, st.lists(inner, min_size=1, max_size=3))
            | st.builds(lambda each: {"not": each}, inner)
        ),
        max_leaves=8,
    ),
    st.sampled_from(["GET", "PUT"]),
    st.sampled_from(["/a/b", "/c"]),
)
def test_a_caller_that_comes_again_gets_the_same(rule: dict[str, Any], method: str, path: str) -> None:
    holds = compiled(rule)
    request = Request(method, path, Headers())
    request.identity = ALICE
    other = Request("PUT", "/other", Headers())
    other.identity = ALICE

    first = compiled(rule)(request)
    holds(other)
    again = [holds(each) for _ in range(20) for each in (other, request)]

    assert again == [compiled(rule)(other), first] * 20


@given(RULES)
def test_what_is_decided_without_knowing_is_decided_the_same_however_it_turns_out(rule: dict[str, Any]) -> None:
    found = verdict(rule)

    if found is not None:
        assert verdict(replaced(rule, TRUE)) is found
        assert verdict(replaced(rule, FALSE)) is found


def test_case_matters_unless_the_option_says_otherwise() -> None:
    rule = {"path_prefixes": ["/Admin"]}

    assert verdict(rule, path="/aDMIN/x") is False
    assert verdict(rule, path="/aDMIN/x", ignore_case=True) is True
    assert verdict({"paths": ["/Admin"]}, path="/admin", ignore_case=True) is True


def test_an_escaped_path_is_the_path() -> None:
    assert verdict({"not": {"path_prefixes": ["/admin"]}}, path="/%61dmin//x") is False


def test_a_text_that_is_too_long_to_match_is_no_false() -> None:
    long = Identity("a", "jwt", {"email": "a" * 100_000})

    with pytest.raises(TextTooLongError):
        verdict({"not": {"claim": {"path": "email", "regex": r"(a+)\1b"}}}, long)


def test_what_is_remembered_is_of_the_very_caller_and_method() -> None:
    rule = compiled({"any": [{"groups": ["a"]}, {"methods": ["GET"], "groups": ["b"]}]})

    def verdict(method: str, *groups: str) -> Verdict:
        request = Request(method, "/", Headers())
        request.identity = Identity("x", "jwt", {"groups": list(groups)})
        return rule(request)

    for _ in range(1500):
        assert (verdict("GET", "a"), verdict("GET", "b"), verdict("PUT", "b"), verdict("GET", "c")) == (
            True,
            True,
            False,
            False,
        )
    request = Request("GET", "/", Headers())
    request.identity = ALICE
    assert [rule(request) for _ in range(20)] == [False] * 20
    request.identity = None
    assert [rule(request) for _ in range(2)] == [None, None]
