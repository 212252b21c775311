from __future__ import annotations

import logging
import re

import pytest
from gateway_core.events import ENDPOINT_EJECTED, EVENTS, RESERVED_FIELDS, Repeats, emit, repeated
from hypothesis import given
from hypothesis import strategies as st


def test_names_say_the_subject_and_what_happened_to_it() -> None:
    assert [name for name in EVENTS if not re.fullmatch(r"[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*", name)] == []
    assert all(name == event.name for name, event in EVENTS.items())


def test_fields_never_hide_what_every_line_has() -> None:
    assert [event.name for event in EVENTS.values() if RESERVED_FIELDS & set(event.fields)] == []


def test_an_event_is_one_record_with_its_name_level_and_fields(caplog: pytest.LogCaptureFixture) -> None:
    error = ValueError("odd")

    emit(ENDPOINT_EJECTED, "100 % gone", upstream="users", endpoint="a", reason=None, seconds=30.0, error=error)

    (record,) = caplog.records
    assert (record.name, record.levelno, record.getMessage()) == ("gateway.endpoint", logging.WARNING, "100 % gone")
    assert vars(record)["event"] == "endpoint.ejected"
    assert vars(record)["fields"] == {"upstream": "users", "endpoint": "a", "seconds": 30.0}
    assert record.exc_info is not None
    assert record.filename == "test_event.py"


def test_an_event_of_a_plugin_is_written_by_its_logger(caplog: pytest.LogCaptureFixture) -> None:
    emit(ENDPOINT_EJECTED, "text", logger=logging.getLogger("gateway.plugin.mine"))

    assert [record.name for record in caplog.records] == ["gateway.plugin.mine"]


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
