"""An environment of its own, in which plugins come and go under a running gateway."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

from tests.core.cli.fresh import FreshEnvironment, build_wheel

PLUGIN = """
from gateway_plugin_sdk import Plugin, Response, hookimpl

class Tiny(Plugin[dict]):
    \"\"\"Answers with its version.\"\"\"

    name = "tiny"
    config_schema = {"type": "object", "properties": {"word": {"type": "string"}}, "additionalProperties": False}

    async def start(self):
        %s

    @hookimpl
    def gateway_pre_proxy(self, request):
        return Response(200, body=b"tiny %s")
"""


class Environment(FreshEnvironment):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "environment")
        self._wheels = folder / "wheels"
        (self.site,) = self.folder.glob("lib/python*/site-packages")

    def pip_install(self, version: str) -> None:
        """Install or upgrade the plugin as an operator does."""
        wheel = build_wheel(self._wheels, version, code=PLUGIN % ("pass", version))
        done = self.run("pip", "--disable-pip-version-check", "install", "--no-index", "--no-deps", str(wheel))
        assert done.returncode == 0, done.stderr

    def install(self, version: str, *, start: str = "pass", code: str = "") -> None:
        """Do what pip does to the files, which takes pip some seconds."""
        self.uninstall()
        with zipfile.ZipFile(build_wheel(self._wheels, version, code=code or PLUGIN % (start, version))) as wheel:
            wheel.extractall(self.site)

    def make_editable(self, code: str) -> Path:
        """Install it as ``pip install -e`` does; return where the source is."""
        self.uninstall()
        source = self.folder / "checkout" / "gateway_plugin_tiny.py"
        source.parent.mkdir()
        source.write_text(code)
        (self.site / "tiny.pth").write_text(f"{source.parent}\n")
        with zipfile.ZipFile(build_wheel(self._wheels, "1.0")) as wheel:
            wheel.extractall(self.site, [name for name in wheel.namelist() if ".dist-info/" in name])
        record = self.site / "gateway_plugin_tiny-1.0.dist-info" / "RECORD"
        record.write_text("".join(line for line in record.read_text().splitlines(True) if ".py," not in line))
        return source

    def uninstall(self) -> None:
        for metadata in self.site.glob("gateway_plugin_tiny-*.dist-info"):
            shutil.rmtree(metadata)
        (self.site / "gateway_plugin_tiny.py").unlink(missing_ok=True)
