from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from gateway_core.hooks import Plugin, PluginDefectError
from gateway_core.hookspecs import hookimpl
from gateway_core.packages import PluginRegistry
from gateway_core.packages.loading import inspect_target


def test_a_plugin_that_is_installed_in_editable_mode_while_we_run_can_be_imported(tmp_path: Path) -> None:
    """The entry point is there, but the folder that its .pth file names is on nobody's path yet."""
    packages, source = tmp_path / "packages", tmp_path / "checkout"
    packages.mkdir()
    source.mkdir()
    script = textwrap.dedent(f"""
        import pathlib, sys
        packages, source = pathlib.Path({str(packages)!r}), pathlib.Path({str(source)!r})
        sys.path.append(str(packages))
        from gateway_core.packages import PluginRegistry
        registry = PluginRegistry()
        assert "late" not in registry.names()

        (source / "late_plugin.py").write_text(
            "from gateway_core.hooks import Plugin\\nclass Late(Plugin):\\n    name = 'late'\\n"
        )
        (packages / "late.pth").write_text(str(source))
        info = packages / "late-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: late\\nVersion: 1\\n")
        (info / "entry_points.txt").write_text("[gateway.plugins]\\nlate = late_plugin:Late\\n")

        assert registry.scan().added == ("late",)
        print(registry.info("late").state, registry.info("late").error)
    """)

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=50, check=False)

    assert (done.stdout, done.stderr) == ("loaded None\n", "")


def test_a_plugin_class_offers_process_wide_hooks_as_static_methods() -> None:
    class Both(Plugin[Any]):
        name = "both"

        @hookimpl
        def gateway_log(self) -> None: ...

        @staticmethod
        @hookimpl
        def gateway_commands() -> list[Any]:
            return []

    assert inspect_target("both", Both).hooks == ("gateway_log", "gateway_commands")


def test_a_plugin_without_hooks_may_only_start_and_stop() -> None:
    class Idle(Plugin[Any]):
        name = "idle"

    assert inspect_target("idle", Idle).hooks == ()


def test_the_documentation_of_the_base_class_is_not_a_plugins_own() -> None:
    assert inspect_target("idle", type("Idle", (Plugin,), {"name": "idle"})).doc == ""


def test_a_plain_object_is_no_extension() -> None:
    with pytest.raises(PluginDefectError, match="'x': 5 is no subclass of Plugin and has no process-wide hook"):
        inspect_target("x", 5)


@pytest.mark.parametrize("value", ["", "a b:C", ".relative:C", "a..b:C", "a:B:C", "a:"])
def test_an_entry_point_that_names_no_class_is_told_with_its_distribution(
    value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = tmp_path / "zoo-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: zoo\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[gateway.plugins]\nzoo = {value}\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    info = PluginRegistry().info("zoo")

    assert info is not None
    assert info.error == f"plugin 'zoo': the entry point of zoo is {value!r}: make it module:Class"


PARTED = """
from gateway_core.config import ConfigModel
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl

class Part(ConfigModel):
    size: int = 1

class Whole(ConfigModel):
    part: Part = Part.model_construct(size=2)

class Parted(Plugin[Whole]):
    name = "parted"
    config_model = Whole

    @hookimpl
    def gateway_pre_proxy(self, request):
        return Part if request.path == "/" else None
"""


def test_of_a_plugins_models_the_whole_is_made_when_it_is_loaded_and_its_parts_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "parted_plugin.py").write_text(PARTED)
    metadata = tmp_path / "parted-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: parted\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[gateway.plugins]\nparted = parted_plugin:Parted\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    registry = PluginRegistry(describes=False)
    info = registry.info("parted")

    assert info is not None
    assert info.error is None
    module = sys.modules["parted_plugin"]
    assert [module.Whole.__pydantic_complete__, module.Part.__pydantic_complete__] == [True, False]
