from __future__ import annotations

import pytest
from gateway_plugin_mock.preferences import Preferences, acceptable, concrete, is_json, read_preferences
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("prefer", "expected"),
    [
        (None, Preferences()),
        ("code=404", Preferences(404)),
        ("code=404, example=cat", Preferences(404, "cat")),
        ('Code = 404 ; example="black cat"', Preferences(404, "black cat")),
        ("respond-async, dynamic=true", Preferences()),
        ("code=99, code=abc, code=101, code=600", Preferences()),
        ("example=", Preferences()),
        ("code=404" + " " * 3000, Preferences()),
    ],
)
def test_what_cannot_be_read_is_not_asked_for(prefer: str | None, expected: Preferences) -> None:
    assert read_preferences(prefer) == expected


def test_what_was_applied_is_said() -> None:
    assert Preferences(404, "cat").applied == 'code=404, example="cat"'
    assert Preferences().applied == ""


OFFER = ["text/plain", "application/json", "application/xml; charset=utf-8", "application/hal+json"]


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, ["application/json", "application/hal+json", "text/plain", "application/xml; charset=utf-8"]),
        ("*/*", ["application/json", "application/hal+json", "text/plain", "application/xml; charset=utf-8"]),
        ("application/xml", ["application/xml; charset=utf-8"]),
        ("text/*;q=0.5, application/json;q=0.1", ["text/plain", "application/json"]),
        ("application/*, application/json;q=0", ["application/hal+json", "application/xml; charset=utf-8"]),
        ("image/png", []),
        ("application/json;q=x", []),
        ("", ["application/json", "application/hal+json", "text/plain", "application/xml; charset=utf-8"]),
    ],
)
def test_types_are_ordered_by_accept_and_json_comes_first(accept: str | None, expected: list[str]) -> None:
    assert acceptable(accept, OFFER) == expected


def test_ranges_of_the_document_stand_for_one_type() -> None:
    assert [concrete(each) for each in ("*/*", "application/*", "text/*", "image/*", "text/html")] == [
        "application/json", "application/json", "text/plain", "application/octet-stream", "text/html",
    ]  # fmt: skip
    assert acceptable("application/xml", ["*/*"]) == []
    assert is_json("application/problem+json; charset=utf-8")


@given(st.text(max_size=60))
def test_no_text_raises(text: str) -> None:
    read_preferences(text)
    acceptable(text, OFFER)
