from __future__ import annotations

from gateway_core.config.checks.scope import Scope
from gateway_core.config.yaml_constructor import Locator
from gateway_core.config.yaml_nodes import compose

from tests.core.config.conftest import Catalogue


def scope() -> Scope:
    text = "a: ${SECRET}\nb: plain\n"
    root = compose("g.yaml", text)
    assert root is not None
    substituted = {id(root.value[0][1])}
    return Scope({}, Locator(root, {"g.yaml": text.splitlines()}), Catalogue(), frozenset(), frozenset(), substituted)


def test_substituted_values_are_shown_as_they_are_written() -> None:
    assert scope().shown(("a",), "hunter2") == '"${SECRET}"'
    assert scope().shown(("b",), "plain") == '"plain"'


def test_substituted_names_are_kept_out_of_hints() -> None:
    assert scope().install_hint(("a",), "hunter2") == ""
    assert scope().install_hint(("b",), "plain") == ""
    assert "pip install gateway-plugin-auth" in scope().install_hint(("b",), "auth")


def test_suggestions_end_when_too_many_names_were_compared() -> None:
    it = scope()
    it.comparisons_left = 3

    assert it.suggestion("usrs", ["users", "orders"]) == 'did you mean "users"?'
    assert it.suggestion("usrs", ["users", "orders"]) == ""


def test_problems_point_at_values_or_keys() -> None:
    it = scope()
    it.add(("b",), "wrong", code="value.invalid")
    it.add_key(("b",), "unknown", code="key.unknown")

    assert [problem.place.column for problem in it.problems] == [4, 1]
