from __future__ import annotations

import logging
from pathlib import Path

import pytest
from gateway_core.config import ConfigProblem, Place
from gateway_core.reload.bundle import ConfigBundle
from gateway_core.reload.last_bundle import LastBundle

BUNDLE = ConfigBundle("v1", (b'{"a": 1}', b"[]"), 2, {"auth": "1.0 abc"})
PROBLEM = ConfigProblem(Place("g.yaml", 1, 2), "workers", "is wrong", code="value.invalid")


def last(tmp_path: Path, *, is_used: bool, name: str = "g.yaml") -> LastBundle:
    return LastBundle(tmp_path / "state", [Path(name)], is_used=is_used)


async def test_what_was_in_force_is_given_back_to_a_start_that_asks_for_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await last(tmp_path, is_used=False).save(BUNDLE)

    with caplog.at_level(logging.ERROR):
        assert await last(tmp_path, is_used=True).load_after([PROBLEM]) == BUNDLE

    assert "g.yaml:1:2: workers: is wrong" in caplog.text


async def test_nothing_older_is_started_unless_that_is_asked_for(tmp_path: Path) -> None:
    await last(tmp_path, is_used=False).save(BUNDLE)

    assert await last(tmp_path, is_used=False).load_after([PROBLEM]) is None


async def test_another_configuration_has_a_file_of_its_own(tmp_path: Path) -> None:
    await last(tmp_path, is_used=True).save(BUNDLE)

    assert await last(tmp_path, is_used=True, name="other.yaml").load_after([PROBLEM]) is None


async def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    kept = last(tmp_path, is_used=True)
    await kept.save(BUNDLE)

    assert kept.path.stat().st_mode & 0o777 == 0o600
    assert kept.path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 99}', '{"format": 1}'])
async def test_a_damaged_file_is_told_and_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str) -> None:
    kept = last(tmp_path, is_used=True)
    await kept.save(BUNDLE)
    kept.path.write_text(text)

    with caplog.at_level(logging.ERROR):
        assert await kept.load_after([PROBLEM]) is None

    assert "there is no last good configuration" in caplog.text


@pytest.mark.parametrize(("is_used", "level"), [(True, logging.WARNING), (False, logging.DEBUG)])
async def test_a_directory_that_cannot_be_written_matters_only_to_who_needs_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, *, is_used: bool, level: int
) -> None:
    (tmp_path / "state").write_text("a file where a directory is expected")

    with caplog.at_level(logging.DEBUG, "gateway.config"):
        await last(tmp_path, is_used=is_used).save(BUNDLE)

    assert [record.levelno for record in caplog.records] == [level]
