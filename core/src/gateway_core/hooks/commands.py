"""Commands of plugins: methods that operators call in every worker, found and checked when a plugin is loaded."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import re
import typing
from collections.abc import Callable, Iterable, Mapping
from contextvars import Context
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeVar, get_args
from weakref import WeakKeyDictionary

import pydantic
import pydantic_core

from gateway_core.errors import GatewayError
from gateway_core.hooks.binding import Binding
from gateway_core.hooks.failure_log import HookTimeoutError, describe
from gateway_core.hooks.hook_inspection import PluginDefectError
from gateway_core.hooks.plugin import Plugin
from gateway_core.tasks import spawn

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

Role = Literal["viewer", "operator"]
"""Who may run a command: a viewer changes nothing, an operator may."""

COMMAND_TIMEOUT: Final = 60.0
"""Seconds that a command may take in one worker."""

_MARK: Final = "__gateway_command__"
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")


def command(*, role: Role) -> Callable[[FunctionT], FunctionT]:
    """Mark a method of a plugin as a command, such as ``purge`` of a cache.

    It is run in every worker by ``POST /api/v1/bindings/{id}/{name}``, ``gateway call ID NAME ARGUMENT=VALUE`` and
    `Plugin.everywhere`. Its arguments are passed by name and validated by their type hints (pydantic, not strict); it
    returns what JSON can hold, a dataclass or a pydantic model.

    :param role: ``viewer`` for what only reads, ``operator`` for what changes something.
    """
    if role not in get_args(Role):
        raise PluginDefectError(f"@command(role={role!r}): the roles are {' and '.join(map(repr, get_args(Role)))}")

    def mark(function: FunctionT) -> FunctionT:
        setattr(function, _MARK, role)
        return function

    return mark


class CommandArgumentsError(GatewayError):
    """Arguments that a command does not take; the text names each."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command of a plugin class."""

    name: str
    role: Role
    arguments: Mapping[str, pydantic.TypeAdapter[Any]]
    required: frozenset[str]

    def validated(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments as the method takes them.

        :raises CommandArgumentsError: one is missing, unknown or of another type.
        """
        problems = [f"{name}: is missing" for name in self.arguments if name in self.required and name not in given]
        takes = ", ".join(self.arguments) or "none"
        problems += [f"{name}: is not an argument of it ({takes})" for name in given if name not in self.arguments]
        values: dict[str, Any] = {}
        for name, adapter in self.arguments.items():
            if name not in given:
                continue
            try:
                values[name] = adapter.validate_python(given[name])
            except pydantic.ValidationError as error:
                problems += [_problem(name, each) for each in error.errors(include_url=False, include_input=False)]
        if problems:
            raise CommandArgumentsError(f"command {self.name!r}: {'; '.join(problems)}")
        return values


def _problem(name: str, error: pydantic_core.ErrorDetails) -> str:
    path = ".".join(str(part) for part in (name, *error["loc"]))
    return f"{path}: {error['msg'][:1].lower()}{error['msg'][1:]}"


_Defect = Callable[[str], PluginDefectError]

_found: WeakKeyDictionary[type, Mapping[str, Command]] = WeakKeyDictionary()


def commands_of(plugin: type[Plugin[Any]]) -> Mapping[str, Command]:
    """Return the commands of a plugin class by name.

    :raises PluginDefectError: a command has a signature that cannot be called by name with values of JSON.
    """
    commands = _found.get(plugin)
    if commands is None:
        commands = _found[plugin] = {
            name: _inspect(plugin, name, function, static) for name, function, static in _marked(plugin)
        }
    return commands


def _marked(plugin: type[Plugin[Any]]) -> Iterable[tuple[str, Callable[..., Any], Any]]:
    for name in dir(plugin):
        static = inspect.getattr_static(plugin, name)
        function = getattr(static, "__func__", static)
        if callable(function) and hasattr(function, _MARK):
            yield name, function, static


def _inspect(plugin: type[Plugin[Any]], name: str, function: Callable[..., Any], static: Any) -> Command:
    def defect(what: str) -> PluginDefectError:
        code = getattr(function, "__code__", None)
        place = f" ({code.co_filename}:{code.co_firstlineno})" if code is not None else ""
        return PluginDefectError(f"plugin {plugin.name!r}: command {name!r}{place} {what}")

    _check_method(name, function, static, defect)
    parameters = list(inspect.signature(function).parameters.values())
    if not parameters:
        raise defect("takes no self: commands run on an instance")
    adapters = _adapters(function, parameters[1:], defect)
    required = frozenset(each.name for each in parameters[1:] if each.default is each.empty)
    return Command(name, getattr(function, _MARK), adapters, required)


def _check_method(name: str, function: Callable[..., Any], static: Any, defect: _Defect) -> None:

    if not inspect.isfunction(static):
        raise defect("is no plain method: commands run on an instance")
    if not _NAME.fullmatch(name):
        raise defect("has a name that is not lower case letters, digits and underscores: rename it")
    if hasattr(Plugin, name) or name.startswith("gateway_"):
        raise defect("has the name of something else that plugins have: rename it")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise defect("is a generator: return a value")


def _adapters(
    function: Callable[..., Any], parameters: Iterable[inspect.Parameter], defect: _Defect
) -> dict[str, pydantic.TypeAdapter[Any]]:
    """Return what validates each argument."""
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except Exception as error:
        raise defect(f"has type hints that cannot be evaluated: {describe(error)}") from error
    adapters: dict[str, pydantic.TypeAdapter[Any]] = {}
    for each in parameters:
        if each.kind not in {each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY}:
            raise defect(f"takes {each.name!r}, which has no name that a caller could give: name each argument")
        if each.name not in hints:
            raise defect(f"has no type hint for {each.name!r}: the hint is what the argument is validated by")
        try:
            adapters[each.name] = pydantic.TypeAdapter(hints[each.name])
        except Exception as error:
            text = " ".join(str(error).split("\n")[0].split())
            raise defect(f"has a type for {each.name!r} that pydantic cannot validate: {text}") from error
    return adapters


def describe_binding(binding: Binding, now: float) -> dict[str, Any]:
    """Return what status pages show of a binding, with the role that each of its commands needs."""
    roles = {name: each.role for name, each in commands_of(type(binding.instance)).items()}
    return {**binding.describe(now), "commands": roles}


OutcomeKind = Literal["done", "failed", "unknown", "refused"]


@dataclass(frozen=True, slots=True)
class CommandOutcome:
    """What became of a command in one worker."""

    kind: OutcomeKind
    """``unknown``: no such binding or command; ``refused``: wrong arguments."""

    result: Any = None
    """What it returned, as JSON has it, if it is done."""

    error: str = ""


async def run_command(
    plugin: Plugin[Any],
    name: str,
    arguments: Mapping[str, Any],
    timeout: float = COMMAND_TIMEOUT,  # noqa: ASYNC109 - of the plugin's method
) -> CommandOutcome:
    """Run a command of an instance, in an empty context; whatever it does becomes an outcome."""
    found = commands_of(type(plugin)).get(name)
    if found is None:
        known = ", ".join(sorted(commands_of(type(plugin)))) or "none"
        text = f"plugin {plugin.name!r} has no command {name!r}: it has {known}"
        return CommandOutcome("unknown", error=text)
    try:
        values = found.validated(arguments)
    except CommandArgumentsError as error:
        return CommandOutcome("refused", error=str(error))
    work = spawn(
        _call(plugin, name, values, timeout), name=f"command {name} of {plugin!r}", on_error=_known, context=Context()
    )
    try:
        return CommandOutcome("done", await work)
    except (Exception, SystemExit) as error:
        is_unexpected = not isinstance(error, GatewayError)
        plugin.log.log(
            logging.ERROR if is_unexpected else logging.WARNING,
            "command %s of %r failed: %s",
            name,
            plugin,
            describe(error),
            exc_info=error if is_unexpected else None,
        )
        text = str(error) if isinstance(error, GatewayError) else f"{type(error).__name__}: {error}".removesuffix(": ")
        return CommandOutcome("failed", error=text)
    finally:
        work.cancel()


async def run_in_instances(
    bindings: Iterable[Binding], path: str, name: str, arguments: Mapping[str, Any]
) -> list[CommandOutcome]:
    """Run a command in each instance of a binding, one after the other, and return what became of it in each.

    There are several where targets of several routes name the same upstream, or the upstream has one of the same id.

    :param bindings: those in force.
    :param path: the binding's ``id``, ``route/id`` or ``upstreams/name/id``.
    """
    in_force = list(bindings)
    instances = {id(each.instance): each.instance for each in in_force if each.path == path}
    if not instances:
        known = ", ".join(sorted({each.path for each in in_force})[:20]) or "none"
        return [CommandOutcome("unknown", error=f"there is no binding {path!r}: there are {known}")]
    return [await run_command(instance, name, arguments) for instance in instances.values()]


def _known(_error: BaseException) -> None:
    """Log nothing: the outcome says it."""


async def _call(plugin: Plugin[Any], name: str, values: Mapping[str, Any], seconds: float) -> Any:
    try:
        async with asyncio.timeout(seconds) as limit:
            result = getattr(plugin, name)(**values)
            if inspect.isawaitable(result):
                result = await result
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise HookTimeoutError(f"it did not end within {seconds:g}s") from error
    except (SystemExit, KeyboardInterrupt) as error:
        raise GatewayError(f"it raised {type(error).__name__}") from error
    return as_json(result)


def as_json(value: Any) -> Any:
    """Return a value as JSON has it.

    :raises GatewayError: JSON cannot hold it.
    """
    try:
        plain = pydantic_core.to_jsonable_python(value)
        return json.loads(json.dumps(plain, allow_nan=False))
    except (ValueError, TypeError, RecursionError) as error:
        raise GatewayError(f"JSON cannot hold a {type(value).__name__}: {error}") from error
