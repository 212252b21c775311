from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest
from gateway_core.packages import PluginRegistry
from gateway_core.packages.locking import LockedPlugin, LockError, drift, installed_plugins

LOCKED = LockedPlugin("a", "dist-a", "1", "f" * 64, "0" * 64)


def test_no_drift_without_a_difference() -> None:
    assert list(drift({"a": LOCKED}, {"a": LOCKED})) == []
    assert list(drift({}, {"a": LOCKED})) == ["a: dist-a 1 is installed and not locked"]


def test_the_installed_plugins_are_measured() -> None:
    found = installed_plugins(PluginRegistry())

    assert found["auth"].distribution == "gateway-plugin-auth"
    assert found["auth"].files != found["logger"].files


def test_a_plugin_that_does_not_load_cannot_be_locked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    metadata = tmp_path / "broken-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[gateway.plugins]\nbroken = no_such_module:X\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    with pytest.raises(LockError, match="plugin 'broken' does not load: ModuleNotFoundError"):
        installed_plugins(PluginRegistry())


def test_a_plugin_whose_files_cannot_be_hashed_cannot_be_locked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    metadata = tmp_path / "zoo-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: zoo\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[gateway.plugins]\nzoo = zoo_of_no_file:Zoo\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    module = types.ModuleType("zoo_of_no_file")
    exec("from gateway_core.hooks import Plugin\nclass Zoo(Plugin):\n    name = 'zoo'\n", module.__dict__)
    monkeypatch.setitem(sys.modules, module.__name__, module)

    with pytest.raises(LockError, match="plugin 'zoo': the files of zoo cannot be hashed: no file of"):
        installed_plugins(PluginRegistry())
