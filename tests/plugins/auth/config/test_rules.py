from __future__ import annotations

from typing import Any

import pytest
from gateway_plugin_auth.config import AccessOptions, ClaimRule, SetRuleConfig
from pydantic import ValidationError


@pytest.mark.parametrize(
    ("rule", "met", "unmet"),
    [
        ({"equals": "a"}, ["a"], ["b", ["a"], 1, None]), ({"equals": True}, [True], [1, "true", False]),
        ({"equals": 0}, [0, 0.0], [False, "0"]), ({"equals": False}, [False], [0, None]), ({"equals": ["a"]},
        [["a"]], ["a"]),
        ({"one_of": ["a", 1]}, ["a", 1], [True, "1", "b"]), ({"none_of": ["a", None]}, ["b", 0, ["b"], []],
        ["a", None, ["b", "a"], [None]]), ({"equals": [1]}, [[1], [1.0]], [[True], [1, 1]]),
        ({"equals": {"a": [1]}}, [{"a": [1]}], [{"a": [True]}, {"a": [1], "b": 1}]),
        ({"contains": "a"}, [["b", "a"], "b a"], ["ba", ["b"], {"a": 1}, 5]), ({"contains": 1}, [[1]], [[True],
        ["1"], "1"]),
        ({"regex": "[a-z]+@b"}, ["x@b", ["1", "y@b"]], ["x@bc", "", 5, ["1"]]),
        ({"present": True}, [None, 0, "", False], []), ({"present": False}, [], [None, 0]),
    ],
)  # fmt: skip
def test_rules_on_a_claim(rule: dict[str, Any], met: list[Any], unmet: list[Any]) -> None:
    compiled = ClaimRule.model_validate({"claim": "x.y", **rule}).compiled()

    for value in met:
        assert compiled.holds({"x": {"y": value}}), value
    for value in unmet:
        assert not compiled.holds({"x": {"y": value}}), value


@pytest.mark.parametrize("rule", [{"equals": 1}, {"one_of": [1]}, {"contains": 1}, {"regex": ".*"}, {"present": True}])
def test_a_claim_that_is_not_there_meets_nothing(rule: dict[str, Any]) -> None:
    assert not ClaimRule.model_validate({"claim": "x", **rule}).compiled().holds({"y": 1})


@pytest.mark.parametrize("rule", [{"none_of": [1]}, {"present": False}])
def test_unless_that_is_the_rule(rule: dict[str, Any]) -> None:
    assert ClaimRule.model_validate({"claim": "x", **rule}).compiled().holds({"y": 1})


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ({"claim": "x"}, "exactly one of equals, one_of, none_of, contains, regex, present, not none"),
        ({"claim": "x", "equals": 1, "regex": "a"}, "not equals and regex"),
        ({"claim": "", "equals": 1}, "claim"),
        ({"claim": "x", "regex": "("}, r"'\(' is not a regular expression: missing \)"),
    ],
)
def test_rules_that_say_nothing_or_too_much(rule: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        ClaimRule.model_validate(rule)


def test_a_set_rule_asks_for_something() -> None:
    with pytest.raises(ValidationError, match="nothing is asked for"):
        SetRuleConfig.model_validate({"claim": "x"})


def test_scopes_and_roles_are_where_they_usually_are() -> None:
    rules = AccessOptions.model_validate({"scopes": {"all": ["a"]}, "roles": {"any": ["r"]}}).access_rules()

    assert rules.problem({"scp": ["a"], "roles": ["r"]}) is None
    assert rules.problem({"scope": "a", "roles": "r"}) is None
    assert rules.problem({"scope": "a"}) == "role"


def test_scopes_and_roles_are_looked_for_elsewhere() -> None:
    config = {"roles": {"any": ["r"], "claim": ["realm_access.roles", "resource_access.app.roles"]}}

    rules = AccessOptions.model_validate(config).access_rules()

    assert rules.problem({"resource_access": {"app": {"roles": ["r"]}}}) is None
    assert rules.problem({"roles": ["r"]}) == "role"


def test_rules_survive_being_written_and_read() -> None:
    config = {"scopes": {"any": ["a"]}, "claims": [{"claim": "x", "contains": 1}, {"claim": "y", "present": False}]}
    options = AccessOptions.model_validate(config)

    assert AccessOptions.model_validate(options.model_dump()) == options


@pytest.mark.parametrize("name", ["Host", "content-length", "a b", "", "é", "Transfer-Encoding"])
def test_headers_of_the_gateway_are_not_for_claims(name: str) -> None:
    with pytest.raises(ValidationError):
        AccessOptions.model_validate({"claims_to_headers": {name: "sub"}})


@pytest.mark.parametrize("headers", [{"X-A": "sub", "x-a": "iss"}, {"X-A": "sub", "X_A": "iss"}])
def test_claims_for_one_header_are_refused(headers: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="are one header field for an upstream"):
        AccessOptions.model_validate({"claims_to_headers": headers})


def test_a_header_gets_a_claim_that_has_a_name() -> None:
    with pytest.raises(ValidationError, match="at least 1 character"):
        AccessOptions.model_validate({"claims_to_headers": {"X-A": ""}})


def test_a_text_that_no_caller_can_have_is_refused() -> None:
    with pytest.raises(ValidationError, match="an empty text is held by no caller"):
        SetRuleConfig.model_validate({"all": ["read", ""]})
