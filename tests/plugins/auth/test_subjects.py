from __future__ import annotations

from typing import Any

import pytest
from gateway_plugin_auth.subjects import subject_of
from gateway_plugin_sdk import claim_path


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"a": "alice", "b": "bob"}, "alice"),
        ({"b": "bob"}, "bob"),
        ({"a": 5}, "5"),
        ({"a": True, "b": "bob"}, None),
        ({"a": None, "b": "bob"}, None),
        ({"a": ["alice"]}, None),
        ({"a": "", "b": "bob"}, ""),
        ({}, ""),
    ],
)
def test_the_first_claim_that_is_there_names_the_caller(claims: dict[str, Any], name: str | None) -> None:
    readers = [claim_path("a"), claim_path("b")]

    assert subject_of(claims, readers, is_asked_for=False) == name
    assert subject_of(claims, readers, is_asked_for=True) == (name or None)
