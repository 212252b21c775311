"""What the state directory holds after a `kill -9` at any step of a write."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.core.killed_writes import WRITES


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", WRITES)
def test_a_kill_at_each_line_of_a_write_leaves_the_old_or_the_new(tmp_path: Path, name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.core.killed_writes", name, str(tmp_path / "state")],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip

    found = json.loads(done.stdout)
    assert found["wrong"] == []
    assert found["lines"] > 20
    assert (found["old"] > 5, found["new"] > 0, found["next"]) == (True, True, True)
