from __future__ import annotations

import json
from typing import Any

import pytest
from gateway_core.config import GatewayConfig
from gateway_core.config.api_document import (
    ApiDocument,
    StoredObject,
    check_match,
    has_whole_references,
    merged,
    restored,
    shown,
)
from gateway_core.config.redaction import HIDDEN, schema_secret_paths
from gateway_core.errors import RefusedError
from hypothesis import given
from hypothesis import strategies as st

ROUTE = {"id": "a", "path": "/a"}
Json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


def test_each_change_has_a_revision_that_never_comes_again() -> None:
    first = ApiDocument().put("routes", "a", ROUTE)
    without = first.remove("routes", "a")
    again = without.put("routes", "a", ROUTE)

    assert [each.revision for each in (first, without, again)] == [1, 2, 3]
    assert (first.routes["a"].etag, again.routes["a"].etag) == ('"1"', '"3"')
    assert (bool(first), bool(without)) == (True, False)


def test_a_replaced_document_keeps_the_revisions_of_what_stays() -> None:
    before = (
        ApiDocument().put("routes", "a", ROUTE).put("routes", "b", {"id": "b"}).put("upstreams", "u", {"name": "u"})
    )

    after = before.replaced({"routes": [{"id": "b", "path": "/b"}, ROUTE], "upstreams": []})

    assert [(name, each.revision) for name, each in after.routes.items()] == [("b", 4), ("a", 1)]
    assert after.upstreams == {}


@pytest.mark.parametrize("routes", [[{}], [{"id": 1}], [{"id": ""}], [ROUTE, ROUTE]])
def test_objects_without_a_name_of_their_own_are_refused(routes: list[dict[str, Any]]) -> None:
    with pytest.raises(RefusedError) as refused:
        ApiDocument().replaced({"routes": routes})

    assert refused.value.status == 422


def test_it_survives_the_disk() -> None:
    document = ApiDocument().put("upstreams", "u", {"name": "u"}).put("routes", "a", ROUTE)

    assert ApiDocument.from_plain(json.loads(json.dumps(document.to_plain()))) == document
    assert json.loads(document.text()) == {"upstreams": [{"name": "u"}], "routes": [ROUTE]}


@pytest.mark.parametrize("plain", [{}, {"format": 2}, {"format": 1, "revision": 1, "routes": [[1]], "upstreams": []}])
def test_damage_is_named(plain: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"damaged|another version|unpack"):
        ApiDocument.from_plain(plain)


@pytest.mark.parametrize(
    ("if_match", "if_none_match", "is_there", "status"),
    [
        (None, None, True, 428),
        (None, None, False, 428),
        ('"7"', None, True, None),
        ('"1", "7"', None, True, None),
        ("*", None, True, None),
        ('"6"', None, True, 412),
        ('W/"7"', None, True, 412),
        ("7", None, True, 412),
        ("*", None, False, 412),
        ('"7"', None, False, 412),
        (None, "*", False, None),
        (None, "*", True, 412),
        (None, '"7"', False, 412),
    ],
)
def test_preconditions(if_match: str | None, if_none_match: str | None, is_there: bool, status: int | None) -> None:
    stored = StoredObject(7, ROUTE) if is_there else None

    if status is None:
        check_match(if_match, if_none_match, stored)
        return
    with pytest.raises(RefusedError) as refused:
        check_match(if_match, if_none_match, stored)
    assert refused.value.status == status


@pytest.mark.parametrize(
    ("value", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patches_of_rfc_7396(value: Any, patch: Any, result: Any) -> None:
    assert merged(value, patch) == result


def test_what_is_or_may_be_a_secret_is_hidden() -> None:
    value = {
        "id": "a",
        "plugins": [{"name": "auth", "config": {"secret": "s3"}}],
        "respond": {"status": 200, "body": "s3"},
        "target": "http://user:s3@host/",
        "headers": {"authorization": "s3", "x-team": "a"},
        "tls": {"password": "s3"},
    }

    hidden = shown(value)

    assert "s3" not in json.dumps(hidden)
    assert (hidden["id"], hidden["headers"]["x-team"], hidden["respond"]["status"]) == ("a", "a", 200)
    assert restored(hidden, value) == value


def test_what_the_schema_marks_as_a_secret_is_hidden_whatever_its_name() -> None:
    keys = schema_secret_paths(GatewayConfig.model_json_schema())
    assert [path for path in keys if path.startswith(("routes.", "upstreams."))] == [
        "upstreams.*.health_check.headers.*"
    ]
    value = {"name": "u", "health_check": {"path": "/", "headers": {"cookie": "secret-text"}}}

    hidden = shown(value)

    assert hidden == {"name": "u", "health_check": {"path": "/", "headers": {"cookie": HIDDEN}}}
    assert restored(hidden, value) == value
    assert shown({"health_check": {"headers": "secret-text"}}) == {"health_check": {"headers": HIDDEN}}


@given(value=Json)
def test_what_is_shown_can_be_written_again(value: Any) -> None:
    assert restored(shown(value), value) == value


def test_hidden_bindings_are_known_by_their_names_and_not_by_their_order() -> None:
    before = {"plugins": [{"name": "a", "config": 1}, {"name": "b", "config": 2}]}

    assert restored({"plugins": [{"name": "b", "config": HIDDEN}]}, before) == {"plugins": [{"name": "b", "config": 2}]}
    with pytest.raises(RefusedError):
        restored({"plugins": [{"name": "c", "config": HIDDEN}]}, before)


@pytest.mark.parametrize(
    "value", ["${TOKEN}", "${file:/run/token}", "$${X:-y}", "plain", 1, {"a": ["${A}", {"b": "${B}"}]}]
)
def test_references_that_are_values_of_their_own(value: Any) -> None:
    assert has_whole_references({"id": "a", "x": value})


@pytest.mark.parametrize(
    "value",
    [
        "http://${HOST}", "${A}${B}", "${A:-http://127.0.0.1}", "${A:?why}", "${file:${NAME}}", "${file:/a} ", "${A",
        {"${A}": 1}, [{"x": "a ${B}"}],
    ],
)  # fmt: skip
def test_references_that_are_part_of_a_value_or_have_a_default(value: Any) -> None:
    assert not has_whole_references({"id": "a", "x": value})
