from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest
from gateway_core.config import ConfigProblem, Place
from gateway_core.reload.bundle import PROTOCOL, ConfigBundle, LastBundle

HEAD = json.dumps({"files": ["/etc/g.yaml"], "directories": ["/etc/d"], "warnings": []}).encode()
BUNDLE = ConfigBundle("v1", (HEAD, '["ü"]'.encode()), 2, {"auth": "1.0 abc"})


def test_it_travels_as_json() -> None:
    assert ConfigBundle.from_plain(json.loads(json.dumps(BUNDLE.to_plain()))) == BUNDLE


@pytest.mark.parametrize("missing", ["version", "workers", "plugins", "lines"])
def test_what_is_incomplete_is_refused(missing: str) -> None:
    plain = {name: value for name, value in BUNDLE.to_plain().items() if name != missing}

    with pytest.raises(KeyError):
        ConfigBundle.from_plain(plain)


def test_it_tells_which_files_it_was_read_from() -> None:
    assert {str(path) for path in BUNDLE.watch().files} == {"/etc/g.yaml"}
    assert {str(path) for path in BUNDLE.watch().directories} == {"/etc/d"}


@pytest.mark.parametrize(
    ("place_files", "expected"),
    [([], False), (["/etc/g.yaml"], False), (["/etc/g.yaml", "etcd://h/a.yaml"], True), (["configmap/a/b/c"], True)],
)
def test_it_tells_whether_a_source_has_a_part_in_it(place_files: list[str], *, expected: bool) -> None:
    head = json.dumps({"files": ["/etc/g.yaml", "/etc/unused.pem"], "place_files": place_files}).encode()

    assert ConfigBundle("v1", (head,)).has_remote_documents() is expected


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


@pytest.mark.parametrize(("is_used", "lines"), [(True, 1), (False, 0)])
async def test_a_directory_that_cannot_be_written_matters_only_to_who_needs_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, *, is_used: bool, lines: int
) -> None:
    (tmp_path / "state").write_text("a file where a directory is expected")

    with caplog.at_level(logging.DEBUG, "gateway.config"):
        await last(tmp_path, is_used=is_used).save(BUNDLE)

    assert len(caplog.records) == lines


async def test_what_another_version_kept_is_not_started(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    await last(tmp_path, is_used=True).save(replace(BUNDLE, protocol=PROTOCOL + 1))

    assert await last(tmp_path, is_used=True).load_after([PROBLEM]) is None

    assert "another version of the gateway" in caplog.text
