from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import pytest
from gateway_plugin_sdk import Headers
from gateway_tokens.forwarding import ReservedHeaders, field_readers, field_value, fields_of
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a b", "a b"), (" a", "%20a"), ("é", "%C3%A9"), ("100%", "100%25"), ("a,b", "a,b"), ("\t", "%09"),
        ("\x7f", "%7F"),
        (5, "5"), (1.5, "1.5"), (True, "true"), ([], ""), (["a", "b,c", 1], "a,b%2Cc,1"), ([" "], "%20"),
        ({"a": ["é", "%"]}, '{"a":["\\u00e9","%25"]}'),
    ],
)  # fmt: skip
def test_claims_as_field_values(value: Any, text: str) -> None:
    assert field_value(value) == text


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_every_text_is_a_field_value_that_can_be_turned_back(text: str) -> None:
    headers = Headers([("X", field_value(text))])

    assert len(headers) == 1
    assert unquote(headers["x"]) == text


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1))
def test_every_list_of_texts_can_be_turned_back(texts: list[str]) -> None:
    headers = Headers([("X", field_value(texts))])

    assert [unquote(item) for item in headers["x"].split(",")] == texts


def test_only_claims_that_are_there_become_fields() -> None:
    readers = field_readers({"A": "a", "B": "b.c", "C": "n", "D": "x"})

    assert fields_of({"a": 1, "b": {"c": [2]}, "n": None}, readers) == [("A", "1"), ("B", "2")]


def test_reserved_names_are_dropped_however_they_are_spelt() -> None:
    headers = Headers(
        [("X-User-Id", "1"), ("x_user_id", "2"), ("X_USER-id", "3"), ("X-User", "4"), ("X-User-Idx", "5")]
    )
    headers.extend([("A", "x-user-id: 6"), ("x-user-id", "7")])

    ReservedHeaders(["X-User-Id", "x_other"]).drop(headers)

    assert headers.items() == [("X-User", "4"), ("X-User-Idx", "5"), ("A", "x-user-id: 6")]


def test_names_are_no_patterns() -> None:
    headers = Headers([("X.Y", "1"), ("XaY", "2"), ("x*", "3")])

    ReservedHeaders(["X.Y", "x*"]).drop(headers)

    assert headers.items() == [("XaY", "2")]
