from __future__ import annotations

from typing import Any

import pytest
from gateway_core.config.checks.scope import Scope, all_bindings, bindings, fill_route_ids, mappings, text
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


def test_only_well_formed_parts_are_seen() -> None:
    document: dict[str, Any] = {"routes": [{"id": "a"}, "x", None, {"id": 7}]}

    assert [path for path, _ in mappings(document, "routes")] == [("routes", 0), ("routes", 3)]
    assert list(mappings({"routes": {"a": 1}}, "routes")) == []
    assert list(mappings(None, "routes")) == []
    assert [text(route, "id") for _, route in mappings(document, "routes")] == ["a", None]


def test_bindings_have_their_defaults() -> None:
    plugins = [
        {"name": "a"},
        {"name": "b", "id": "c", "enabled": False, "config": None},
        {"id": "x"},
        {"name": "d", "config": 1},
    ]

    first, second, third = bindings({"plugins": plugins})

    assert (first.name, first.id, first.enabled, first.config) == ("a", "a", True, {})
    assert (second.id, second.enabled, second.config) == ("c", False, {})
    assert third.config is None


def test_all_bindings_are_the_gateway_wide_ones_then_those_of_routes() -> None:
    document = {"plugins": [{"name": "a"}], "routes": [{}, {"plugins": [{"name": "b"}]}]}

    assert [binding.path for binding in all_bindings(document)] == [("plugins", 0), ("routes", 1, "plugins", 0)]


def ids(*routes: Any) -> list[Any]:
    document: dict[str, Any] = {"routes": list(routes)}
    fill_route_ids(document)
    return [route.get("id") for route in document["routes"]]


@pytest.mark.parametrize(
    ("route", "name"),
    [
        ({"path": "/users/:id"}, "/users/:id"),
        ({"path": "/users", "methods": ["GET", "PUT"]}, "GET,PUT /users"),
        ({"path_prefix": "/api/"}, "/api/**"),
        ({"path_prefix": "/"}, "/**"),
        ({"path_regex": "/v[0-9]+"}, "~/v[0-9]+"),
        ({}, "route"),
        ({"path": 7, "methods": "GET"}, "route"),
        ({"path": '/a"b\n'}, "/a_b_"),
        ({"id": "mine", "path": "/a"}, "mine"),
    ],
)
def test_ids_are_made_from_methods_and_path(route: dict[str, Any], name: str) -> None:
    assert ids(route) == [name]


def test_repetitions_are_numbered_around_given_ids() -> None:
    assert ids({"path": "/a"}, {"path": "/a"}, {"id": "/a #2", "path": "/b"}, {"path": "/a"}) == [
        "/a",
        "/a #3",
        "/a #2",
        "/a #4",
    ]


def test_an_edit_elsewhere_changes_no_id() -> None:
    before = ids({"path": "/a"}, {"path": "/b"})

    assert ids({"path": "/new"}, {"path": "/a"}, {"path": "/b"})[1:] == before
