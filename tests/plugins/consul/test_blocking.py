from __future__ import annotations

from gateway_plugin_consul.blocking import next_index
from hypothesis import given
from hypothesis import strategies as st

INDEX = st.integers(0, 10)


def test_an_index_that_goes_on_is_waited_for() -> None:
    assert next_index(0, 7) == 7
    assert next_index(7, 7) == 7
    assert next_index(7, 9) == 9


def test_an_index_that_goes_backwards_is_forgotten() -> None:
    assert next_index(7, 6) == 0


def test_an_index_below_1_or_none_is_1() -> None:
    assert next_index(7, 0) == 1
    assert next_index(7, -3) == 1
    assert next_index(7, None) == 1


@given(st.lists(st.none() | INDEX))
def test_after_any_answers_the_next_query_waits_for_nothing_that_was_not_answered(answers: list[int | None]) -> None:
    index = 0
    for answered in answers:
        index = next_index(index, answered)
        assert index in {0, 1, answered}
