from __future__ import annotations

from typing import Any

import pytest
from gateway_plugin_sdk.ranges import content_range, multipart, parse_ranges
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("bytes=0-4", [(0, 5)]),
        ("bytes=5-", [(5, 10)]),
        ("bytes=-3", [(7, 10)]),
        ("bytes=-30", [(0, 10)]),
        ("bytes=0-99999999999999999999999999", [(0, 10)]),
        ("Bytes = 0-0 , ,2-2", [(0, 1), (2, 3)]),
        ("bytes=8-9,0-1", [(8, 10), (0, 2)]),
        ("bytes=0-0,20-", [(0, 1)]),
        ("bytes=10-", "unsatisfiable"),
        ("bytes=99999999999999999999-", "unsatisfiable"),
        ("bytes=-0", "unsatisfiable"),
        ("bytes=20-30,40-", "unsatisfiable"),
        ("bytes=4-2", "whole"),
        ("bytes=-", "whole"),
        ("bytes=", "whole"),
        ("bytes", "whole"),
        ("bytes=a-b", "whole"),
        ("bytes=0-1x", "whole"),
        ("bytes=+1-2", "whole"),
        ("bytes=\u0660-\u0661", "whole"),
        ("lines=0-1", "whole"),
        ("bytes=0-8,0-8", "whole"),
        ("bytes=0-0,1-1,2-2,3-3", "whole"),
        ("bytes=0-1," + "," * 5000, "whole"),
    ],
)
def test_a_range_field_names_parts_the_whole_or_nothing(value: str, expected: Any) -> None:
    assert parse_ranges(value, 10, most=3) == expected


@pytest.mark.parametrize(("value", "expected"), [("bytes=0-", "unsatisfiable"), ("bytes=-5", "whole")])
def test_an_empty_file_has_no_parts(value: str, expected: str) -> None:
    assert parse_ranges(value, 0, most=3) == expected


@given(st.text("bytes=0123456789-, x", max_size=40), st.integers(0, 30))
def test_parts_are_within_the_file_and_together_shorter(value: str, size: int) -> None:
    found = parse_ranges("bytes=" + value, size, most=5)

    if not isinstance(found, str):
        assert all(0 <= start < end <= size for start, end in found)
        assert len(found) == 1 or sum(end - start for start, end in found) < size


def test_a_body_of_several_parts_has_a_head_for_each() -> None:
    body = multipart([(0, 2), (4, 6)], 10, "text/plain", "b")

    assert body == [
        b"--b\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/10\r\n\r\n",
        (0, 2),
        b"\r\n--b\r\nContent-Type: text/plain\r\nContent-Range: bytes 4-5/10\r\n\r\n",
        (4, 6),
        b"\r\n--b--\r\n",
    ]
    assert content_range((0, 2), 10) == "bytes 0-1/10"
