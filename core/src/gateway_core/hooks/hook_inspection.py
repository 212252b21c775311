"""Which hooks a plugin implements: declared to pluggy, checked once, kept as a table."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import CodeType
from typing import Any, Final
from weakref import WeakKeyDictionary

import pluggy

from gateway_core.errors import GatewayError
from gateway_core.hooks.blocking import is_blocking
from gateway_core.hooks.plugin import Plugin
from gateway_core.hooks.process_hooks import ProcessHooks
from gateway_core.hooks.removed_names import removed_names
from gateway_core.hookspecs import PROJECT, REQUEST_PHASES, RequestHooks

PROCESS_HOOKS: Final = tuple(name for name in dir(ProcessHooks) if name.startswith("gateway_"))
"""The hooks that extensions implement."""


class PluginDefectError(GatewayError):
    """A plugin that the gateway cannot use; the text names the plugin, what is wrong and where."""


@dataclass(frozen=True, slots=True)
class HookEntry:
    """One hook of a plugin class."""

    attribute: str
    """The method's name; it may differ from the hook's (``specname``)."""

    arguments: tuple[int, ...] | None
    """Which of the spec's arguments the method takes, in its order; None if exactly the spec's."""

    is_async: bool
    is_blocking: bool


HookTable = Mapping[str, tuple[HookEntry, ...]]
"""Entries by phase; phases without a hook are absent."""

_tables: WeakKeyDictionary[type, tuple[HookTable, tuple[str, ...]]] = WeakKeyDictionary()
"""By plugin class: its hooks of requests, and the names of its process-wide ones."""

hook_codes: Final[dict[int, tuple[CodeType, str, str]]] = {}
"""By the id of a code object: the code, the plugin's name, the hook, ``start`` or ``stop``. For the blocking guard."""


def table_of(plugin: type[Plugin[Any]]) -> HookTable:
    """Return the hooks of a plugin class.

    :raises PluginDefectError: a hook is misspelt, unmarked, has arguments that its spec has not, or is of a kind that
        has no meaning here.
    """
    return _inspected(plugin)[0]


def process_hooks_of(plugin: type[Plugin[Any]]) -> tuple[str, ...]:
    """Return the names of the process-wide hooks of a plugin class.

    :raises PluginDefectError: as `table_of` does.
    """
    return _inspected(plugin)[1]


def _inspected(plugin: type[Plugin[Any]]) -> tuple[HookTable, tuple[str, ...]]:
    found = _tables.get(plugin)
    if found is None:
        found = _tables[plugin] = _inspect(plugin)
    return found


def _inspect(plugin: type[Plugin[Any]]) -> tuple[HookTable, tuple[str, ...]]:
    manager = checked_manager(plugin, plugin.name)
    _refuse_removed_names(plugin, manager)
    attributes = {id(function): name for name, function in _functions(plugin)}
    table: dict[str, tuple[HookEntry, ...]] = {}
    for phase in REQUEST_PHASES:
        caller: pluggy.HookCaller = getattr(manager.hook, phase)
        spec = caller.spec
        assert spec is not None
        entries = []
        for implementation in reversed(caller.get_hookimpls()):
            function = _plain(implementation.function)
            entries.append(_entry(attributes[id(function)], function, implementation, tuple(spec.argnames)))
            code = getattr(function, "__code__", None)
            if code is not None:
                hook_codes[id(code)] = (code, plugin.name, phase)
        if entries:
            table[phase] = tuple(entries)
    # These run while requests are served.
    for method in ("start", "stop"):
        code = getattr(getattr(plugin, method), "__code__", None)
        if code is not None and getattr(plugin, method) is not getattr(Plugin, method):
            hook_codes[id(code)] = (code, plugin.name, method)
    return table, tuple(hook for hook in PROCESS_HOOKS if getattr(manager.hook, hook).get_hookimpls())


def _refuse_removed_names(plugin: type[Plugin[Any]], manager: pluggy.PluginManager) -> None:
    names = [name for name, _ in _functions(plugin)]
    options: dict[str, Mapping[str, Any]] = {name: manager.parse_hookimpl_opts(plugin, name) or {} for name in names}
    uses = list(removed_names(plugin, options, Plugin))
    if uses:
        more = f"; and {len(uses) - 1} more" if len(uses) > 1 else ""
        raise PluginDefectError(f"plugin {plugin.name!r} uses an earlier plugin API: {uses[0]}{more}")


def _plain(function: Any) -> Any:
    return getattr(function, "__func__", function)


def _entry(
    attribute: str, function: Callable[..., Any], implementation: pluggy.HookImpl, spec: tuple[str, ...]
) -> HookEntry:
    names = tuple(implementation.argnames)
    return HookEntry(
        attribute=attribute,
        arguments=None if names == spec else tuple(spec.index(name) for name in names),
        is_async=inspect.iscoroutinefunction(function) or is_blocking(function),
        is_blocking=is_blocking(function),
    )


def checked_manager(namespace: object, name: str) -> pluggy.PluginManager:
    """Register a plugin class or an extension module with a fresh manager that knows our specs.

    :raises PluginDefectError: pluggy or one of our own rules refuses it.
    """
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(RequestHooks)
    manager.add_hookspecs(ProcessHooks)
    _check_functions(manager, namespace, name)
    try:
        manager.register(namespace, name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        text = " ".join(str(error).split())
        raise PluginDefectError(f"plugin {name!r} has hooks that are not usable: {text}") from error
    return manager


def _check_functions(manager: pluggy.PluginManager, namespace: object, name: str) -> None:
    for attribute, function in _functions(namespace):
        options = manager.parse_hookimpl_opts(namespace, attribute)
        if options is None:
            _check_unmarked(namespace, name, attribute, function)
        else:
            _check_marked(manager, namespace, name, options.get("specname") or attribute, attribute, options)


def _functions(namespace: object) -> Iterator[tuple[str, Any]]:
    """Yield the functions of a class or module by the names of their attributes, without touching any descriptor."""
    for attribute in dir(namespace):
        function = _plain(inspect.getattr_static(namespace, attribute))
        if inspect.isfunction(function):
            yield attribute, function


def _check_unmarked(namespace: object, name: str, attribute: str, function: Callable[..., Any]) -> None:
    defined_here = inspect.isclass(namespace) or function.__module__ == getattr(namespace, "__name__", None)
    if not attribute.startswith("gateway_") or not defined_here:
        return
    if attribute in REQUEST_PHASES or attribute in PROCESS_HOOKS:
        raise _defect(name, attribute, function, "is not marked: put @hookimpl above it")
    raise _defect(name, attribute, function, f"is not a hook{_closest(attribute)}")


def _check_marked(
    manager: pluggy.PluginManager,
    namespace: object,
    name: str,
    hook: str,
    attribute: str,
    options: Mapping[str, Any],
) -> None:
    function = _plain(getattr(namespace, attribute))
    caller = getattr(manager.hook, hook, None)
    spec = caller.spec if isinstance(caller, pluggy.HookCaller) else None
    if spec is None:
        if options.get("optionalhook"):
            return
        raise _defect(name, hook, function, f"is not a hook{_closest(hook)}")
    if options.get("wrapper") or options.get("hookwrapper"):
        raise _defect(name, hook, function, "is a wrapper, which has no meaning here: use the response phase")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise _defect(name, hook, function, "is a generator: return a value, or await in an async def")
    _check_arguments(name, hook, getattr(namespace, attribute), inspect.isclass(namespace), spec)
    if inspect.iscoroutinefunction(function) and is_blocking(function):
        raise _defect(name, hook, function, "is async and marked as blocking: it is one or the other")
    if hook in PROCESS_HOOKS and inspect.isclass(namespace):
        static = inspect.getattr_static(namespace, attribute)
        if not isinstance(static, staticmethod | classmethod):
            raise _defect(name, hook, function, "runs without an instance: make it a @staticmethod")


def _check_arguments(name: str, hook: str, function: Callable[..., Any], in_class: bool, spec: Any) -> None:
    needed = [each for each in inspect.signature(function).parameters.values() if each.default is each.empty]
    if in_class and needed and function is _plain(function) and needed[0].name == "self":
        needed = needed[1:]
    unknown = [
        each.name for each in needed if each.name not in spec.argnames or each.kind is not each.POSITIONAL_OR_KEYWORD
    ]
    if unknown:
        may = ", ".join(spec.argnames) or "no arguments"
        what = f"takes {', '.join(map(repr, unknown))}, which it is not given: it may take {may}"
        raise _defect(name, hook, _plain(function), what)


def _closest(name: str) -> str:
    known = [*REQUEST_PHASES, *PROCESS_HOOKS]
    close = difflib.get_close_matches(name, known, n=1)
    return f": did you mean {close[0]}?" if close else f": the hooks are {', '.join(known)}"


def _defect(name: str, hook: str, function: Callable[..., Any], what: str) -> PluginDefectError:
    code = function.__code__
    return PluginDefectError(f"plugin {name!r}: {hook} ({code.co_filename}:{code.co_firstlineno}) {what}")
