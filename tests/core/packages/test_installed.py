from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from gateway_core.packages import installed_plugins, published_plugins


def write(path: Path, name: str, version: str, entry: str) -> None:
    metadata = path / f"{name.replace('-', '_')}-{version}.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (metadata / "entry_points.txt").write_text(f"[gateway.plugins]\n{entry} = a_module:Thing\n")
    importlib.invalidate_caches()


def test_entry_points_come_with_their_distribution_and_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    write(tmp_path, "a-dist", "1.5", "thing-a")

    (published,) = published_plugins()["thing-a"]

    assert (published.distribution, published.version, published.value) == ("a-dist", "1.5", "a_module:Thing")


def test_a_distribution_that_is_on_the_path_twice_counts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("one", "two"):
        monkeypatch.syspath_prepend(tmp_path / folder)
        write(tmp_path / folder, "a-dist", "1.5", "thing-a")

    assert len(published_plugins()["thing-a"]) == 1


def test_every_distribution_of_a_name_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    write(tmp_path, "a-dist", "1", "thing")
    write(tmp_path, "b-dist", "2", "thing")

    assert {each.distribution for each in published_plugins()["thing"]} == {"a-dist", "b-dist"}


GOOD = {"METADATA": b"Name: b-dist\nVersion: 1\n", "entry_points.txt": b"[gateway.plugins]\nbroken = a:B\n"}
BROKEN = {
    "without metadata": {"entry_points.txt": GOOD["entry_points.txt"]},
    "without a name": GOOD | {"METADATA": b"Version: 1\n"},
    "without a version": GOOD | {"METADATA": b"Name: b-dist\n"},
    "metadata that is no text": GOOD | {"METADATA": b"\xff\xfe\x00"},
    "an entry point without a value": GOOD | {"entry_points.txt": b"[gateway.plugins]\nbroken\n"},
    "entry points that are no text": GOOD | {"entry_points.txt": b"[gateway.plugins]\n\xff = a:B\n"},
    "a list of files that is no text": GOOD | {"RECORD": b"\xff\xfe"},
    "a list of files that is none": GOOD | {"RECORD": b'"' + b"x" * 200_000},
}


@pytest.mark.parametrize("files", BROKEN.values(), ids=BROKEN.keys())
def test_a_distribution_that_cannot_be_read_is_named_and_hides_no_other_one(
    files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    write(tmp_path, "a-dist", "1.5", "thing-a")
    metadata = tmp_path / "b_dist-1.dist-info"
    metadata.mkdir()
    for name, data in files.items():
        (metadata / name).write_bytes(data)
    importlib.invalidate_caches()

    found = installed_plugins()

    assert "thing-a" in found.plugins
    assert "broken" not in found.plugins
    (broken,) = found.broken
    assert str(metadata) in str(broken)
    assert "install it again, or remove it" in str(broken)


def test_what_an_uninstallation_left_is_not_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "b_dist-1.dist-info").mkdir()

    assert installed_plugins().broken == ()


def test_beside_a_broken_distribution_the_first_one_of_a_name_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, version in (("second", "2"), ("first", "1")):
        monkeypatch.syspath_prepend(tmp_path / folder)
        write(tmp_path / folder, "a-dist", version, "thing-a")
    broken = tmp_path / "second" / "c-1.dist-info"
    broken.mkdir()
    (broken / "entry_points.txt").write_bytes(b"[gateway.plugins]\nx\n")
    importlib.invalidate_caches()

    assert [each.version for each in published_plugins()["thing-a"]] == ["1"]


def test_a_byte_order_mark_hides_no_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    metadata = tmp_path / "b_dist-1.dist-info"
    metadata.mkdir()
    for name, data in GOOD.items():
        (metadata / name).write_bytes(b"\xef\xbb\xbf" + data)
    importlib.invalidate_caches()

    assert "broken" in installed_plugins().plugins
