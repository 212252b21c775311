from __future__ import annotations

import json
from pathlib import Path

import pytest
from gateway_core.private_files import check_owner, write_private, write_private_bytes


def test_a_file_is_for_its_owner_alone_and_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "state" / "a.json"

    write_private(path, {"a": "\u00e4"})
    write_private(path, {"a": 2})

    assert json.loads(path.read_text()) == {"a": 2}
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [each.name for each in path.parent.iterdir()] == ["a.json"]


def test_what_fails_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.mkdir()

    with pytest.raises(OSError, match="directory"):
        write_private_bytes(path, b"x")
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_a_directory_that_anyone_may_write_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)

    with pytest.raises(PermissionError, match="chmod o-w"):
        check_owner(tmp_path)
    with pytest.raises(PermissionError):
        write_private(tmp_path / "a", {})
