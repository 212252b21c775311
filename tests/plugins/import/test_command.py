"""The command as it is called: exit statuses, files, standard streams."""

from __future__ import annotations

import json
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from gateway_import import formats
from gateway_import.command import import_
from gateway_import.failures import CannotImportError
from gateway_import.files import Files, SourceText
from gateway_import.formats import Format
from gateway_import.model import Imported, Route


def read_lines(source: SourceText, files: Files, options: Mapping[str, Any]) -> Imported:
    """Read a format of which each word is the path of a route, but for ``lose``, ``fail`` and ``include``."""
    imported = Imported("lines", source.name, comments=[f"shout: {options['shout']}"])
    for line in source.text.split():
        if line == "fail":
            raise CannotImportError(source.origin, "fails\x1b[31m")
        if line == "lose":
            imported.lose(source.origin, "'lose\x1b[31m'", "it cannot be had")
        elif line == "include":
            files.include("other", source.origin, source)
        else:
            imported.routes.append(Route(line, {"path": f"/{line}", "respond": {}}, source.origin))
    return imported


@pytest.fixture(autouse=True)
def lines_format(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("gateway_import.formats.lines")
    option = click.Option(["--shout"], is_flag=True, help="Shout.")
    vars(module)["FORMAT"] = Format(read_lines, "Import lines.", [option])
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(formats.FORMATS, "lines", "Lines.")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_text("a b")
    return path


def run(*arguments: object, stdin: str | None = None) -> Result:
    return CliRunner().invoke(import_, ["lines", *map(str, arguments)], input=stdin)


def test_the_configuration_goes_to_standard_output(file: Path) -> None:
    done = run(file)

    assert (done.exit_code, done.stderr) == (0, "")
    assert "  - id: a\n" in done.stdout


def test_the_file_is_standard_input_where_it_is_a_dash() -> None:
    assert "# stdin\n  - id: x\n" in run("-", stdin="x").stdout


def test_options_of_the_format_are_its_own(file: Path) -> None:
    assert "# shout: true" in run(file, "--shout").stdout.lower()
    assert "Shout." in run("--help").output


def test_what_is_lost_is_reported_and_is_exit_status_1(file: Path) -> None:
    file.write_text("a lose")

    done = run(file)

    assert (done.exit_code, "  - id: a\n" in done.stdout) == (1, True)
    assert f"{file}: lost: 'lose\\x1b[31m': it cannot be had\n1 thing could not be carried over\n" == done.stderr


def test_strict_writes_nothing_if_something_is_lost(file: Path, tmp_path: Path) -> None:
    file.write_text("a lose")

    done = run(file, "--strict", "-o", tmp_path / "out")

    assert (done.exit_code, done.stdout, (tmp_path / "out").exists()) == (1, "", False)
    assert "nothing is written: 1 thing could not be carried over (--strict)" in done.stderr
    file.write_text("a")
    assert run(file, "--strict").exit_code == 0


def test_findings_are_json_for_programs(file: Path) -> None:
    file.write_text("lose")

    rows, _ = json.JSONDecoder().raw_decode(run(file, "--json").stderr)

    assert [(row["file"], row["line"], row["lost"], row["guard"]) for row in rows] == [(str(file), None, True, False)]


def test_a_file_that_is_there_is_replaced_only_by_force(file: Path, tmp_path: Path) -> None:
    output = tmp_path / "gateway.yaml"

    first = run(file, "-o", output)
    text = output.read_text()
    file.write_text("c")
    second = run(file, "-o", output)
    assert (first.exit_code, second.exit_code, output.read_text()) == (0, 3, text)
    assert f"{output} is there already" in second.stderr
    third = run(file, "-o", output, "--force")

    assert (third.exit_code, "- id: c" in output.read_text()) == (0, True)
    assert stat.S_IMODE(output.stat().st_mode) & 0o133 == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "gateway.yaml"]


def test_a_link_is_no_way_to_another_file(file: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")

    assert run(file, "-o", tmp_path / "link").exit_code == 3
    assert run(file, "-o", tmp_path / "link", "--force").exit_code == 0
    assert not (tmp_path / "target").exists()


def test_bad_input_is_exit_status_1_and_bad_files_are_3(file: Path, tmp_path: Path) -> None:
    file.write_text("fail")
    assert (run(file).exit_code, run(file).stderr) == (1, f"{file}: fails\\x1b[31m\n")
    file.write_text("include")
    assert (run(file).exit_code, "other, which cannot be read" in run(file).stderr) == (1, True)
    assert run(tmp_path / "missing").exit_code == 3
    assert run(tmp_path).exit_code == 3
    file.write_text("a")
    assert run(file, "-o", tmp_path / "no" / "file").exit_code == 3
    assert run().exit_code == 2
