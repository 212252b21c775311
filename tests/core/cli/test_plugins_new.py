from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from gateway_core.cli.plugins_new import Names, files

from tests.core.cli.conftest import Invoke

NOTHING_ELSE = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))}


def test_the_new_packages_own_tests_pass_at_once(invoke: Invoke, tmp_path: Path) -> None:
    invoke("plugins", "new", "geo-tag", "--directory", tmp_path / "new")

    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        check=False,
        cwd=tmp_path / "new",
        env={**NOTHING_ELSE, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert " passed" in ran.stdout


def test_it_says_what_to_do_next(invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    result = invoke("plugins", "new", "geo-tag")

    assert result.exit_code == 0
    assert (tmp_path / "gateway-plugin-geo-tag/src/gateway_plugin_geo_tag/plugin.py").is_file()
    for command in ("cd gateway-plugin-geo-tag", "gateway dev", "pytest", "pip install"):
        assert command in result.output


def test_nothing_is_overwritten(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")

    result = invoke("plugins", "new", "geo-tag", "--directory", tmp_path)

    assert result.exit_code == 1
    assert "is not empty" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_place_that_cannot_be_written_is_one_line(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    result = invoke("plugins", "new", "geo-tag", "--directory", tmp_path / "file" / "below")

    assert result.exit_code == 1
    assert result.stderr.startswith("cannot write ")
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("Geo", "small letters"),
        ("geo_tag", "small letters"),
        ("1geo", "small letters"),
        ("geo--tag", "single hyphens"),
        ("geo-", "single hyphens"),
        ("../geo", "small letters"),
        ("", "small letters"),
        ("gateway-plugin-geo", "leave out"),
        ("x" * 51, "51 characters: use 50 at most"),
    ],
)
def test_other_names_are_refused_with_the_reason(invoke: Invoke, tmp_path: Path, name: str, why: str) -> None:
    result = invoke("plugins", "new", "--directory", tmp_path / "new", "--", name)

    assert result.exit_code == 2
    assert why in " ".join(result.stderr.split())
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("name", "expected"),
    [("geo-tag", "GeoTag"), ("x", "X"), ("request", "RequestPlugin"), ("none", "NonePlugin"), ("a-2b", "A2b")],
)
def test_the_class_is_named_after_the_plugin_and_hides_nothing(name: str, expected: str) -> None:
    assert Names(name).class_name == expected


@pytest.mark.parametrize("name", ["geo-tag", "request", "none", "set"])
def test_every_file_of_the_package_can_be_read(name: str) -> None:
    for path, text in files(Names(name)):
        assert not re.search(r"%[A-Z_]+%", path + text), path
        if path.endswith(".py"):
            ast.parse(text)
            assert max(map(len, text.splitlines()), default=0) <= 120
        elif path.endswith(".toml"):
            tomllib.loads(text)
        elif path.endswith(".yaml"):
            yaml.safe_load(text)


def test_the_package_has_what_one_expects() -> None:
    assert {path for path, _ in files(Names("geo"))} == {
        ".github/workflows/ci.yaml",
        ".gitignore",
        "README.md",
        "example.yaml",
        "pyproject.toml",
        "src/gateway_plugin_geo/__init__.py",
        "src/gateway_plugin_geo/plugin.py",
        "src/gateway_plugin_geo/py.typed",
        "tests/test_plugin.py",
    }


def test_the_entry_point_names_the_class() -> None:
    document = tomllib.loads(dict(files(Names("geo-tag")))["pyproject.toml"])

    assert document["project"]["entry-points"]["gateway.plugins"] == {"geo-tag": "gateway_plugin_geo_tag:GeoTag"}
