"""Build what a release consists of: an sdist and a wheel of every distribution, a bill of materials, and digests.

    python -m deploy.distributions [--into dist] [--address URL]

Needs hatchling, twine and cyclonedx-bom. ``--address`` is where the project lives; it becomes the URLs of the
metadata, which have none without it.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hatchling.build import build_sdist, build_wheel

from deploy.installation import ROOT, folders, name_of

EPOCH: Final = "1577836800"
"""Time of every file in archives (2020-01-01) unless SOURCE_DATE_EPOCH is set: the same sources give the same bytes."""


def run(*command: str | Path) -> None:
    subprocess.run([str(word) for word in command], check=True)  # noqa: S603


def build(folder: Path, into: Path, *, address: str = "") -> None:
    """Build an sdist, and the wheel from it, as everybody does who installs from the sdist.

    The backend is called in this process: a front end would start five for each.
    """
    os.environ.setdefault("SOURCE_DATE_EPOCH", EPOCH)
    with tempfile.TemporaryDirectory() as temporary:
        copy = Path(temporary) / folder.name
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", ".*"))
        if address:
            settings = copy / "pyproject.toml"
            settings.write_text(with_addresses(settings.read_text("utf-8"), address.rstrip("/")), "utf-8")
        with contextlib.chdir(copy):
            sdist = into / build_sdist(str(into))
        with tarfile.open(sdist) as archive:
            archive.extractall(temporary, filter="data")
        with contextlib.chdir(Path(temporary) / sdist.name.removesuffix(".tar.gz")):
            build_wheel(str(into))


def with_addresses(settings: str, address: str) -> str:
    urls = {
        "Homepage": address,
        "Documentation": f"{address}/tree/main/docs",
        "Changelog": f"{address}/blob/main/CHANGELOG.md",
        "Issues": f"{address}/issues",
    }
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in urls.items())
    return f"{settings.rstrip()}\n\n[project.urls]\n{lines}"


def bill_of_materials(archives: Path, into: Path) -> None:
    """Write what an installation of all wheels of a folder consists of, in CycloneDX 1.6."""
    with tempfile.TemporaryDirectory() as temporary:
        environment = Path(temporary) / "environment"
        venv.create(environment)
        python = environment / "bin" / "python"
        # By name, not by path: a path would be noted in what is installed, and so in the bill.
        names = [name_of(folder) for folder in folders()]
        options: list[str | Path] = [
            "--quiet",
            "--disable-pip-version-check",
            "--no-compile",
            "-c",
            ROOT / "constraints.txt",
            "--find-links",
            archives,
        ]
        run(sys.executable, "-m", "pip", "--python", python, "install", *options, *names)
        command = [
            sys.executable,
            "-m",
            "cyclonedx_py",
            "environment",
            "--spec-version",
            "1.6",
            "--output-reproducible",
        ]
        run(*command, "--validate", "--output-file", into, python)


def digests(files: Sequence[Path]) -> str:
    """Return lines for ``sha256sum --check``."""
    return "".join(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files)


def release(into: Path, *, address: str = "") -> None:
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    for folder in folders():
        build(folder, into, address=address)
    archives = sorted(into.iterdir())
    run(sys.executable, "-m", "twine", "check", "--strict", *archives)
    bill_of_materials(into, into / "gateway.cdx.json")
    (into / "SHA256SUMS").write_text(digests(sorted(into.iterdir())), "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the archives of a release.")
    parser.add_argument("--into", type=Path, default=ROOT / "dist", metavar="FOLDER")
    parser.add_argument("--address", default="", metavar="URL", help="where the project lives, for the metadata")
    options = parser.parse_args()
    release(options.into.absolute(), address=options.address)


if __name__ == "__main__":
    main()
