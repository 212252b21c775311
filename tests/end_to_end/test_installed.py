"""What is installed is whole: the ``wheels`` env runs this against the built wheels."""

from __future__ import annotations

import os
from importlib import import_module, metadata, resources
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = sorted(path.parent for path in ROOT.glob("*/src/*/__init__.py")) + sorted(
    path.parent for path in ROOT.glob("plugins/*/src/*/__init__.py")
)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_files_that_are_not_python_are_installed_too(package: Path) -> None:
    files = [path for path in package.rglob("*") if path.is_file() and path.suffix not in {".py", ".pyc"}]
    installed = resources.files(package.name)

    assert package / "py.typed" in files
    for path in files:
        assert installed.joinpath(path.relative_to(package).as_posix()).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_versions_of_metadata_and_package_agree(package: Path) -> None:
    assert metadata.version(package.name.replace("_", "-")) == import_module(package.name).__version__


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_the_wheels_env_tests_the_wheels(package: Path) -> None:
    location = Path(str(resources.files(package.name)))

    assert location.is_relative_to(ROOT / ".tox") or "FROM_WHEELS" not in os.environ
