from __future__ import annotations

import logging
from typing import Any

import pytest
from gateway_core import shortages
from gateway_core.clock import SystemClock
from gateway_core.events import CONFIG_APPLIED, EVENTS, UPSTREAM_RESET
from gateway_core.metrics.catalogue import LOG_EVENTS
from gateway_core.metrics.samples import Samples
from gateway_core.process.recent_events import KEPT_SECONDS, MOST_KEPT, RecentEvents


def record(level: int, text: str, *args: object, at: float = 1000.0, name: str = "gateway.x") -> logging.LogRecord:
    made = logging.LogRecord(name, level, "", 0, text, args, None)
    made.created = at
    return made


def reset(events: RecentEvents, at: float, endpoint: str, **fields: Any) -> None:
    text = f"{endpoint} failed"
    written = record(logging.WARNING, "%s", text, at=at)
    events.note(UPSTREAM_RESET.name, {"upstream": "u", "endpoint": endpoint, **fields}, written, text)


def counted(events: RecentEvents) -> dict[tuple[str, ...], Any]:
    samples = Samples()
    events.put(samples)
    return dict(samples.series[LOG_EVENTS.name].values)


def test_warnings_are_shown_the_latest_first_and_equal_ones_as_one() -> None:
    events = RecentEvents()

    reset(events, 1000.0, "a", reason="closed", count=1)
    reset(events, 1001.0, "b", reason="closed", count=1)
    reset(events, 1010.0, "a", reason="reset", count=7)

    shown = events.recent(1011.0)
    assert [(each["message"], each["lines"]) for each in shown] == [("a failed", 2), ("b failed", 1)]
    assert shown[0] == {
        "event": "upstream.reset",
        "level": "warning",
        "message": "a failed",
        "at": "1970-01-01T00:16:50.000+00:00",
        "lines": 2,
    }


def test_lines_of_plugins_are_equal_if_only_their_arguments_differ() -> None:
    events = RecentEvents()

    for number in (1, 2):
        written = record(logging.ERROR, "%d lines lost", number, name="gateway.plugin.logger")
        events.note("plugin.log", {"plugin": "logger"}, written, f"{number} lines lost")
    other = record(logging.ERROR, "something else", name="gateway.plugin.logger")
    events.note("plugin.log", {"plugin": "logger"}, other, "something else")

    assert [(each["message"], each["lines"]) for each in events.recent(1000.0)] == [
        ("something else", 1),
        ("2 lines lost", 2),
    ]


def test_what_is_old_is_shown_no_longer_and_begins_again() -> None:
    events = RecentEvents()
    reset(events, 1000.0, "a")
    assert events.recent(1000.0 + KEPT_SECONDS) == []

    reset(events, 1000.0 + KEPT_SECONDS, "a")

    assert [each["lines"] for each in events.recent(1000.0 + KEPT_SECONDS)] == [1]


def test_only_the_last_ones_are_kept() -> None:
    events = RecentEvents()

    for number in range(MOST_KEPT + 5):
        reset(events, 1000.0, f"e{number}")

    assert [each["message"] for each in events.recent(1000.0)][:: MOST_KEPT - 1] == ["e36 failed", "e5 failed"]


def test_information_is_counted_and_not_shown() -> None:
    events = RecentEvents()

    events.note(CONFIG_APPLIED.name, {}, record(logging.INFO, "in force"), "in force")

    assert events.recent(1000.0) == []
    assert counted(events)["config.applied", "info"] == 1


def test_warnings_and_errors_of_the_gateway_are_counted_from_0_on() -> None:
    events = RecentEvents()

    found = counted(events)

    assert set(found.values()) == {0}
    assert {name for name, _ in found} == {each.name for each in EVENTS.values() if each.level >= logging.WARNING}


def test_levels_that_a_library_has_for_itself_make_no_series() -> None:
    events = RecentEvents()

    events.note("library.log", {}, record(35, "odd"), "odd")

    assert counted(events)["library.log", "info"] == 1


def test_a_fork_begins_with_nothing() -> None:
    events = RecentEvents()
    reset(events, 1000.0, "a")

    events.clear()

    assert events.recent(1000.0) == []
    assert set(counted(events).values()) == {0}


def failed(error: Exception, text: str) -> logging.LogRecord:
    made = record(logging.ERROR, text, name="asyncio")
    made.exc_info = (type(error), error, None)
    return made


def test_errors_of_a_library_are_equal_if_their_first_line_and_their_kind_are_and_are_shown_by_these() -> None:
    events = RecentEvents()

    for address in ("0x1", "0x2"):
        text = f"Fatal error\nprotocol: <{address}>"
        events.note("library.log", {}, failed(ValueError("odd"), text), text.replace("\n", "\\n"))

    assert [(each["message"], each["lines"]) for each in events.recent(1000.0)] == [("Fatal error: ValueError", 2)]


def test_a_message_that_names_its_error_is_shown_as_it_is() -> None:
    events = RecentEvents()

    events.note("library.log", {}, failed(ValueError("odd"), "x"), "hook failed: ValueError: odd (a.py:1)")

    assert [each["message"] for each in events.recent(1000.0)] == ["hook failed: ValueError: odd (a.py:1)"]


def test_an_error_for_want_of_memory_is_a_shortage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shortages, "_noted", {})
    monkeypatch.setattr(shortages, "_counts", {})

    RecentEvents().note("library.log", {}, failed(MemoryError(), "Fatal error"), "Fatal error")

    found = shortages.recent_shortages(SystemClock().monotonic())
    assert found == ["a process has no more memory: Fatal error: MemoryError"]
    assert shortages.shortages()["memory"] == 1
