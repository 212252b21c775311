"""``gateway check`` as a process: what scripts go by."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.commands import start as commands

ROUTE = "routes: [{id: r, path: /, target: 'http://127.0.0.1:1'}]\n"
MISSING = "include: [gone.yaml]\n" + ROUTE


def check(path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return commands.run("check", "-c", path, *options)


@pytest.mark.parametrize(
    ("text", "options", "status", "stdout"),
    [
        (ROUTE, (), 0, "fine, 1 route, 0 upstreams\n"),
        ("workers: many\n" + ROUTE, (), 1, ""),
        (MISSING, (), 1, ""),
        (MISSING, ("--offline",), 0, "fine, 1 route, 0 upstreams, 1 warning\n"),
        (MISSING, ("--offline", "--strict"), 1, ""),
        (ROUTE, ("--nonsense",), 2, ""),
        (ROUTE, ("-c", "http://127.0.0.1:1/gateway.yaml"), 3, ""),
        (ROUTE.replace("id: r", "id: r, description: '${file:/proc/self/mem}'"), (), 3, ""),
    ],
)
def test_its_exit_status_says_what_it_found(
    tmp_path: Path, text: str, options: tuple[str, ...], status: int, stdout: str
) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(text)

    done = check(path, *options)

    assert (done.returncode, done.stdout.removeprefix(f"{path}: ")) == (status, stdout), done.stderr
    assert "Traceback" not in done.stderr


def test_json_has_severity_and_code_of_each_problem(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(MISSING + "workers: many\n")

    done = check(path, "--offline", "--json")

    told = json.loads(done.stdout)
    assert done.returncode == 1
    assert told["ok"] is False
    assert [(each["severity"], each["code"], each["line"], each["key"]) for each in told["problems"]] == [
        ("warning", "file.missing", 1, "include"),
        ("error", "value.wrong-type", 3, "workers"),
    ]


def test_json_of_a_fine_configuration_has_its_warnings(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(MISSING)

    told = json.loads(check(path, "--offline", "--json").stdout)

    assert told["ok"] is True
    assert [each["severity"] for each in told["problems"]] == ["warning"]


def test_strict_refuses_what_is_only_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(ROUTE.replace("path: /", "path_prefix: /, strip_path: true"))

    plain, strict = check(path), check(path, "--strict")

    assert (plain.returncode, strict.returncode) == (0, 1)
    assert plain.stdout == f"{path}: fine, 1 route, 0 upstreams, 1 warning\n"
    first, source, caret = plain.stderr.splitlines()
    assert first.startswith(f"{path}:1:46: routes[0].strip_path: warning: strip_path has no effect")
    assert source.index("true") == caret.index("^")
    assert "1 problem found" in strict.stderr
