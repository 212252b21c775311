"""Header fields over one block of bytes."""

from __future__ import annotations

import pytest
from gateway_core.messages import FieldBlock, HeaderError, Headers
from gateway_core.messages.headers import block_of
from hypothesis import given
from hypothesis import strategies as st

NAMES = st.text("abcXYZ-_09", min_size=1, max_size=6)
VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=12)
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=8)


@given(FIELDS)
def test_fields_come_back_in_order_with_their_names_as_written(fields: list[tuple[str, str]]) -> None:
    assert Headers(fields).items() == [(name, value.strip()) for name, value in fields]


@given(FIELDS, NAMES)
def test_get_finds_the_first_of_a_name_in_any_case(fields: list[tuple[str, str]], name: str) -> None:
    expected = [value.strip() for key, value in fields if key.lower() == name.lower()]

    headers = Headers(fields)

    assert headers.get(name.swapcase()) == (expected[0] if expected else None)
    assert headers.get_all(name) == expected
    assert (name in headers) == bool(expected)


@given(FIELDS, NAMES)
def test_remove_takes_every_field_of_a_name_and_no_other(fields: list[tuple[str, str]], name: str) -> None:
    headers = Headers(fields)

    headers.remove(name)

    assert headers.items() == [(key, value.strip()) for key, value in fields if key.lower() != name.lower()]


@given(FIELDS, NAMES, FIELDS)
def test_only_the_one_field_of_a_name_is_replaced(
    fields: list[tuple[str, str]], name: str, others: list[tuple[str, str]]
) -> None:
    headers, removed = Headers(fields), Headers(fields)
    removed.remove(name)
    removed.extend(others)

    replaced = headers.replace_only(name, FieldBlock(others))

    assert replaced == (Headers(fields).count(name) == 1)
    assert headers.items() == (removed.items() if replaced else Headers(fields).items())


@given(FIELDS, NAMES, VALUES)
def test_setting_leaves_one_field_of_the_name(fields: list[tuple[str, str]], name: str, value: str) -> None:
    headers = Headers(fields)

    headers[name] = value

    assert headers.get_all(name) == [value.strip()]


@given(st.text(max_size=8), st.text(max_size=12))
def test_nothing_that_could_break_a_head_gets_in(name: str, value: str) -> None:
    headers = Headers()
    try:
        headers.add(name, value)
    except HeaderError:
        assert block_of(headers) == b""
        return

    assert block_of(headers).count(b"\r\n") == 1
    assert b"\0" not in block_of(headers)
    assert headers.get_all(name) == [value.strip(" \t")]


@pytest.mark.parametrize("value", ["a\r\nX: b", "a\nb", "a\rb", "a\0b", "\u20ac"])
def test_a_value_with_control_characters_is_refused(value: str) -> None:
    headers = Headers({"A": "1"})

    with pytest.raises(HeaderError):
        headers["A"] = value

    assert headers["a"] == "1"


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\n", "\u00e4"])
def test_a_name_that_is_no_token_is_refused(name: str) -> None:
    with pytest.raises(HeaderError):
        Headers().add(name, "x")


def test_a_name_is_not_found_inside_another_line() -> None:
    headers = Headers({"X-A": "host: evil", "Ghost": "1"})

    assert headers.get("host") is None


def test_a_copy_is_its_own() -> None:
    headers = Headers({"A": "1"})

    headers.copy().add("B", "2")

    assert "b" not in headers


@given(FIELDS, FIELDS)
def test_a_block_that_is_ready_is_appended_as_it_is(fields: list[tuple[str, str]], more: list[tuple[str, str]]) -> None:
    headers = Headers(fields)
    assert headers.get("x-not-looked-up-yet") is None

    headers.extend(FieldBlock(more))

    assert headers == Headers([*fields, *more])
    for name, _ in more:
        assert name in headers


def test_count_get_bytes_and_size_look_at_the_fields_as_they_are_now() -> None:
    headers = Headers([("A", " caf\u00e9 "), ("a", "2"), ("B", "")])

    assert (headers.count("a"), headers.count("b"), headers.count("c")) == (2, 1, 0)
    assert (headers.get_bytes("A"), headers.get_bytes("b"), headers.get_bytes("c")) == (b"caf\xe9", b"", None)
    assert headers.size == len(b"\r\nA: caf\xe9\r\na: 2\r\nB: ")
    headers.remove("a")
    assert (headers.count("a"), headers.size) == (0, len(b"\r\nB: "))


@given(FIELDS, FIELDS)
def test_keys_are_equal_for_the_same_fields_only(first: list[tuple[str, str]], second: list[tuple[str, str]]) -> None:
    assert (Headers(first).key == Headers(second).key) is (Headers(first).items() == Headers(second).items())
    assert Headers(first).copy().key == Headers(first).key


@pytest.mark.parametrize(
    ("present", "names", "lines"),
    [
        ([], "Origin", ["Origin"]),
        (["Accept"], "Origin, Accept", ["Accept", "Origin"]),
        (["Accept, ORIGIN"], "Origin", ["Accept, ORIGIN"]),
        (["Accept", "Origin"], "Accept, Origin", ["Accept", "Origin"]),
        (["*"], "Origin", ["*"]),
    ],
)
def test_vary_names_each_field_once(present: list[str], names: str, lines: list[str]) -> None:
    headers = Headers([("Vary", value) for value in present])

    headers.add_vary(names)

    assert headers.get_all("vary") == lines
