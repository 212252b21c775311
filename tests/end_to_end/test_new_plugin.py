"""A plugin from nothing to an installed wheel, by the commands that the tutorial names."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.core.cli.fresh import FreshEnvironment

PLAIN = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))}


def python(*arguments: str | Path, folder: Path) -> str:
    """Run ``python -m ...`` and return what it says; it must succeed."""
    ran = subprocess.run(
        [sys.executable, "-m", *map(str, arguments)], cwd=folder, env=PLAIN, check=False, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_plugin_is_written_tested_packaged_and_installed(tmp_path: Path) -> None:
    python("gateway_core.cli", "plugins", "new", "geo-tag", folder=tmp_path)
    folder = tmp_path / "gateway-plugin-geo-tag"

    assert " passed" in python("pytest", "-q", "-p", "no:cacheprovider", folder=folder)
    python("pip", "wheel", "--quiet", "--no-build-isolation", "--no-deps", "--wheel-dir", "dist", ".", folder=folder)
    (wheel,) = (folder / "dist").glob("*.whl")
    assert "gateway_plugin_geo_tag/py.typed" in zipfile.ZipFile(wheel).namelist()

    environment = FreshEnvironment(tmp_path / "environment")
    installed = environment.gateway("plugins", "install", "--no-index", "--no-deps", wheel)
    assert installed.returncode == 0, installed.stdout + installed.stderr
    assert "new: geo-tag (gateway-plugin-geo-tag 0.1.0)" in installed.stdout

    shown = environment.gateway("plugins", "show", "geo-tag")
    assert "The header that requests get on their way upstream." in " ".join(shown.stdout.split())
    checked = environment.gateway("check", "-c", folder / "example.yaml")
    assert checked.returncode == 0, checked.stderr
