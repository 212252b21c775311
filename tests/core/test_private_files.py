from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from gateway_core.private_files import check_owner, locked, stamp_of, write_private, write_private_bytes


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


def test_what_a_killed_write_left_behind_is_removed_by_a_later_one(tmp_path: Path) -> None:
    left, fresh = tmp_path / ".a.json.x1.tmp", tmp_path / ".b.json.x2.tmp"
    for path in (left, fresh):
        path.write_text("half")
    os.utime(left, (0, 0))

    write_private(tmp_path / "a.json", {})

    # Another process may be writing what is new.
    assert sorted(each.name for each in tmp_path.iterdir()) == [fresh.name, "a.json"]


def test_a_file_has_another_stamp_when_it_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    assert stamp_of(path) is None
    write_private(path, {})
    stamp = stamp_of(path)

    write_private(path, {})

    assert stamp is not None
    assert stamp_of(path) not in {None, stamp}


def test_a_lock_keeps_other_processes_out_and_ends_with_its_process(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from gateway_core.private_files import locked\n"
        "with locked(Path(sys.argv[1])): print('has it', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"has it\n"
        with pytest.raises(TimeoutError, match="held the lock"), locked(tmp_path, patience=0.1):
            pass
        holder.kill()
        holder.wait()

    with locked(tmp_path):
        pass
