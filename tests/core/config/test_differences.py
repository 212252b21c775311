from __future__ import annotations

import json

from gateway_core.config.differences import differences
from gateway_core.config.redaction import HIDDEN


def test_values_are_named_by_their_key_paths() -> None:
    before = {"a": 1, "routes": [{"id": "x", "path": "/x"}, {"id": "y"}], "limits": {"b": 1}}
    after = {"a": 1, "routes": [{"id": "z"}, {"id": "x", "path": "/z"}], "limits": {"b": 2, "c": [1]}}

    assert list(differences(before, after)) == [
        {"path": "routes[x].path", "before": "/x", "after": "/z"},
        {"path": "routes[y]", "before": {"id": "y"}, "after": None},
        {"path": "routes[z]", "before": None, "after": {"id": "z"}},
        {"path": "limits.b", "before": 1, "after": 2},
        {"path": "limits.c", "before": None, "after": [1]},
    ]
    assert list(differences(before, before)) == []


def test_another_order_is_a_difference() -> None:
    found = list(differences({"routes": [{"id": "x"}, {"id": "y"}]}, {"routes": [{"id": "y"}, {"id": "x"}]}))

    assert found == [{"path": "routes", "before": ["x", "y"], "after": ["y", "x"]}]


def test_secrets_that_differ_are_named_and_not_shown() -> None:
    before = {"plugins": [{"name": "auth", "config": {"secret": "old"}}], "password": "old"}
    after = {"plugins": [{"name": "auth", "config": {"secret": "new"}}], "password": "new"}

    found = list(differences(before, after))

    assert found == [
        {"path": "plugins[auth].config", "before": HIDDEN, "after": HIDDEN},
        {"path": "password", "before": HIDDEN, "after": HIDDEN},
    ]
    assert "old" not in json.dumps(found)


def test_lists_and_keys_with_dots_hide_secrets_as_well() -> None:
    tokens = [[{"name": "a", "hash": each}, {"name": "b", "hash": "same"}] for each in ("old", "new")]
    before = {"admin": {"tokens": tokens[0]}, "config": [{"name": "x", "value": "old"}], "password.of": {"a.b": "old"}}
    after = {"admin": {"tokens": tokens[1]}, "config": [{"name": "x", "value": "new"}], "password.of": {"a.b": "old"}}

    found = list(differences(before, after))

    assert found == [
        {"path": "admin.tokens", "before": HIDDEN, "after": HIDDEN},
        {"path": "config", "before": HIDDEN, "after": HIDDEN},
    ]
