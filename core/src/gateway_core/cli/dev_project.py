"""The plugin in a folder, as its pyproject.toml declares it; it need not be installed."""

from __future__ import annotations

import importlib
import sys
import tomllib
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import importlib_metadata

from gateway_core.errors import GatewayError
from gateway_core.hooks import PluginDefectError
from gateway_core.hookspecs import ENTRY_POINT_GROUP
from gateway_core.packages import PluginRegistry


class ProjectError(GatewayError):
    """A folder whose plugin cannot be run; the text says why."""


@dataclass(frozen=True, slots=True)
class Project:
    """A folder with the source of plugins."""

    folder: Path
    plugins: Mapping[str, str]
    """Where each plugin is, such as ``gateway_plugin_x:X``, by name."""

    @property
    def source(self) -> Path:
        """The folder that goes on the import path."""
        source = self.folder / "src"
        return source if source.is_dir() else self.folder

    def register(self, registry: PluginRegistry) -> None:
        """Import the plugins from the folder and add them, whether or not they are installed too.

        :raises ProjectError: one of them cannot be imported or used; the text has the lines of the folder's own code.
        """
        sys.path.insert(0, str(self.source))
        importlib.invalidate_caches()
        for name, value in self.plugins.items():
            try:
                target = importlib_metadata.EntryPoint(name, value, ENTRY_POINT_GROUP).load()
                registry.register(target, name=name, version="dev")
            except PluginDefectError as error:
                raise ProjectError(str(error)) from error
            except (Exception, SystemExit) as error:
                raise ProjectError(f"plugin {name!r} does not load:\n{self._described(error)}") from error

    def _described(self, error: BaseException) -> str:
        """Return an exception with the frames that are in the folder, which is what its author can mend."""
        trace = traceback.TracebackException.from_exception(error)
        inside = str(self.folder)
        trace.stack = traceback.StackSummary.from_list(
            [each for each in trace.stack if each.filename.startswith(inside)]
        )
        return "".join(trace.format(chain=False)).rstrip()


def read_project(folder: Path) -> Project:
    """Read the entry points of the plugins in a folder.

    :raises ProjectError: it has no plugin.
    """
    path = folder / "pyproject.toml"
    try:
        document: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ProjectError(
            f"there is no {path}: go to a plugin's folder, or make one by `gateway plugins new`"
        ) from None
    except (OSError, ValueError) as error:
        raise ProjectError(f"{path} cannot be read: {error}") from error
    plugins = document.get("project", {}).get("entry-points", {}).get(ENTRY_POINT_GROUP, {})
    if not plugins:
        raise ProjectError(f'{path} has no [project.entry-points."{ENTRY_POINT_GROUP}"]: add the plugin\'s name there')
    return Project(folder.resolve(), dict(plugins))
