from __future__ import annotations

import pytest
from gateway_plugin_logger.config.statuses import parse_statuses


def test_statuses_are_single_ranges_or_hundreds() -> None:
    assert parse_statuses([404, "200-202", "5xx"]) == {404, 200, 201, 202, *range(500, 600)}


@pytest.mark.parametrize("text", ["", "20", "xx", "0xx", "200-", "-200", "2000", "200 - 300", True])
def test_anything_else_is_refused(text: str | int) -> None:
    with pytest.raises(ValueError, match="is no status: write 404, 500-599 or 5xx"):
        parse_statuses([text])


def test_a_range_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(ValueError, match="'500-400' ends before it begins"):
        parse_statuses(["500-400"])
