"""Cache-Control as it comes. The cases are those of http-tests/cache-tests, cc-parse and cdn-cache-control."""

from __future__ import annotations

import pytest
from gateway_plugin_cache.directives import parse_cache_control, parse_targeted
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("max-age=3600", 3600),
        ("MaX-aGe=3600", 3600),
        ("max-age=003600", 3600),
        ('max-age="3600"', 3600),
        ("max-age=99999999999999999999", 2**31),
        ("foo=bar, max-age=1", 1),
        ("max-age=1, max-age=1", 1),
        # What cannot be read is stale.
        ("max-age", 0),
        ("max-age=", 0),
        ("max-age=1800, max-age=1", 0),
        ("max-age=1, max-age=1800", 0),
        ("max-age =3600", 0),
        ("max-age= 3600", 0),
        ("max-age='3600'", 0),
        ("max-age=3600.0", 0),
        ("max-age=3600.5", 0),
        ("max-age=a3600", 0),
        ("max-age=3600a", 0),
        ("max-age=-1", 0),
        ("max-age=+1", 0),
        ("max-age=\u0663", 0),
        # It is not there.
        ('extension="max-age=3600"', None),
        ('extension="a\\", max-age=3600"', None),
        ('extension="max-age=3600', None),
        ("xmax-age=1", None),
        ("", None),
        (",,", None),
    ],
)
def test_max_age_is_read(value: str, expected: int | None) -> None:
    assert parse_cache_control([value]).seconds("max-age") == expected


@pytest.mark.parametrize("value", ['extension="max-age=3600", max-age=1', 'max-age=1, extension="max-age=3600"'])
def test_what_stands_in_quotes_is_no_directive(value: str) -> None:
    assert parse_cache_control([value]).seconds("max-age") == 1


def test_several_fields_are_one_list() -> None:
    found = parse_cache_control(["no-store", 'private="a, b"', "max-age=1"])

    assert set(found.values) == {"no-store", "private", "max-age"}
    assert found.values["private"] == ("a, b",)


def test_a_field_that_is_too_long_forbids_storing() -> None:
    assert "no-store" in parse_cache_control(["max-age=1," + "x" * 9000])


@given(st.text(alphabet='max-age=01 ,"\\no-store;', max_size=60))
def test_no_text_raises_and_numbers_are_within_bounds(text: str) -> None:
    seconds = parse_cache_control([text]).seconds("max-age")

    assert seconds is None or 0 <= seconds <= 2**31


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("max-age=60", {"max-age": ("60",)}),
        ("max-age=60, no-store", {"max-age": ("60",), "no-store": (None,)}),
        ("max-age=1, max-age=60;a=b", {"max-age": ("60",)}),
        ("no-store=?1, private=?0", {"no-store": (None,)}),
        ('max-age=60.5, stale-if-error=5, x="y"', {"stale-if-error": ("5",), "x": ("y",)}),
        ('max-age="60", private="a"', {"private": ("a",)}),
        ("max-age=-1, public", {"public": (None,)}),
        # No structured field: the field does not count at all.
        ("Max-Age=60", None),
        ("max-age=60,", None),
        ("max-age=60 no-store", None),
        ("max-age= 60", None),
        ("max-age='60'", None),
        ("&&&", None),
        ("", None),
        (None, None),
        ("a=()", {}),
    ],
)
def test_targeted_fields_are_structured(value: str | None, expected: dict[str, object] | None) -> None:
    found = parse_targeted(value)

    assert (None if found is None else dict(found.values)) == expected
