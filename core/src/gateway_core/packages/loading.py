"""Import one plugin, with whatever its import does wrong kept to itself."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
import traceback
from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from gateway_core.errors import GatewayError
from gateway_core.hooks.commands import commands_of
from gateway_core.hooks.hook_inspection import (
    PROCESS_HOOKS,
    PluginDefectError,
    checked_manager,
    process_hooks_of,
    table_of,
)
from gateway_core.hooks.plugin import Plugin
from gateway_core.hookspecs import REQUEST_PHASES
from gateway_core.packages.code_digest import read_path_files
from gateway_core.packages.installed import Published, report_import
from gateway_core.packages.schemas import declared_by

Kind = Literal["plugin", "extension"]


class PluginLoadError(GatewayError):
    """A plugin that did not load; the text has the exception's type, message and place."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A plugin or extension that was imported and found in order."""

    kind: Kind
    target: Any
    """The plugin class, or the extension's module or object."""

    hooks: tuple[str, ...]
    doc: str
    schema: Mapping[str, Any] | None = None
    """None of a plugin whose schema was not asked for."""
    secrets: frozenset[str] = frozenset()

    def described(self) -> Loaded:
        """Return the same with its schema.

        :raises PluginDefectError: the schema cannot be used.
        """
        if self.kind != "plugin" or self.schema is not None:
            return self
        declared = declared_by(self.target)
        return replace(self, schema=declared.schema, secrets=declared.secrets)


def load(published: Published, *, describes: bool = True) -> Loaded:
    """Import and check what an entry point names.

    :param describes: whether the schema of its configuration is made and checked, too, which takes time and memory.
    :raises PluginLoadError: for anything that goes wrong, ``SystemExit`` included.
    """
    report_import(published)
    try:
        _check_reference(published)
        try:
            target = published.entry_point.load()
        except ModuleNotFoundError:
            read_path_files(published)
            target = published.entry_point.load()
        loaded = inspect_target(published.name, target)
        return loaded.described() if describes else loaded
    except KeyboardInterrupt:
        raise
    except PluginDefectError as error:
        raise PluginLoadError(str(error)) from error
    except BaseException as error:
        raise PluginLoadError(_explain(published, error)) from error


def _check_reference(published: Published) -> None:
    names = re.split(r"[.:]", published.value.partition("[")[0])
    if published.value.count(":") > 1 or not all(name.strip().isidentifier() for name in names):
        raise PluginDefectError(
            f"plugin {published.name!r}: the entry point of {published.distribution} is {published.value!r}: "
            "make it module:Class"
        )


def inspect_target(name: str, target: Any) -> Loaded:
    """Check a plugin class or an extension, but for the schema of its configuration.

    :raises PluginDefectError: it cannot be used; says why.
    """
    if isinstance(target, type) and issubclass(target, Plugin):
        return _inspect_plugin(name, target)
    manager = checked_manager(target, name)
    if misplaced := [hook for hook in REQUEST_PHASES if getattr(manager.hook, hook).get_hookimpls()]:
        raise PluginDefectError(f"plugin {name!r}: {misplaced[0]} needs a class that subclasses Plugin, to be bound")
    hooks = tuple(hook for hook in PROCESS_HOOKS if getattr(manager.hook, hook).get_hookimpls())
    if not hooks:
        raise PluginDefectError(f"plugin {name!r}: {target!r} is no subclass of Plugin and has no process-wide hook")
    return Loaded("extension", target, hooks, inspect.getdoc(target) or "")


def _inspect_plugin(name: str, plugin: type[Plugin[Any]]) -> Loaded:
    if plugin.name != name:
        raise PluginDefectError(
            f"plugin {name!r}: the class {plugin.__qualname__} is named {plugin.name!r}: use one name"
        )
    if plugin.default_on_error not in {"deny", "continue"}:
        raise PluginDefectError(
            f"plugin {name!r}: default_on_error is {plugin.default_on_error!r}: use 'deny' or 'continue'"
        )
    if plugin.responses not in {"entered", "all"}:
        raise PluginDefectError(f"plugin {name!r}: responses is {plugin.responses!r}: use 'entered' or 'all'")
    for attribute in ("provides", "needs"):
        value = getattr(plugin, attribute)
        if not isinstance(value, Set) or not all(isinstance(each, str) for each in value):
            raise PluginDefectError(f"plugin {name!r}: {attribute} is {value!r}: make it a frozenset of names")
    for method in ("start", "stop"):
        if not inspect.iscoroutinefunction(getattr(plugin, method)):
            raise PluginDefectError(f"plugin {name!r}: {method} is not an async def")
    table = table_of(plugin)
    commands_of(plugin)
    doc = inspect.cleandoc(plugin.__doc__) if plugin.__doc__ else ""
    return Loaded("plugin", plugin, (*table, *process_hooks_of(plugin)), doc)


def _explain(published: Published, error: BaseException) -> str:
    text = " ".join(str(error).split())
    described = f"{type(error).__name__}: {text}" if text else type(error).__name__
    if isinstance(error, SyntaxError) and error.filename:
        return f"{described.partition(' (')[0]} ({error.filename}:{error.lineno})"
    place = _place(published, error.__traceback__)
    return f"{described} ({place})" if place else described


def _place(published: Published, trace: TracebackType | None) -> str:
    """Return file and line of the innermost frame in the plugin's own package, else of any package."""
    frames = [frame for frame in traceback.extract_tb(trace) if _is_source(frame.filename)]
    package = published.value.partition(":")[0].partition(".")[0]
    own = [frame for frame in frames if package in Path(frame.filename).parts or Path(frame.filename).stem == package]
    for frame in reversed(own or frames):
        return f"{frame.filename}:{frame.lineno}"
    return ""


def _is_source(filename: str) -> bool:
    machinery = {__file__, importlib.__file__, importlib.util.__file__}
    return not filename.startswith("<") and filename not in machinery and "importlib_metadata" not in filename
