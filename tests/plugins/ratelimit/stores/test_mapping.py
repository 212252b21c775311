from __future__ import annotations

from pathlib import Path
from typing import Any

from gateway_plugin_ratelimit.stores.mapping import SharedFile, written_ranges


def open_file(path: Any, phase: float = 0.0) -> SharedFile:
    return SharedFile(path, sets=16, set_size=64, phase=phase)


def test_whoever_comes_first_decides_and_all_find_a_key_in_the_same_place(tmp_path: Path) -> None:
    one, other = open_file(tmp_path / "t", phase=5.0), open_file(tmp_path / "t", phase=9.0)

    assert (one.phase, other.phase) == (5.0, 5.0)
    assert one.place_of("key") == other.place_of("key")
    one.map[100:103] = b"abc"
    assert other.map[100:103] == b"abc"

    one.close()
    other.close()


def test_places_differ_between_files_so_that_nobody_can_choose_keys_that_collide(tmp_path: Path) -> None:
    one, other = open_file(tmp_path / "one"), open_file(tmp_path / "other")

    assert one.place_of("key")[0] != other.place_of("key")[0]

    one.close()
    other.close()


def test_only_the_owner_may_read_the_file(tmp_path: Path) -> None:
    open_file(tmp_path / "t").close()

    assert (tmp_path / "t").stat().st_mode & 0o777 == 0o600


def test_keys_of_any_text_have_a_place_and_few_are_remembered(tmp_path: Path) -> None:
    shared = open_file(tmp_path / "t")

    for number in range(20_000):
        shared.place_of(f"{number}\udcff\0")

    assert len(shared._places) <= 8192
    shared.close()


def test_the_parts_of_a_file_that_were_written_are_found(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(1 << 20)
        file.seek(300_000)
        file.write(b"x")

    ranges = list(written_ranges(path))

    assert any(start <= 300_000 < end for start, end in ranges)
    assert sum(end - start for start, end in ranges) <= 1 << 20
