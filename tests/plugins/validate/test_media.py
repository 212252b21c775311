from __future__ import annotations

import pytest
from gateway_plugin_validate.media import read_media_type


@pytest.mark.parametrize(
    ("declared", "sent", "takes"),
    [
        ("application/json", "application/json", True),
        ("application/json", "Application/JSON ; Charset=UTF-8", True),
        ("application/json", 'application/json; charset="utf-8"', True),
        ("application/json", "application/json; charset=latin-1", False),
        ("application/json; charset=latin-1", "application/json; charset=latin-1", False),
        ("application/json", "application/problem+json", False),
        ("application/*", "application/problem+json", True),
        ("*/*", "text/plain", True),
        ("text/*", "application/json", False),
        ("text/csv; charset=latin-1", "text/csv; charset=latin-1", False),
        ("image/svg; charset=latin-1", "image/svg; charset=Latin-1", True),
        ("image/svg", "image/svg; charset=latin-1", False),
        ("application/json; version=2", "application/json", False),
        ("application/json; version=2", "application/json; version=2; q=1", True),
    ],
)
def test_a_range_takes_a_media_type_with_its_parameters(declared: str, sent: str, takes: bool) -> None:
    parsed, other = read_media_type(declared), read_media_type(sent)

    assert parsed is not None
    assert other is not None
    assert parsed.takes(other) == takes


@pytest.mark.parametrize("value", ["", "json", "a/b/c", "a b/c", "a/b; x", 'a/b; x="y', "a/b; x=1; X=2", "/b", "a/"])
def test_what_is_no_media_type_is_none(value: str) -> None:
    assert read_media_type(value) is None


def test_quoted_parameters_may_have_semicolons() -> None:
    found = read_media_type('multipart/form-data; boundary="a;b\\"c"')

    assert found is not None
    assert found.parameters == {"boundary": 'a;b"c'}
