from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from gateway_core.server import shared_folder


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(shared_folder.VARIABLE, raising=False)
    yield
    shared_folder.remove()


def test_a_folder_is_made_for_us_alone_and_removed() -> None:
    folder = shared_folder.provide()

    assert folder.stat().st_mode & 0o777 == 0o700
    assert os.environ[shared_folder.VARIABLE] == str(folder)
    assert shared_folder.provide() == folder
    shared_folder.remove()
    assert not folder.exists()
    assert shared_folder.VARIABLE not in os.environ


def test_a_folder_that_somebody_else_names_is_used_and_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(shared_folder.VARIABLE, str(tmp_path))

    assert shared_folder.provide() == tmp_path
    shared_folder.remove()

    assert tmp_path.is_dir()


def test_what_a_killed_gateway_left_is_removed() -> None:
    code = "from gateway_core.server import shared_folder; print(shared_folder.provide())"
    orphan = Path(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    )
    assert orphan.is_dir()

    shared_folder.provide()

    assert not orphan.exists()
