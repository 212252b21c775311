from __future__ import annotations

from gateway_core.repeats import Repeats, repeated
from hypothesis import given
from hypothesis import strategies as st


def test_one_line_stands_for_the_repeats_of_some_seconds() -> None:
    repeats = Repeats(10.0)

    counts = [repeats.count("a", now) for now in (0.0, 1.0, 9.9, 10.0, 10.1, 30.0)]

    assert counts == [1, 0, 0, 3, 0, 2]
    assert repeats.count("b", 30.0) == 1
    assert [repeated(count) for count in (1, 3)] == ["", " (3 times since the last such line)"]


@given(st.lists(st.tuples(st.integers(0, 3000), st.floats(0, 100)), max_size=200))
def test_no_event_is_hidden_and_memory_is_bounded(events: list[tuple[int, float]]) -> None:
    repeats, shown, now = Repeats(10.0), 0, 0.0

    for key, pause in events:
        now += pause
        shown += repeats.count(key, now)
    now += 10.0
    rest = sum(repeats.count(key, now) - 1 for key in {key for key, _ in events})

    assert shown + rest == len(events)


def test_keys_beyond_the_bound_are_written_and_not_remembered() -> None:
    repeats = Repeats(10.0)

    counts = [repeats.count(key, 0.0) for key in range(5000)]

    assert set(counts) == {1}
    assert len(repeats._keys) <= 1024
