from __future__ import annotations

import pytest
from gateway_core.cli.layout import ago, columns, duration, printable, shortened


def test_columns_are_as_wide_as_their_widest_cell_and_no_line_ends_with_spaces() -> None:
    assert list(columns([("A", "B"), ("long", "x")])) == ["A     B", "long  x"]
    assert list(columns([("long", "B"), ("x", "")])) == ["long  B", "x"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(-5, "0 s"), (0.9, "0 s"), (61, "1 min 1 s"), (90061, "1 d 1 h"), (86405, "1 d 5 s")]
)
def test_durations_have_their_two_largest_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_times_of_every_zone_are_so_long_ago() -> None:
    assert ago("2023-11-15T00:12:20+02:00", 1_700_000_000.0) == "1 min"


@pytest.mark.parametrize(("text", "expected"), [("abc", "abc"), ("abcd", "ab…"), ("a cd", "a…")])
def test_what_is_too_long_ends_with_an_ellipsis(text: str, expected: str) -> None:
    assert shortened(text, 3) == expected


def test_no_text_changes_a_terminal_or_begins_a_line() -> None:
    assert printable("é 日本\x1b[2J\r\n\x9b\u202e\udcff") == r"é 日本\x1b[2J\r\n\x9b\u202e\udcff"
