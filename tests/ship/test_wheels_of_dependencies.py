"""What an installation consists of can be had as wheels where nothing is compiled: of arm64, and of the next Python."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement

from tests.contract.repository import DISTRIBUTIONS, ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

GLIBC: Final = range(17, 37)
"""From 2.17 to 2.36, that of the image's base."""


def requirements(version: str) -> Iterator[str]:
    """Yield what the distributions require of others on a version of Python, with all extras.

    pip reads markers for the Python that it runs on itself, so those of requirements are read here.
    """
    for each in DISTRIBUTIONS:
        project = each.settings["project"]
        extras = project.get("optional-dependencies", {}).values()
        for text in [*project.get("dependencies", ()), *(one for extra in extras for one in extra)]:
            requirement = Requirement(text)
            marker, requirement.marker = requirement.marker, None
            if not requirement.name.startswith("gateway-") and (
                marker is None or marker.evaluate({"python_version": version})
            ):
                yield str(requirement)


def resolve(machine: str, version: str, into: Path, *wanted: str) -> subprocess.CompletedProcess[str]:
    """Let pip find wheels for another machine or Python; nothing is installed."""
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in GLIBC] + [f"manylinux2014_{machine}"]
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--disable-pip-version-check"]
    command += ["--ignore-installed", "--only-binary=:all:", "--constraint", str(ROOT / "constraints.txt")]
    command += ["--target", str(into), "--python-version", version, *(f"--platform={each}" for each in platforms)]
    return subprocess.run([*command, *wanted], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("machine", "version"), [("aarch64", "3.11"), ("aarch64", "3.13"), ("x86_64", "3.14")])
def test_every_dependency_has_a_wheel(machine: str, version: str, tmp_path: Path) -> None:
    found = resolve(machine, version, tmp_path, *dict.fromkeys(requirements(version)))

    assert found.returncode == 0, found.stderr


def test_a_dependency_without_a_wheel_is_found(tmp_path: Path) -> None:
    """The check above can fail."""
    found = resolve("sparc", "3.13", tmp_path, "pydantic-core")

    assert found.returncode != 0
    assert re.search(r"^ERROR: .*pydantic-core", found.stderr, re.MULTILINE)
