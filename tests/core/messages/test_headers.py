"""Header fields over one block of bytes."""

from __future__ import annotations

import pytest
from gateway_core.messages import HeaderError, Headers
from gateway_core.messages.headers import lines_named
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
        assert headers.block == b""
        return

    assert headers.block.count(b"\r\n") == 1
    assert b"\0" not in headers.block
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

    headers.append_block(Headers(more).block)

    assert headers == Headers([*fields, *more])
    for name, _ in more:
        assert name in headers


@pytest.mark.parametrize(
    ("names", "spelt", "is_found"),
    [
        (["X-User"], "x-user", True), (["X-User"], "X_USER", True), (["x_user"], "X-User", True),
        (["X-User"], "X.User", True), (["X-User"], "X!User", True), (["X-User", "Y*"], "y-", True),
        (["X-User"], "x.u", False), (["X-User"], "Xaser", False), (["X-User"], "X--User", False),
        (["X-User"], "x-user-", False), (["a"], "ab", False), (["b"], "ab", False),
    ],
)  # fmt: skip
def test_lines_are_found_by_name_with_any_separator(names: list[str], spelt: str, is_found: bool) -> None:
    lines = lines_named(names)
    headers = Headers([("First", f"{spelt}: 1"), (spelt, "2"), ("Last", "3")])

    assert lines is not None
    assert headers.remove_lines(lines) is is_found
    assert headers.items() == [("First", f"{spelt}: 1"), *([] if is_found else [(spelt, "2")]), ("Last", "3")]


def test_no_names_are_no_pattern() -> None:
    assert lines_named([]) is None


@given(FIELDS, st.sets(st.sampled_from(["a", "B", "x-y", "x_y"]), min_size=1))
def test_removing_lines_leaves_all_others_in_order(fields: list[tuple[str, str]], names: set[str]) -> None:
    headers, lines = Headers(fields), lines_named(names)
    assert lines is not None

    def is_named(name: str) -> bool:
        return any(lines_named([each]).are_in(f"\r\n{name.lower()}:".encode()) for each in names)  # type: ignore[union-attr]

    kept = [(name, value) for name, value in headers.items() if not is_named(name)]
    assert headers.remove_lines(lines) is (len(kept) < len(fields))
    assert headers.items() == kept
    assert not headers.remove_lines(lines)


@given(st.sets(st.from_regex(r"[a-z][a-z_.-]{0,5}", fullmatch=True), min_size=1), FIELDS)
def test_lines_are_found_without_the_expression_in_heads_without_odd_names(
    names: set[str], fields: list[tuple[str, str]]
) -> None:
    lines = lines_named(names)
    plain = [(name.replace("_", "-"), value) for name, value in fields if name.replace("-", "").isalnum()]
    lowered = Headers(plain).block.lower()

    assert lines is not None
    assert lines.are_in(lowered, has_odd_names=False) is (lines.pattern.search(lowered) is not None)
