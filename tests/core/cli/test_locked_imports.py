"""Nothing of a plugin that is not as it was locked is run, by no command and in no process."""

from __future__ import annotations

import importlib.util
import marshal
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOUND = "from gateway_plugin_sdk import Plugin\n\n\nclass Zoo(Plugin):\n    name = 'zoo'\n"
EVIL = "import os\nopen(os.environ['MARK'], 'a').close()\n"


class Site:
    """A place on the path with one installed plugin.

    :param lock: of such a place, which is the same for all of them.
    """

    def __init__(self, folder: Path, lock: Path | None = None) -> None:
        self.folder = folder
        self.package = folder / "site" / "zoo_package"
        self.mark = folder / "mark"
        self.lock = folder / "plugins.lock"
        self.config = folder / "gateway.yaml"
        self.package.mkdir(parents=True)
        (self.package / "__init__.py").touch()
        self.module = self.package / "plugin.py"
        self.module.write_text(SOUND)
        metadata = folder / "site" / "zoo-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: zoo\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text("[gateway.plugins]\nzoo = zoo_package.plugin:Zoo\n")
        names = ["zoo_package/__init__.py", "zoo_package/plugin.py", "zoo-1.0.dist-info/METADATA"]
        (metadata / "RECORD").write_text("".join(f"{name},,\n" for name in names))
        self.config.write_text(
            "listen: 127.0.0.1:0\nplugins: [{name: zoo}]\nroutes: [{path: /, target: 'http://127.0.0.1:1'}]\n"
        )
        if lock is None:
            assert self.gateway("plugins", "lock", f"--file={self.lock}").returncode == 0
        else:
            shutil.copy(lock, self.lock)

    def gateway(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command that ends by itself."""
        environ = {**os.environ, "PYTHONPATH": str(self.package.parent), "MARK": str(self.mark)}
        command = [sys.executable, "-m", "gateway_core.cli", *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=50, check=False, env=environ, cwd=self.folder
        )


COMMANDS = {
    "verify": ("plugins", "verify", "--file=plugins.lock"),
    "run": ("run", "-c", "gateway.yaml", "--locked=plugins.lock"),
    "source": ("run", "-c", "zoo://somewhere", "--locked=plugins.lock", "--state=state"),
}


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Site(tmp_path_factory.mktemp("locked")).lock


@pytest.fixture
def site(tmp_path: Path, locked: Path) -> Site:
    return Site(tmp_path, locked)


def edited(site: Site) -> None:
    site.module.write_text(EVIL + SOUND)


def edited_package(site: Site) -> None:
    (site.package / "__init__.py").write_text(EVIL)


def other_version(site: Site) -> None:
    metadata = site.package.parent / "zoo-1.0.dist-info" / "METADATA"
    metadata.write_text(metadata.read_text().replace("1.0", "2.0"))
    edited(site)


def compiled_without_source(site: Site) -> None:
    """Put byte code where Python looks for a module that has no source."""
    (site.package / "helper.pyc").write_bytes(pyc_of(EVIL, site.module))


def extension_module(site: Site) -> None:
    """Put a file where Python looks before it looks for the source."""
    (site.package / f"plugin{importlib.machinery.EXTENSION_SUFFIXES[0]}").write_bytes(b"not a library")


def additional_module(site: Site) -> None:
    (site.package / "helper.py").write_text(EVIL)


def pyc_of(source: str, beside: Path) -> bytes:
    """Return byte code that claims to be of a source file."""
    found = beside.stat()
    head = importlib.util.MAGIC_NUMBER + (0).to_bytes(4, "little")
    head += int(found.st_mtime).to_bytes(4, "little") + (found.st_size & 0xFFFFFFFF).to_bytes(4, "little")
    return head + marshal.dumps(compile(source, str(beside), "exec"))


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("change", [edited, edited_package, other_version])
def test_no_code_of_a_plugin_that_has_drifted_is_run(site: Site, command: str, change: object) -> None:
    assert callable(change)
    change(site)

    done = site.gateway(*COMMANDS[command])

    assert done.returncode == 1
    assert not site.mark.exists()
    if command != "source":
        assert "zoo" in done.stderr


@pytest.mark.parametrize("change", [additional_module, compiled_without_source, extension_module])
def test_a_module_that_no_record_lists_is_drift(site: Site, change: object) -> None:
    assert callable(change)
    change(site)

    done = site.gateway(*COMMANDS["verify"])

    assert done.returncode == 1
    assert done.stderr.strip() == "zoo: the files of zoo 1.0 are not those that were locked"


def test_a_plugin_that_was_not_locked_is_not_run(site: Site) -> None:
    site.lock.write_text('{"format": 1, "plugins": []}')
    edited(site)

    for command in COMMANDS.values():
        assert site.gateway(*command).returncode == 1
    assert not site.mark.exists()


def test_byte_code_beside_the_source_is_ignored(site: Site) -> None:
    cached = site.package / "__pycache__" / f"plugin.{sys.implementation.cache_tag}.pyc"
    cached.parent.mkdir(exist_ok=True)
    cached.write_bytes(pyc_of(EVIL + SOUND, site.module))

    assert site.gateway(*COMMANDS["verify"]).returncode == 0

    assert not site.mark.exists()
    assert site.gateway("plugins", "list").returncode == 0
    assert site.mark.exists(), "the byte code would have been run"
