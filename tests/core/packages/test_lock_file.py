from __future__ import annotations

from pathlib import Path

import pytest
from gateway_core.packages.lock_file import (
    LOCK_VARIABLE,
    LockedPlugin,
    LockError,
    is_locked,
    locked_plugins,
    read_lock,
    write_lock,
)

LOCKED = LockedPlugin("a", "dist-a", "1", "f" * 64, "0" * 64)


def test_what_is_written_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "plugins.lock"

    write_lock(path, {"a": LOCKED})

    assert read_lock(path) == {"a": LOCKED}


def test_the_environment_says_whether_plugins_are_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "plugins.lock"
    write_lock(path, {"a": LOCKED})

    monkeypatch.setenv(LOCK_VARIABLE, "")
    assert locked_plugins() is None
    monkeypatch.setenv(LOCK_VARIABLE, str(path))
    assert locked_plugins() == {"a": LOCKED}
    path.unlink()
    with pytest.raises(LockError, match="there is no lock file"):
        locked_plugins()


def test_each_difference_but_that_of_the_schema_is_named() -> None:
    now = LockedPlugin("a", "dist-a", "1", "f" * 64, "")

    assert [*LOCKED.differences(now)] == []
    assert [*LOCKED.differences(LockedPlugin("a", "dist-a", "2", "", ""))] == [
        "dist-a 1 is locked, dist-a 2 is installed"
    ]
    changed = LockedPlugin("a", "dist-a", "1", "e" * 64, "")
    assert [*LOCKED.differences(changed)] == ["the files of dist-a 1 are not those that were locked"]


def test_a_process_is_locked_by_a_path_in_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for path in ("", "plugins.lock"):
        monkeypatch.setenv(LOCK_VARIABLE, path)
        found.append(is_locked())

    assert found == [False, True]
