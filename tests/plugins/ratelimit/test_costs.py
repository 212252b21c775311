from __future__ import annotations

from typing import Any

from gateway_plugin_ratelimit.costs import MOST, compile_cost, read_cost, response_cost
from gateway_plugin_sdk import Response
from hypothesis import given
from hypothesis import strategies as st


@given(st.text() | st.integers().map(str) | st.none())
def test_whatever_a_client_says_is_a_cost_of_bounded_size(text: Any) -> None:
    assert 0 <= read_cost(text) <= MOST


def test_whole_numbers_are_read_and_anything_else_costs_one() -> None:
    texts = ["0", "12", "007", "", "-1", "1.5", "1e3", " 3", "٣", None]

    assert [read_cost(text) for text in texts] == [0, 12, 7, 1, 1, 1, 1, 1, 1, 1]


def test_a_cost_that_the_answer_tells_is_one_at_first() -> None:
    assert compile_cost("response-header:X-Cost") == 1

    read = response_cost("response-header:X-Cost")
    assert read is not None
    assert read(Response(200, headers={"x-cost": "8"})) == 8
    assert response_cost("header:X-Cost") is None
