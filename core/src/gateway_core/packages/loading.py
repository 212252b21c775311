"""Import one plugin, with whatever its import does wrong kept to itself."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import re
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Literal

from pydantic import BaseModel

from gateway_core.errors import GatewayError
from gateway_core.failure_text import text_of
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
    :raises PluginLoadError: for anything that goes wrong, ``SystemExit`` and ``KeyboardInterrupt`` included.
    :raises KeyboardInterrupt: for Ctrl-C; its text says what was imported.
    """
    report_import(published)
    try:
        with _interrupts() as interrupted:
            _check_reference(published)
            try:
                target = _import(published)
            except ModuleNotFoundError:
                read_path_files(published)
                target = _import(published)
            loaded = inspect_target(published.name, target)
            _complete_model(loaded)
            return loaded.described() if describes else loaded
    except PluginDefectError as error:
        raise PluginLoadError(str(error)) from error
    except BaseException as error:
        if interrupted and isinstance(error, KeyboardInterrupt):
            where = f"while plugin {published.name!r} of {published.distribution} {published.version} was imported"
            raise KeyboardInterrupt(where) from None
        raise PluginLoadError(_explain(published, error)) from error


def _complete_model(loaded: Loaded) -> None:
    """Make a plugin's model ready for use: by its first use it would be on the event loop."""
    model = loaded.target.config_model if loaded.kind == "plugin" else None
    if isinstance(model, type) and issubclass(model, BaseModel):
        model.model_rebuild()


def _import(published: Published) -> Any:
    limit = sys.getrecursionlimit()
    try:
        return published.entry_point.load()
    finally:
        if (lowered := sys.getrecursionlimit()) < limit:
            sys.setrecursionlimit(limit)
            raise PluginDefectError(
                f"plugin {published.name!r}: its import lowers the recursion limit of the whole process to {lowered}: "
                f"leave it at {limit}"
            )


@contextlib.contextmanager
def _interrupts() -> Iterator[list[int]]:
    """Note in a list when a KeyboardInterrupt comes of Ctrl-C: a plugin may raise one as it may raise anything.

    Ctrl-C raises it in the main thread only, and only where that is what the signal does.
    """
    interrupted: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        interrupted.append(number)
        signal.default_int_handler(number, frame)

    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield interrupted
        return
    signal.signal(signal.SIGINT, interrupt)
    try:
        yield interrupted
    finally:
        if signal.getsignal(signal.SIGINT) is interrupt:
            signal.signal(signal.SIGINT, signal.default_int_handler)


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
    text = text_of(error)
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
