from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from gateway_core.packages import published_plugins


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
