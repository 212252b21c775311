"""What KrakenD's documentation shows of aggregation, sequences and data manipulation, in this plugin's words."""

from __future__ import annotations

from typing import Any

import pytest

from tests.plugins.aggregate.conftest import StartAggregate

pytestmark = pytest.mark.in_turn

CASES: dict[str, tuple[list[dict[str, Any]], dict[str, Any], dict[str, Any]]] = {
    "merge: three services become one object": (
        [{"name": name, "path": f"/{name}"} for name in ("a", "b", "c")],
        {"/a": {"a": 1}, "/b": {"b": 2}, "/c": {"c": 3}},
        {"a": 1, "b": 2, "c": 3},
    ),
    "sequence: the hotel's destination": (
        [
            {"name": "hotel", "path": "/hotels/25", "allow": ["/hotel_id", "/name", "/destination_id"]},
            {"name": "destination", "path": "/destinations/{call:hotel.destination_id}"},
        ],
        {
            "/hotels/25": {"hotel_id": 25, "name": "Hotel California", "destination_id": 1034, "secret": 1},
            "/destinations/1034": {"destination_id": 1034, "destinations": ["LAX", "SFO"]},
        },
        {"hotel_id": 25, "name": "Hotel California", "destination_id": 1034, "destinations": ["LAX", "SFO"]},
    ),
    "sequence: a nested value goes into the body of the last call": (
        [
            {"name": "user", "path": "/user", "group": "user"},
            {
                "name": "mail",
                "path": "/mail",
                "method": "POST",
                "body": {"to": "{call:user.contact.mail}"},
                "group": "mail",
            },
        ],
        {"/user": {"contact": {"mail": "a@x"}}, "/mail": {"sent": True}},
        {"user": {"contact": {"mail": "a@x"}}, "mail": {"sent": True}},
    ),
    "deny: a field and a nested field": (
        [{"name": "a", "path": "/a", "deny": ["/token", "/a/a1"]}],
        {"/a": {"token": "x", "a": {"a1": 1, "a2": 2}}},
        {"a": {"a2": 2}},
    ),
    "allow: fields and a nested field": (
        [{"name": "post", "path": "/a", "allow": ["/user_id", "/date", "/a/a1"]}],
        {"/a": {"user_id": 1, "date": "d", "body": "b", "a": {"a1": 1, "a2": 2}}},
        {"user_id": 1, "date": "d", "a": {"a1": 1}},
    ),
    "mapping: another name": (
        [{"name": "a", "path": "/a", "rename": {"/email": "personal_email"}}],
        {"/a": {"name": "n", "email": "e"}},
        {"name": "n", "personal_email": "e"},
    ),
    "group: the last post beside the user": (
        [{"name": "user", "path": "/u"}, {"name": "post", "path": "/p", "group": "last_post"}],
        {"/u": {"id": 1, "name": "n"}, "/p": {"id": 9, "title": "t"}},
        {"id": 1, "name": "n", "last_post": {"id": 9, "title": "t"}},
    ),
    "target: what is inside of data, without the wrapper": (
        [{"name": "a", "path": "/a", "take": "/data"}],
        {"/a": {"apiVersion": "2.0", "data": {"updated": "u", "totalItems": 800}}},
        {"updated": "u", "totalItems": 800},
    ),
    "collection: a list, with another name": (
        [{"name": "products", "path": "/p", "group": "products"}],
        {"/p": [{"id": 1}, {"id": 2}]},
        {"products": [{"id": 1}, {"id": 2}]},
    ),
    "flatmap: a field within the items of lists goes, another gets a name": (
        [{"name": "a", "path": "/a", "deny": ["/students/*/age"], "rename": {"/students/*/name": "full_name"}}],
        {"/a": {"students": [{"name": "x", "age": 1}, {"name": "y", "age": 2}]}},
        {"students": [{"full_name": "x"}, {"full_name": "y"}]},
    ),
    "static, incomplete: stub data where a backend fails": (
        [
            {"name": "foo", "path": "/foo", "allow": ["/foo"]},
            {"name": "bar", "path": "/bar", "required": False, "default": {"new_field_a": 123, "new_field_b": ["x"]}},
        ],
        {"/foo": {"foo": 42, "x": 1}},
        {"foo": 42, "new_field_a": 123, "new_field_b": ["x"]},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_an_example_of_krakend_gives_what_it_gives_there(aggregate: StartAggregate, name: str) -> None:
    calls, script, expected = CASES[name]
    route = aggregate(calls, script)

    response = route.get()

    assert response.json() == expected
    assert response.headers["X-Aggregate-Complete"] == ("false" if name.startswith("static") else "true")


def test_static_data_wins_over_what_calls_have(aggregate: StartAggregate) -> None:
    route = aggregate([{"name": "a", "path": "/a"}], {"/a": {"v": 1, "x": 2}}, static={"v": "static"})

    assert route.get().json() == {"v": "static", "x": 2}
