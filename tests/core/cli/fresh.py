"""A Python environment of its own that has everything this one has, and wheels to install into it."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Mapping
from pathlib import Path


class FreshEnvironment:
    """Packages can be installed here without anybody else noticing."""

    def __init__(self, folder: Path, *, uv: str | None = None) -> None:
        """Make it.

        :param uv: the uv that makes it, in place of venv.
        """
        self.folder = folder
        if uv is None:
            venv.create(folder, with_pip=False, symlinks=True)
        else:
            subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
        site_packages = next((folder / "lib").glob("python*/site-packages"))
        # The parent's own .pth files are read as well: that is where editable installations are.
        (site_packages / "parent.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
        self.python = folder / "bin" / "python"

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run ``python -m ...`` in it."""
        return subprocess.run(
            [str(self.python), "-m", *map(str, arguments)],
            check=False,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def gateway(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command of the gateway in it."""
        return self.run("gateway_core.cli", *arguments)


PLUGIN = """
from gateway_plugin_sdk import Plugin, hookimpl

class Tiny(Plugin[dict]):
    \"\"\"Does nothing.\"\"\"

    name = "tiny"
    config_schema = {"type": "object", "properties": {%s}, "additionalProperties": False}

    @hookimpl
    def gateway_pre_proxy(self, request):
        return None
"""


def _hash(text: str) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
    return f"sha256={digest}"


def build_wheel(
    folder: Path, version: str = "1.0", *, code: str = "", options: str = "", requires: tuple[str, ...] = ()
) -> Path:
    """Write the wheel of a plugin named ``tiny``."""
    entries = {
        "gateway_plugin_tiny.py": code or PLUGIN % options,
        "entry_points.txt": "[gateway.plugins]\ntiny = gateway_plugin_tiny:Tiny\n",
    }
    return build_distribution(folder, "gateway-plugin-tiny", version, entries, requires)


def build_distribution(
    folder: Path, name: str, version: str, files: Mapping[str, str] | None = None, requires: tuple[str, ...] = ()
) -> Path:
    """Write a wheel; nothing but a zip file is needed for that."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = name.replace("-", "_")
    path = folder / f"{stem}-{version}-py3-none-any.whl"
    metadata = f"{stem}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {each}\n" for each in requires)
    entries = {
        f"{metadata}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{metadata}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    for file, text in (files or {f"{stem}.py": ""}).items():
        entries[f"{metadata}/{file}" if file == "entry_points.txt" else file] = text
    record = f"{metadata}/RECORD"
    entries[record] = "".join(f"{file},{_hash(text)},{len(text)}\n" for file, text in entries.items()) + f"{record},,\n"
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in entries.items():
            archive.writestr(file, text)
    return path
