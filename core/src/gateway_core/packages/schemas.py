"""What a plugin declares for the configuration layer: the JSON Schema of its configuration, needs and checks."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal, NamedTuple, cast
from weakref import WeakKeyDictionary

from pydantic import BaseModel, ValidationError

from gateway_core.clock import SystemClock
from gateway_core.config import ConfigFinding, KeyPath, PluginDescription, SchemaValidator
from gateway_core.config.catalog import CheckBindings
from gateway_core.config.model_errors import explain_model_errors, meant_alternatives
from gateway_core.config.redaction import is_at_secret, schema_secret_paths
from gateway_core.config.suggestions import shown
from gateway_core.hooks.hook_inspection import PluginDefectError
from gateway_core.hooks.plugin import Plugin, PluginContext
from gateway_core.metrics import Metrics
from gateway_core.packages.patterns import pattern_findings

_NOTHING: Final[Mapping[str, Any]] = {"type": "object", "properties": {}, "additionalProperties": False}


class Declared(NamedTuple):
    """What a plugin declares of its configuration."""

    schema: Mapping[str, Any]
    """JSON Schema 2020-12; a plugin that declares none takes no keys."""

    secrets: frozenset[str]
    """The paths of values that must not be shown."""


# A schema takes pydantic tens of milliseconds, and gateways that run in one process, as in tests, share their plugins.
_of_models: Final[WeakKeyDictionary[type[BaseModel], Declared]] = WeakKeyDictionary()


def declared_by(plugin: type[Plugin[Any]]) -> Declared:
    """Return what a plugin declares of its configuration.

    :raises PluginDefectError: it declares both a model and a schema, or the schema is broken, or refers to something
        outside itself (nothing is ever fetched).
    """
    model: Any = plugin.config_model
    if model is not None and plugin.config_schema is not None:
        raise PluginDefectError(f"plugin {plugin.name!r} has a config_model and a config_schema: keep one")
    if model is None:
        schema = _NOTHING if plugin.config_schema is None else plugin.config_schema
        _check_schema(plugin.name, schema)
        return _declared(plugin.name, schema)
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        raise PluginDefectError(f"plugin {plugin.name!r}: config_model {model!r} is not a pydantic model class")
    declared = _of_models.get(model)
    if declared is None:
        # What pydantic makes is sound, and to check it again takes longer than to make it.
        declared = _of_models[model] = _declared(plugin.name, model.model_json_schema())
    return declared


def _declared(name: str, schema: Mapping[str, Any]) -> Declared:
    _check_references(name, schema)
    return Declared(schema, schema_secret_paths(schema))


def _check_schema(name: str, schema: Mapping[str, Any]) -> None:
    if not isinstance(schema, Mapping):
        raise PluginDefectError(f"plugin {name!r}: config_schema is a {type(schema).__name__}: make it a mapping")
    try:
        SchemaValidator(schema)
    except ValueError as error:
        raise PluginDefectError(f"plugin {name!r}: its configuration's schema is broken: {error}") from error


def _check_references(name: str, schema: Mapping[str, Any]) -> None:
    from referencing import Registry, Resource  # noqa: PLC0415 - a process that only serves does without
    from referencing.exceptions import Unresolvable  # noqa: PLC0415
    from referencing.jsonschema import DRAFT202012  # noqa: PLC0415

    resource: Resource[Any] = Resource.from_contents(schema, default_specification=DRAFT202012)
    base = resource.id() or ""
    registry: Registry[Any] = Registry().with_resource(base, resource)
    resolver = registry.resolver(base)
    for reference in _references(schema):
        try:
            resolver.lookup(reference)
        except Unresolvable as error:
            raise PluginDefectError(
                f"plugin {name!r}: its configuration's schema refers to {reference!r}, which is not in it: "
                "put it under $defs, since nothing is fetched"
            ) from error


def _references(schema: object) -> Iterator[str]:
    if isinstance(schema, Mapping):
        for key, value in schema.items():
            if key in {"$ref", "$dynamicRef"} and isinstance(value, str):
                yield value
            elif key not in {"const", "enum", "default", "examples"}:
                yield from _references(value)
    elif isinstance(schema, list | tuple):
        for value in schema:
            yield from _references(value)


def make_config(plugin: type[Plugin[Any]], raw: Mapping[str, Any]) -> Any:
    """Return what ``self.config`` will be: the model, or the mapping if there is no model.

    :raises pydantic.ValidationError: the model refuses it.
    """
    model = plugin.config_model
    return raw if model is None else model.model_validate(raw)


def config_check(
    plugin: type[Plugin[Any]], secrets: frozenset[str], schema: Mapping[str, Any] | None = None
) -> Callable[[Mapping[str, Any]], Iterable[ConfigFinding]]:
    """Return a function that says what the model refuses, beyond its schema, and what the plugin's own check finds."""
    patterns = [tuple(path.split(".")) for path in secrets]

    def show(path: KeyPath, value: object) -> str:
        steps = tuple(str(part) for part in path)
        hidden = is_at_secret(patterns, steps)
        # A mapping may hold a secret further down, so only plain values are shown.
        return "the value" if hidden or isinstance(value, Mapping | list) else shown(value)

    def check(raw: Mapping[str, Any]) -> Sequence[ConfigFinding]:
        try:
            config = make_config(plugin, raw)
        except ValidationError as error:
            assert plugin.config_model is not None
            return meant_alternatives(explain_model_errors(plugin.config_model, error, show, value=raw))
        except Exception as error:  # noqa: BLE001 - the plugin's own validators
            message = f"the plugin's configuration model failed: {type(error).__name__}: {error}"
            return [ConfigFinding((), message, code="plugin.check-failed")]
        own = [replace(found, code=f"{plugin.name}.{found.code}") for found in plugin.check_config(config)]
        return [*own, *pattern_findings(config, raw, schema or {})]

    return check


def controls_access(plugin: type[Plugin[Any]]) -> bool:
    """Whether bindings of a plugin decide who may pass."""
    return "identity" in plugin.provides if plugin.access_control is None else plugin.access_control


def description_of(
    name: str,
    distribution: str,
    version: str,
    plugin: type[Plugin[Any]],
    schema: Mapping[str, Any],
    secrets: frozenset[str],
) -> PluginDescription:
    """Return what the configuration layer needs to know about a plugin that loaded."""
    return PluginDescription(
        name,
        distribution,
        version,
        schema=schema,
        is_sound=True,
        default_on_error=plugin.default_on_error,
        provides=frozenset(plugin.provides),
        access_control=controls_access(plugin),
        shares_responses=plugin.shares_responses,
        encodes_responses=plugin.encodes_responses,
        needs=frozenset(plugin.needs),
        secret_paths=secrets,
        check=config_check(plugin, secrets, schema),
        check_bindings=_bindings_check(plugin),
        checks_repeated_bindings=plugin.checks_repeated_bindings,
        needs_of=_by_config(plugin, "needs"),
        provides_of=_by_config(plugin, "provides"),
        params_of=_params_of(plugin),
    )


def _bindings_check(plugin: type[Plugin[Any]]) -> CheckBindings | None:
    """Return a function that says what is wrong with several bindings together, if the plugin looks at that."""
    if getattr(plugin.check_bindings, "__func__", None) is getattr(Plugin.check_bindings, "__func__", None):
        return None

    def check(raws: Sequence[tuple[str, Mapping[str, Any]]]) -> Iterable[tuple[int, ConfigFinding]]:
        configs = [(id_, make_config(plugin, raw)) for id_, raw in raws]
        for index, found in plugin.check_bindings(configs):
            yield index, replace(found, code=f"{plugin.name}.{found.code}")

    return check


def _params_of(plugin: type[Plugin[Any]]) -> Callable[[Mapping[str, Any]], Iterable[tuple[KeyPath, str]]] | None:
    """Return the parameters that a binding reads as a function of its raw configuration, if the plugin names any."""
    if getattr(plugin.params_of, "__func__", None) is getattr(Plugin.params_of, "__func__", None):
        return None

    def of_config(raw: Mapping[str, Any]) -> Iterable[tuple[KeyPath, str]]:
        try:
            return list(plugin.params_of(make_config(plugin, raw)))
        except Exception:  # noqa: BLE001 - a config that the plugin refuses is reported as such elsewhere
            return ()

    return of_config


def _by_config(
    plugin: type[Plugin[Any]], what: Literal["needs", "provides"]
) -> Callable[[Mapping[str, Any]], Iterable[str]] | None:
    """Return what a binding needs or provides as a function of its raw configuration, unless it is a constant."""
    own = (vars(each).values() for each in plugin.__mro__ if each not in Plugin.__mro__)
    if not any(inspect.isfunction(part) and what in part.__code__.co_names for parts in own for part in parts):
        return None

    def of_config(raw: Mapping[str, Any]) -> Iterable[str]:
        try:
            log = logging.getLogger(f"gateway.plugins.{plugin.name}")
            context = PluginContext(plugin.name, None, SystemClock(), log, Metrics())
            return cast("Iterable[str]", getattr(plugin(make_config(plugin, raw), context), what))
        except Exception:  # noqa: BLE001 - a config that the plugin refuses is reported as such elsewhere
            return cast("Iterable[str]", getattr(plugin, what))

    return of_config
