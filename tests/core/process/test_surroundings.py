from __future__ import annotations

import os
from pathlib import Path

import pytest
from gateway_core.process.surroundings import kept


def test_the_directory_and_removed_variables_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("NEEDED", "by the next reload")
    before = Path.cwd()

    with kept():
        os.chdir(tmp_path)
        del os.environ["NEEDED"]

    assert Path.cwd() == before
    assert os.environ["NEEDED"] == "by the next reload"
    assert "variables of the environment, which are back: NEEDED" in caplog.text
    assert f"it is {before} again" in caplog.text
    assert "by the next reload" not in caplog.text


def test_what_plugins_set_stays(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("REGION", "a")

    with kept():
        os.environ["REGION"] = "b"

    assert os.environ["REGION"] == "b"
    assert not caplog.records


def fail_elsewhere(directory: Path) -> None:
    os.chdir(directory)
    raise ZeroDivisionError


def test_they_come_back_after_an_error_too(tmp_path: Path) -> None:
    before = Path.cwd()

    with pytest.raises(ZeroDivisionError), kept():
        fail_elsewhere(tmp_path)

    assert Path.cwd() == before
