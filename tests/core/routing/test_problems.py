from __future__ import annotations

import pytest
from gateway_core.routing import ConditionError, HostError, PatternError, RewriteError, Router, RouteRule, RuleError


def test_every_problem_of_a_rule_is_a_rule_error() -> None:
    for kind in (ConditionError, HostError, PatternError, RewriteError):
        assert issubclass(kind, RuleError)


def test_a_table_with_a_bad_rule_is_refused_with_its_problem() -> None:
    with pytest.raises(RuleError, match="has a port"):
        Router.build([RouteRule(id="a", payload=None, path="/", hosts=("a.com:80",))])
