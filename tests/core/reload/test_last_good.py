from __future__ import annotations

import json
import logging
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from gateway_core.config import ConfigProblem, Document, DocumentFormat, Place
from gateway_core.reload.bundle import PROTOCOL, ConfigBundle, document_from_plain, document_to_plain
from gateway_core.reload.last_good import LastBundle, LastGood, default_state_directory

FIRST = (Document("etcd://h/a.yaml", "routes: [ä]"), Document("etcd://h/b.toml", "x = 1", DocumentFormat.TOML))


def test_documents_survive(tmp_path: Path) -> None:
    LastGood(tmp_path / "deep" / "state", ["one", "two"]).save([FIRST, ()])

    assert LastGood(tmp_path / "deep" / "state", ["one", "two"]).load() == [FIRST, ()]
    assert [document_from_plain(document_to_plain(document)) for document in FIRST] == list(FIRST)


def test_nothing_was_kept_before_the_first_time(tmp_path: Path) -> None:
    assert LastGood(tmp_path, ["one"]).load() is None


def test_other_sources_have_another_file(tmp_path: Path) -> None:
    LastGood(tmp_path, ["one"]).save([FIRST])

    assert LastGood(tmp_path, ["two"]).load() is None


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    store = LastGood(tmp_path / "state", ["one"])
    store.save([FIRST])

    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700


def test_a_failure_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    store = LastGood(tmp_path, ["one"])
    store.save([FIRST])

    with pytest.raises(UnicodeEncodeError):
        store.save([(Document("a", "\ud800"),)])

    assert store.load() == [FIRST]
    assert [path.name for path in tmp_path.iterdir()] == [store.path.name]


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", '{"format": 2}', '{"format": 1, "sources": ["one"], "documents": []}',
     '{"format": 1, "sources": ["one"], "documents": [[{"name": "a"}]]}'],
)  # fmt: skip
def test_a_damaged_file_is_refused(tmp_path: Path, text: str) -> None:
    store = LastGood(tmp_path, ["one"])
    store.path.write_text(text)

    with pytest.raises(ValueError):  # noqa: PT011  # json's own errors among them
        store.load()


def test_the_directory_is_that_of_the_base_directory_specification(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")

    assert default_state_directory({"XDG_STATE_HOME": "/state"}) == Path("/state/gateway")
    assert default_state_directory({}) == Path("/home/me/.local/state/gateway")
    assert default_state_directory({"STATE_DIRECTORY": "/a:/b", "XDG_STATE_HOME": "/state"}) == Path("/a")
    assert default_state_directory({"STATE_DIRECTORY": "a", "XDG_STATE_HOME": "/state"}) == Path("/state/gateway")
    assert default_state_directory({"XDG_STATE_HOME": "relative"}) == Path("/home/me/.local/state/gateway")


@pytest.mark.parametrize("which", ["directory", "file"])
def test_what_another_user_may_have_written_is_not_believed(
    tmp_path: Path, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LastGood(tmp_path / "state", ["one"])
    store.save([FIRST])
    path = store.path if which == "file" else store.path.parent
    if os.geteuid() == 0:
        os.chown(path, 4711, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 4712)

    with pytest.raises(PermissionError, match=r"belongs to user [0-9]+: use a state directory that belongs to user"):
        store.load()
    if which == "directory":
        with pytest.raises(PermissionError, match="belongs to user"):
            store.save([FIRST])


@pytest.mark.parametrize("which", ["directory", "file"])
def test_what_anyone_may_write_is_not_believed(tmp_path: Path, which: str) -> None:
    store = LastGood(tmp_path / "state", ["one"])
    store.save([FIRST])
    (store.path if which == "file" else store.path.parent).chmod(0o777)

    with pytest.raises(PermissionError, match="may be written by anyone: run chmod o-w"):
        store.load()


def test_a_pipe_in_its_place_is_not_waited_for(tmp_path: Path) -> None:
    store = LastGood(tmp_path, ["one"])
    os.mkfifo(store.path)

    with pytest.raises(OSError, match="a pipe"):
        store.load()


def test_a_user_without_a_home_that_the_system_does_not_know_has_a_state_directory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_home() -> Path:
        raise RuntimeError("could not determine home directory")

    monkeypatch.setattr("pathlib.Path.home", no_home)

    assert default_state_directory({}) == Path("/var/lib/gateway")


HEAD = json.dumps({"files": ["/etc/g.yaml"], "directories": ["/etc/d"], "warnings": []}).encode()
BUNDLE = ConfigBundle("v1", (HEAD, '["ü"]'.encode()), 2, {"auth": "1.0 abc"})
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


async def test_what_was_in_force_is_found_after_a_swap_of_the_link_to_its_file(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.symlink_to("one.yaml")
    await last(tmp_path, is_used=True, name=str(file)).save(BUNDLE)

    file.unlink()
    file.symlink_to("two.yaml")

    assert await last(tmp_path, is_used=True, name=str(file)).load_after([PROBLEM]) == BUNDLE


async def test_nothing_older_is_started_unless_that_is_asked_for(tmp_path: Path) -> None:
    await last(tmp_path, is_used=False).save(BUNDLE)

    assert await last(tmp_path, is_used=False).load_after([PROBLEM]) is None


async def test_another_configuration_has_a_file_of_its_own(tmp_path: Path) -> None:
    await last(tmp_path, is_used=True).save(BUNDLE)

    assert await last(tmp_path, is_used=True, name="other.yaml").load_after([PROBLEM]) is None


async def test_only_the_owner_may_read_the_configuration(tmp_path: Path) -> None:
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
