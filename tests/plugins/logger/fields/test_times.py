from __future__ import annotations

from datetime import UTC, datetime

import pytest
from gateway_plugin_logger.fields.times import Rfc3339, make_clf
from hypothesis import given
from hypothesis import strategies as st


@given(st.lists(st.integers(min_value=0, max_value=4_000_000_000_000), min_size=1, max_size=5))
def test_rfc3339_times_say_the_same_as_datetime(milliseconds: list[int]) -> None:
    rfc3339 = Rfc3339()

    for millisecond in milliseconds:
        expected = datetime.fromtimestamp(millisecond // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        assert rfc3339[int(millisecond / 1000 * 1000 + 0.001)] == f"{expected}.{millisecond % 1000:03d}Z"


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (0.0, "01/Jan/1970:00:00:00 +0000"),
        (1_795_389_621.9, "22/Nov/2026:23:20:21 +0000"),
        (1_795_389_622.0, "22/Nov/2026:23:20:22 +0000"),
    ],
)
def test_clf_times_have_english_months_and_utc(at: float, expected: str) -> None:
    assert make_clf()(at) == expected
