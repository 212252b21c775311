"""Install every distribution of this repository into the environment that runs this, with a group of requirements.

    python deploy/installation.py [--wheels] GROUP

Editable, or with ``--wheels`` as a release has them. The archives are built by one process and everything is resolved
at once: pip would start two processes for each folder. Needs hatchling, editables, and pip 25.1 or newer.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Final

from hatchling.build import build_editable, build_wheel

ROOT: Final = Path(__file__).parents[1]


def folders() -> Iterator[Path]:
    """Yield the folders of all distributions, each after those that it needs."""
    for folder in (ROOT / "core", ROOT / "plugin-sdk", *sorted((ROOT / "plugins").iterdir())):
        if (folder / "pyproject.toml").exists():
            yield folder


def archives(into: Path, *, editable: bool) -> Iterator[Path]:
    """Build a wheel of each distribution; yield where it is."""
    build = build_editable if editable else build_wheel
    for folder in folders():
        with contextlib.chdir(folder):
            yield into / build(str(into))


def name_of(folder: Path) -> str:
    name: str = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]["name"]
    return name


def is_installed(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def pip(command: str, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", command, "--quiet", *arguments], check=True)  # noqa: S603


def main() -> None:
    parser = argparse.ArgumentParser(description="Install every distribution of this repository.")
    parser.add_argument("--wheels", action="store_true", help="as a release has them, in place of editable ones")
    parser.add_argument("group", metavar="GROUP", help="the dependency group of pyproject.toml to install as well")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        built = list(archives(Path(folder), editable=not options.wheels))
        if earlier := [name for name in map(name_of, folders()) if is_installed(name)]:
            pip("uninstall", "--yes", *earlier)  # a wheel of the same version would be taken for what is installed
        pip("install", "--group", f"{ROOT / 'pyproject.toml'}:{options.group}", *map(str, built))


if __name__ == "__main__":
    main()
