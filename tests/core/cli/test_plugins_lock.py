from __future__ import annotations

import json
from pathlib import Path

from tests.core.cli.conftest import Invoke


def test_the_lock_file_names_every_plugin_and_is_the_same_twice(invoke: Invoke, tmp_path: Path) -> None:
    first, second = tmp_path / "first.lock", tmp_path / "second.lock"

    assert invoke("plugins", "lock", "--file", first).exit_code == 0
    assert invoke("plugins", "lock", "--file", second).exit_code == 0

    assert first.read_bytes() == second.read_bytes()
    entries = json.loads(first.read_text())["plugins"]
    assert {"auth", "logger", "ratelimit"} <= {entry["name"] for entry in entries}
    assert all(entry["version"] and len(entry["files"]) == len(entry["schema"]) == 64 for entry in entries)


def test_a_place_that_cannot_be_written_is_one_line(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke("plugins", "lock", "--file", tmp_path / "gone" / "plugins.lock")

    assert result.exit_code == 1
    assert result.stderr.startswith("cannot write ")
