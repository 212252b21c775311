"""A Python environment of its own that has everything this one has, and wheels to install into it."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sysconfig
import venv
import zipfile
from pathlib import Path


class FreshEnvironment:
    """Packages can be installed here without anybody else noticing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        venv.create(folder, with_pip=False, symlinks=True)
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


def build_wheel(folder: Path, version: str = "1.0", *, code: str = "", options: str = "") -> Path:
    """Write the wheel of a plugin named ``tiny``; nothing but a zip file is needed for that."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"gateway_plugin_tiny-{version}-py3-none-any.whl"
    metadata = f"gateway_plugin_tiny-{version}.dist-info"
    entries = {
        "gateway_plugin_tiny.py": code or PLUGIN % options,
        f"{metadata}/METADATA": f"Metadata-Version: 2.1\nName: gateway-plugin-tiny\nVersion: {version}\n",
        f"{metadata}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{metadata}/entry_points.txt": "[gateway.plugins]\ntiny = gateway_plugin_tiny:Tiny\n",
    }
    record = f"{metadata}/RECORD"
    entries[record] = "".join(f"{name},{_hash(text)},{len(text)}\n" for name, text in entries.items()) + f"{record},,\n"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in entries.items():
            archive.writestr(name, text)
    return path
