from __future__ import annotations

from typing import Any

import pytest
from gateway_core.config.default_ids import fill_route_ids


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
