from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from gateway_core.cli.root import COMMANDS
from gateway_import.formats import FORMATS

from docs.man_pages import AUTH, CORE, FOLDERS, IMPORT, pages
from tests.programs import program


def test_the_pages_are_made_from_the_commands() -> None:
    written = {path: path.read_text("utf-8") for folder in FOLDERS for path in folder.glob("*.1")}

    assert written == pages(), "run: python docs/man_pages.py"


def test_every_command_has_a_page_that_the_first_one_names() -> None:
    for name in COMMANDS:
        shown = name.replace("-", "\\-")
        assert f"gateway\\-{shown} (1)" in pages()[CORE / "gateway.1"]
        assert CORE / f"gateway-{name}.1" in pages()


def test_commands_of_a_plugin_have_pages_that_the_first_one_of_them_leads_to() -> None:
    assert sorted(path.stem for path in pages() if path.parent == AUTH) == [
        "gateway-auth",
        "gateway-auth-key",
        "gateway-auth-key-list",
        "gateway-auth-key-new",
        "gateway-auth-key-revoke",
    ]
    assert "gateway\\-auth\\-key (1)" in pages()[AUTH / "gateway-auth.1"]
    assert "gateway\\-auth\\-key\\-new (1)" in pages()[AUTH / "gateway-auth-key.1"]


def test_each_format_that_can_be_imported_has_a_page() -> None:
    names = {path.stem for path in pages() if path.parent == IMPORT}

    assert names == {"gateway-import", *(f"gateway-import-{name}" for name in FORMATS)}
    assert "gateway\\-import\\-openapi (1)" in pages()[IMPORT / "gateway-import.1"]
    assert "\\-\\-target URL" in pages()[IMPORT / "gateway-import-openapi.1"]
    assert "1 if something was lost" in pages()[IMPORT / "gateway-import-kong.1"]


PAGES = sorted(path for folder in FOLDERS for path in folder.glob("*.1"))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_renders_without_a_warning(path: Path) -> None:
    groff = program("groff", "groff-base")

    done = subprocess.run(
        [groff, "-man", "-ww", "-Tutf8", "-P-cbou", path], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert all(title in done.stdout for title in ("SYNOPSIS", "DESCRIPTION", "EXIT STATUS"))


def test_what_a_line_of_roff_must_not_begin_with_is_escaped() -> None:
    lines = [line for text in pages().values() for line in text.splitlines()]
    macros = {line.split(" ")[0] for line in lines if line.startswith(".")}

    assert macros == {".TH", ".SH", ".PP", ".TP", ".B", ".BR"}


@pytest.mark.slow
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.parent.name)
def test_the_wheel_has_the_pages(tmp_path: Path, folder: Path) -> None:
    pytest.importorskip("hatchling", reason="wheels are built with it")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=folder.parent, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")

    with zipfile.ZipFile(wheel) as opened:
        names = {Path(name).name for name in opened.namelist() if "/share/man/man1/" in name}

    assert names == {path.name for path in pages() if path.parent == folder}
