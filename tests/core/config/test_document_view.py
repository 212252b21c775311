from __future__ import annotations

from typing import Any

from gateway_core.config.document_view import all_bindings, bindings, mappings, text


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
