from __future__ import annotations

import pytest
from gateway_plugin_logger.config import Retries
from gateway_plugin_logger.sinks.retry import next_delay
from hypothesis import given
from hypothesis import strategies as st

RETRIES = Retries.model_validate({"initial_delay": "1s", "max_delay": "5s", "give_up_after": "60s"})


@pytest.mark.parametrize(("tries", "delay"), [(1, 1.0), (2, 2.0), (3, 4.0), (4, 5.0), (5000, 5.0)])
def test_delays_double_up_to_the_longest(tries: int, delay: float) -> None:
    assert next_delay(RETRIES, tries=tries, age=0.0) == delay


@given(st.integers(1, 100), st.floats(0, 1))
def test_chance_takes_off_at_most_half(tries: int, chance: float) -> None:
    whole = next_delay(RETRIES, tries=tries, age=0.0)
    delay = next_delay(RETRIES, tries=tries, age=0.0, chance=chance)

    assert whole is not None
    assert delay is not None
    assert whole / 2 <= delay <= whole


@pytest.mark.parametrize(("asked", "delay"), [(30.0, 30.0), (0.2, 1.0), (None, 1.0)])
def test_a_longer_delay_that_the_other_side_asks_for_is_kept(asked: float | None, delay: float) -> None:
    assert next_delay(RETRIES, tries=1, age=0.0, asked=asked) == delay


def test_a_batch_is_given_up_when_its_next_try_would_be_too_late() -> None:
    assert next_delay(RETRIES, tries=9, age=54.9) == 5.0
    assert next_delay(RETRIES, tries=9, age=55.0) is None
    assert next_delay(RETRIES, tries=1, age=0.0, asked=61.0) is None
    assert next_delay(Retries.model_validate({"give_up_after": 0}), tries=1, age=0.0) is None


def test_a_batch_is_given_up_after_so_many_tries() -> None:
    thrice = Retries.model_validate({"max_tries": 3})

    assert next_delay(thrice, tries=2, age=0.0) is not None
    assert next_delay(thrice, tries=3, age=0.0) is None
