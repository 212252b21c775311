"""Fields found in a block of lines."""

from __future__ import annotations

import pytest
from gateway_core.messages import HeaderError
from gateway_core.messages.field_search import count_in, first_value, needle_of, value_in

BLOCK = b"\r\nAccept: a\r\nX-Accept: b\r\nACCEPT:\tc \r\nEnd:"


@pytest.mark.parametrize(
    ("name", "value", "count"),
    [("accept", b"a", 2), ("Accept", b"a", 2), ("x-accept", b"b", 1), ("end", b"", 1), ("cept", None, 0)],
)
def test_a_field_is_found_by_its_whole_name_in_any_case(name: str, value: bytes | None, count: int) -> None:
    assert value_in(BLOCK, BLOCK.lower(), name) == value
    assert count_in(BLOCK.lower(), name) == count


def test_without_a_block_in_lower_case_the_spelling_that_is_asked_for_counts_or_else_the_one_in_lower_case() -> None:
    assert first_value(BLOCK, "ACCEPT") == b"c"
    assert first_value(BLOCK.lower(), "ACCEPT") == b"a"
    assert first_value(BLOCK, "aCCEPT") is None


def test_what_is_no_name_is_not_searched_for() -> None:
    with pytest.raises(HeaderError, match="is not a header name"):
        needle_of("a: b")
