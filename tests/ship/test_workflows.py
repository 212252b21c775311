"""The workflows: their words, their rights, and that they run what there is."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.contract.repository import ROOT

GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
FORMS = sorted(path for path in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config")


def tool(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, cwd=ROOT)


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("vendor.github-workflows", WORKFLOWS),
        ("vendor.dependabot", [GITHUB / "dependabot.yml"]),
        ("vendor.github-issue-config", [GITHUB / "ISSUE_TEMPLATE" / "config.yml"]),
        ("vendor.github-issue-forms", FORMS),
    ],
)
def test_files_are_what_github_takes(schema: str, files: list[Path]) -> None:
    done = tool(sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *files)

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_audit_of_workflows_finds_nothing() -> None:
    done = tool(Path(sys.executable).with_name("zizmor"), "--offline", "--no-progress", "--persona=regular", GITHUB)

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_action_is_pinned_by_its_digest() -> None:
    used = [line for path in WORKFLOWS for line in path.read_text().splitlines() if "uses:" in line]

    assert used
    assert [line for line in used if not re.search(r"@[0-9a-f]{40} # v\d", line)] == []


def test_every_environment_runs() -> None:
    settings = configparser.ConfigParser(interpolation=None)
    settings.read(ROOT / "tox.ini")
    matrix = yaml.safe_load((GITHUB / "workflows" / "tests.yml").read_text())["jobs"]["checks"]["strategy"]["matrix"]

    assert [each["environment"] for each in matrix["include"]] == settings["tox"]["env_list"].split(", ")


def test_tools_before_a_commit_are_those_of_the_checks() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    pinned = set((ROOT / "constraints.txt").read_text().splitlines())

    assert {dependency for hook in hooks for dependency in hook["additional_dependencies"]} <= pinned
