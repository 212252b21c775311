from __future__ import annotations

import io
import os
import subprocess
import sys
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


def test_a_stream_in_the_place_of_standard_error_is_taken_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    before = sys.stderr

    with kept():
        monkeypatch.setattr(sys, "stderr", io.StringIO())

    assert sys.stderr is before
    assert "a plugin closed or replaced standard error" in caplog.text


@pytest.mark.parametrize("take", ["os.close(2)", "os.dup2(os.open(os.devnull, os.O_WRONLY), 2)", "sys.stderr.close()"])
def test_the_descriptor_of_standard_error_comes_back(take: str) -> None:
    code = (
        "import os, sys\nfrom gateway_core.process.surroundings import kept\n"
        f"with kept():\n    {take}\n"
        "os.write(2, b'still read')"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert "still read" in done.stderr
