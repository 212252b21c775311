from __future__ import annotations

import pytest
from gateway_plugin_logger.config import Rotation
from gateway_plugin_logger.sinks import rotation as rules

DAY = 86_400.0


def rotation(**options: object) -> Rotation:
    return Rotation.model_validate(options)


@pytest.mark.parametrize(
    ("options", "size", "last_written", "now", "due"),
    [
        ({"max_size": "1KiB"}, 1023, 0, 0, False),
        ({"max_size": "1KiB"}, 1024, 0, 0, True),
        ({"max_size": 0}, 1 << 40, 0, 0, False),
        ({"every": "1d"}, 1, DAY - 1, DAY, True),
        ({"every": "1d"}, 1, DAY, DAY * 2 - 1, False),
        ({"every": "1d"}, 0, DAY - 1, DAY, False),
        ({"every": "1h"}, 1, 3599, 3600, True),
        ({}, 1 << 26, 0, DAY * 99, False),
    ],
)
def test_a_file_is_put_aside_when_it_is_large_or_from_an_earlier_time(
    options: dict[str, object], size: int, last_written: float, now: float, due: bool
) -> None:
    assert rules.is_due(rotation(**options), size=size, last_written=last_written, now=now) is due


def test_files_put_aside_in_the_same_second_get_numbers() -> None:
    names: list[str] = []
    for _ in range(3):
        names.append(rules.aside_name("a.log", 1_795_389_621.5, names))
    names[1] += ".gz"

    assert names == ["a.log.20261122T232021Z", "a.log.20261122T232021Z-1.gz", "a.log.20261122T232021Z-2"]
    assert rules.aside_name("a.log", 1_795_389_621.5, names) == "a.log.20261122T232021Z-3"


def test_only_what_was_put_aside_from_this_file_is_old_and_the_oldest_comes_first() -> None:
    names = [
        "a.log", "a.log.1", "a.log.20261122T232021Z-10", "a.log.20261122T232021Z-9.gz", "a.log.20251122T232021Z",
        "a.log.20261122T232021Z.gz.partial", "b.log.20261122T232021Z", "xa.log.20261122T232021Z",
    ]  # fmt: skip

    assert rules.old_files("a.log", names) == [
        "a.log.20251122T232021Z",
        "a.log.20261122T232021Z-9.gz",
        "a.log.20261122T232021Z-10",
    ]


OLDS = ["a.20261101T000000Z.gz", "a.20261110T000000Z", "a.20261120T000000Z"]
NOW = 1_795_389_621.0  # 22 November


@pytest.mark.parametrize(
    ("options", "removed"),
    [
        ({"keep": 10}, []),
        ({"keep": 2}, OLDS[:1]),
        ({"keep": 1}, OLDS[:2]),
        ({"keep": 0}, []),
        ({"keep": 0, "keep_for": "5d"}, OLDS[:2]),
        ({"keep": 2, "keep_for": "5d"}, OLDS[:2]),
    ],
)
def test_surplus_and_expired_files_are_removed(options: dict[str, object], removed: list[str]) -> None:
    assert rules.to_remove(rotation(**options), OLDS, "a", NOW) == removed


def test_all_but_the_newest_are_compressed_once() -> None:
    assert rules.to_compress(rotation(compress=True), OLDS) == OLDS[1:2]
    assert rules.to_compress(rotation(), OLDS) == []
    assert rules.to_compress(rotation(compress=True), []) == []
