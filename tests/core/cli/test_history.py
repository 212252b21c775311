from __future__ import annotations

from gateway_core.cli.history import lines_of


def test_what_others_wrote_changes_no_terminal_and_begins_no_line() -> None:
    version = {"number": 1, "at": "2023-11-14T22:12:20+00:00", "version": "v1", "changes": "routes changed: a\x1b[2J"}
    pin = {"number": 1, "by": "ops", "reason": "bad\x1b[31m\n9  forged"}

    lines = list(lines_of({"versions": [version], "pinned": pin, "not_kept": ""}, 1_700_000_000.0))

    assert lines[1].endswith(r"(running, pinned) routes changed: a\x1b[2J")
    assert lines[2].startswith(r"version 1 is pinned by ops: bad\x1b[31m\n9  forged")
    assert len(lines) == 3
