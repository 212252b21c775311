from __future__ import annotations

from gateway_core.process.replacement import LONGEST_PAUSE, STEADY_AFTER, Replacements


def test_crashes_in_a_row_make_the_pause_longer_up_to_a_limit() -> None:
    crashes = Replacements()
    pauses = []

    for _ in range(12):
        pauses.append(crashes.pause(0))
        crashes.note_end(0, lived=1.0, reason="signal 9")
        crashes.note_start(0)

    expected = [0.0, *(min(0.1 * 2.0**number, LONGEST_PAUSE) for number in range(11))]
    assert all(longest / 2 <= pause <= longest for pause, longest in zip(pauses, expected, strict=True))
    assert crashes.pause(1) == 0.0
    assert crashes.total == 12


def test_a_worker_that_lived_long_is_replaced_at_once() -> None:
    crashes = Replacements()
    crashes.note_end(0, lived=1.0, reason="signal 9")
    crashes.note_end(0, lived=STEADY_AFTER, reason="signal 9")

    assert crashes.pause(0) == 0.0


def test_what_keeps_a_worker_from_starting_is_told_until_one_starts() -> None:
    crashes = Replacements()
    crashes.note_end(1, lived=99.0, reason="it ended with signal 9")
    assert crashes.missing() == [{"number": 1, "attempts": 0, "reason": "it ended with signal 9"}]

    assert crashes.note_refusal(1, "no luck")
    assert crashes.missing() == [{"number": 1, "attempts": 1, "reason": "no luck"}]
    assert 0.05 <= crashes.pause(1) <= 0.1

    assert not crashes.note_refusal(1, "no luck")
    crashes.note_start(1)
    assert crashes.missing() == []
