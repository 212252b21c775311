from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from gateway_core.process import shared_folder


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
    code = "from gateway_core.process import shared_folder; print(shared_folder.provide())"
    orphan = Path(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    )
    assert orphan.is_dir()

    shared_folder.provide()

    assert not orphan.exists()


PROVIDE = "from gateway_core.process import shared_folder; print(shared_folder.provide(), flush=True); input()"


@contextlib.contextmanager
def running() -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Run another gateway, as far as it has a folder."""
    with subprocess.Popen(
        [sys.executable, "-c", PROVIDE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process, Path(process.stdout.readline().strip())
        process.kill()


def test_the_folder_of_a_living_gateway_stays_although_its_process_cannot_be_seen() -> None:
    with running() as (process, folder):
        # As if from another container: nothing here has its process id.
        elsewhere = folder.rename(folder.with_name(folder.name.replace(str(process.pid), str(2**22 + 1))))

        shared_folder.provide()

        assert elsewhere.is_dir()
    shared_folder.remove()
    shared_folder.provide()
    assert not elsewhere.exists()


def test_a_folder_stays_while_a_program_that_took_the_process_over_lives() -> None:
    again = (
        "import os, sys; from gateway_core.process import shared_folder; shared_folder.provide();"
        f"os.execv(sys.executable, ['python', '-c', {PROVIDE!r}])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", again], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())

        shared_folder.provide()

        assert folder.is_dir()
        process.kill()


def test_what_is_not_a_gateways_folder_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_folder, "_IN_MEMORY", tmp_path)
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / ".lock").touch()
    (tmp_path / "gateway-1-link").symlink_to(precious)
    (tmp_path / "gateway-1-nolock").mkdir()
    (tmp_path / "gateway-1-locklink").mkdir()
    (tmp_path / "gateway-1-locklink" / ".lock").symlink_to(precious / ".lock")

    shared_folder.provide()

    assert (precious / ".lock").exists()
    assert (tmp_path / "gateway-1-nolock").is_dir()
    assert (tmp_path / "gateway-1-locklink").is_dir()
