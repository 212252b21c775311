from __future__ import annotations

import hashlib
import os
import re
import resource
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from gateway_plugin_auth.key_changes import NewKey, add_key, make_key, revoke_key
from gateway_plugin_auth.key_file import read_entries


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def add(path: Path, subject: str = "phone") -> NewKey:
    made = make_key("gw")
    add_key(path, made, subject, {}, None)
    return made


def subjects(path: Path) -> list[str]:
    return [entry.subject for entry in read_entries(path.read_bytes())]


def test_keys_are_random_and_begin_with_their_id() -> None:
    made = [make_key("gw") for _ in range(50)]

    assert len({each.key for each in made}) == len({each.id for each in made}) == 50
    for each in made:
        assert re.fullmatch(rf"{each.id}_[A-Za-z0-9]{{43}}", each.key)
        assert re.fullmatch("gw_[A-Za-z0-9]{8}", each.id)
        assert each.key not in repr(each)


def test_a_file_has_the_hash_of_a_key_and_not_the_key(path: Path) -> None:
    made = make_key("gw")

    add_key(path, made, "phone", {"groups": ["staff"]}, "2030-01-31T00:00:00Z")

    (entry,) = read_entries(path.read_bytes())
    assert (entry.id, entry.subject, entry.key) == (made.id, "phone", None)
    assert entry.sha256 == hashlib.sha256(made.key.encode()).hexdigest()
    assert (entry.claims, entry.expires) == ({"groups": ["staff"]}, "2030-01-31T00:00:00Z")
    assert made.key.removeprefix(made.id) not in path.read_text()


def test_a_file_that_is_made_is_its_owners(path: Path) -> None:
    before = os.umask(0)
    try:
        add(path)
    finally:
        os.umask(before)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_keeps_its_permissions_and_its_owner(path: Path) -> None:
    path.write_text("# ours\n")
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 12345, 23456)
    before = path.stat()

    revoke_key(path, add(path).id)

    after = path.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)


def test_who_has_the_old_file_open_reads_it_to_its_end(path: Path) -> None:
    made = add(path)
    with path.open() as old:
        before = path.read_text()
        revoke_key(path, made.id)

        assert old.read() == before != path.read_text()


def test_a_link_stays_one(path: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    path.symlink_to("real/keys")

    add(path)
    add(path, "robot")

    assert path.is_symlink()
    assert subjects(tmp_path / "real" / "keys") == ["phone", "robot"]


def test_comments_blank_lines_and_other_keys_stay_as_they_are(path: Path) -> None:
    begin = '# ours\n\n{"key": "by hand", "subject": "car"}\n# more\n'
    path.write_text(begin)

    made = add(path)
    revoke_key(path, made.id)

    assert path.read_text().startswith(begin)
    assert [entry.revoked for entry in read_entries(path.read_bytes())] == [False, True]


@pytest.mark.parametrize("text", ["", "\n", '{"key": "k", "subject": "car"}'])
def test_a_key_gets_a_line_of_its_own(path: Path, text: str) -> None:
    path.write_text(text)

    add(path)

    assert subjects(path) == (["car", "phone"] if text.strip() else ["phone"])


def test_a_key_without_an_id_is_revoked_by_the_beginning_of_its_hash(path: Path) -> None:
    path.write_text('{"key": "by hand", "subject": "car"}\n')
    (entry,) = read_entries(path.read_bytes())

    revoke_key(path, entry.shown_id())
    revoke_key(path, entry.shown_id())  # which is no error

    assert [each.revoked for each in read_entries(path.read_bytes())] == [True]


def test_changes_at_once_lose_nothing(path: Path) -> None:
    old = [add(path, "old") for _ in range(20)]

    with ThreadPoolExecutor(8) as threads:
        done = [threads.submit(revoke_key, path, each.id) for each in old]
        made = [threads.submit(add, path, f"new-{number}") for number in range(20)]
    assert not [each for each in done if each.exception()]

    entries = read_entries(path.read_bytes())
    assert {entry.id for entry in entries} == {each.id for each in old} | {each.result().id for each in made}
    assert all(entry.revoked == (entry.subject == "old") for entry in entries)


@pytest.mark.parametrize("text", ["hush", '[{"subject": "a", "key": "hush"}]', '{"subject": "a"}'])
def test_a_file_that_cannot_be_changed_is_left_alone(path: Path, text: str) -> None:
    path.write_text(text)

    for change in (lambda: add(path), lambda: revoke_key(path, "gw_none")):
        with pytest.raises(ValueError, match=r"line 1|this is a JSON list: .*jq -c") as raised:
            change()
        assert "hush" not in str(raised.value)

    assert path.read_text() == text
    assert list(path.parent.iterdir()) == [path]


def test_an_id_that_is_not_there_is_refused_with_what_shows_those_that_are(path: Path) -> None:
    add(path)

    with pytest.raises(ValueError, match=f"no key 'gw_none': gateway auth key list {path}"):
        revoke_key(path, "gw_none")
    with pytest.raises(FileNotFoundError):
        revoke_key(path.with_name("none"), "gw_none")


def test_a_disk_that_is_full_leaves_the_old_file(path: Path) -> None:
    add(path)
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before), limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            add(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
