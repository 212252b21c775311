"""Sets of names, blocks and templates of fields."""

from __future__ import annotations

import re
from random import Random

import pytest
from gateway_core.messages import FieldBlock, FieldNames, FieldTemplate, HeaderError, Headers
from gateway_core.messages.fields import field_names, in_any_case
from hypothesis import given
from hypothesis import strategies as st

from tests.core.messages.test_headers import FIELDS


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
    found = field_names(names)
    headers = Headers([("First", f"{spelt}: 1"), (spelt, "2"), ("Last", "3")])

    assert found is not None
    assert headers.has_any(found) is is_found
    assert headers.get_any(found) == (["2"] if is_found else [])
    assert headers.remove_any(found) is is_found
    assert headers.items() == [("First", f"{spelt}: 1"), *([] if is_found else [(spelt, "2")]), ("Last", "3")]


def test_no_names_are_no_pattern() -> None:
    assert field_names([]) is None


@given(FIELDS, st.sets(st.sampled_from(["a", "B", "x-y", "x_y"]), min_size=1))
def test_removing_lines_leaves_all_others_in_order(fields: list[tuple[str, str]], names: set[str]) -> None:
    headers, found = Headers(fields), field_names(names)
    assert found is not None

    def is_named(name: str) -> bool:
        return any(field_names([each]).are_in(f"\r\n{name.lower()}:".encode()) for each in names)  # type: ignore[union-attr]

    kept = [(name, value) for name, value in headers.items() if not is_named(name)]
    assert headers.remove_any(found) is (len(kept) < len(fields))
    assert headers.items() == kept
    assert not headers.remove_any(found)


@given(st.lists(st.integers(0, 10**9), min_size=3, max_size=3))
def test_a_template_puts_numbers_in_their_places(numbers: list[int]) -> None:
    first, second, third = numbers
    template = FieldTemplate([("A%d", "{2};{0}%"), ("B", "{x} {} {0}"), ("C", "plain")])

    headers = Headers(template.fill(first, second, third))

    assert headers.items() == [("A%d", f"{third};{first}%"), ("B", f"{{x}} {{}} {first}"), ("C", "plain")]


def test_a_template_may_have_one_number() -> None:
    assert Headers(FieldTemplate([("A", "{1}"), ("B", "b")]).fill(1, 2)).items() == [("A", "2"), ("B", "b")]


def test_a_template_without_numbers_is_a_block() -> None:
    assert Headers(FieldTemplate([("A", "100%")]).fill(1, 2)).items() == [("A", "100%")]


@pytest.mark.parametrize(("name", "value"), [("a b", "x"), ("", "x"), ("a", "x\r\ny: z"), ("a", "\u20ac")])
def test_blocks_and_templates_are_checked_when_they_are_made(name: str, value: str) -> None:
    with pytest.raises(HeaderError):
        FieldBlock([(name, value)])
    with pytest.raises(HeaderError):
        FieldTemplate([(name, value)])


def test_one_block_is_added_to_many_heads() -> None:
    block = FieldBlock({"A": "1", "B": "2"})
    first, second = Headers({"X": "0"}), Headers()

    first.extend(block)
    second.extend(block)
    first["A"] = "3"

    assert first.items() == [("X", "0"), ("B", "2"), ("A", "3")]
    assert second.items() == [("A", "1"), ("B", "2")]


@given(st.sampled_from(["Connection", "Keep-Alive", "TE", "X!a.b*c"]), st.randoms())
def test_a_name_is_found_in_any_case_and_as_nothing_else(name: str, random: Random) -> None:
    pattern = in_any_case(name.encode())
    spelled = "".join(random.choice([c.lower(), c.upper()]) for c in name).encode()

    assert re.fullmatch(pattern, spelled)
    assert re.fullmatch(pattern, spelled[:-1] + b"~") is None


@pytest.mark.parametrize(("name", "is_gateways"), [("Content-length", True), ("TE", True), ("X-Te", False)])
def test_blocks_and_templates_know_whether_only_the_gateway_may_write_their_fields(
    name: str, is_gateways: bool
) -> None:
    assert FieldBlock({"A": "1", name: "2"}).has_framing is is_gateways
    assert FieldTemplate([("A", "1"), (name, "{0}")]).fill(2).has_framing is is_gateways


@pytest.mark.parametrize(("name", "is_added"), [("Via", True), ("x_request_id", True), ("X-Via", False)])
def test_names_know_whether_one_is_of_a_field_that_the_gateway_adds(name: str, is_added: bool) -> None:
    assert FieldNames(["a", name]).has_added is is_added


def test_of_a_block_that_is_repeated_the_same_is_found_as_of_any_other() -> None:
    names = FieldNames(["x-a"])
    with_it, without, equal = b"\r\nx-a: 1", b"\r\nx-b: 1", bytes(bytearray(b"\r\nx-a: 1"))

    for block in (b"", with_it, with_it, without, without, equal, without, with_it):
        assert names.are_in_repeated(block) is names.are_in(block)
