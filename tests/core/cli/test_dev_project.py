from __future__ import annotations

import sys
from pathlib import Path

import pytest
from gateway_core.cli.dev_project import Project, ProjectError, read_project
from gateway_core.packages import PluginRegistry

PYPROJECT = '[project.entry-points."gateway.plugins"]\nmine = "{module}:Mine"\n'
PLUGIN = """
from gateway_plugin_sdk import Plugin, hookimpl
class Mine(Plugin[None]):
    name = "mine"
    @hookimpl
    def gateway_pre_proxy(self, request): ...
"""


@pytest.fixture(autouse=True)
def _same_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", sys.path.copy())


def make(folder: Path, module: str, code: str) -> Project:
    (folder / "src").mkdir()
    (folder / "src" / f"{module}.py").write_text(code)
    (folder / "pyproject.toml").write_text(PYPROJECT.format(module=module))
    return read_project(folder)


def test_a_plugin_is_registered_without_being_installed(tmp_path: Path) -> None:
    registry = PluginRegistry()

    make(tmp_path, "dev_project_good", PLUGIN).register(registry)

    info = registry.info("mine")
    assert info is not None
    assert (info.version, info.hooks) == ("dev", ("gateway_pre_proxy",))


def test_an_error_shows_the_folders_own_lines_only(tmp_path: Path) -> None:
    project = make(tmp_path, "dev_project_bad", "def f():\n    raise ValueError('no')\n\nf()\n")

    with pytest.raises(ProjectError) as caught:
        project.register(PluginRegistry())

    text = str(caught.value)
    assert text.startswith("plugin 'mine' does not load:")
    assert "dev_project_bad.py" in text
    assert "ValueError: no" in text
    assert "importlib" not in text


def test_a_misspelt_hook_is_named(tmp_path: Path) -> None:
    project = make(tmp_path, "dev_project_misspelt", PLUGIN.replace("pre_proxy", "pre_proxi"))

    with pytest.raises(ProjectError, match="did you mean gateway_pre_proxy"):
        project.register(PluginRegistry())


@pytest.mark.parametrize(
    ("text", "said"),
    [(None, "there is no .*pyproject.toml"), ("= nonsense", "cannot be read"), ("[project]", "has no")],
)
def test_a_folder_without_a_plugin_is_refused(tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / "pyproject.toml").write_text(text)

    with pytest.raises(ProjectError, match=said):
        read_project(tmp_path)


def test_the_source_may_be_the_folder_itself(tmp_path: Path) -> None:
    assert Project(tmp_path, {}).source == tmp_path
