"""Checks that every plugin should pass, whatever it does."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator, Mapping, MutableMapping, MutableSequence, MutableSet
from typing import Any, Final

from pydantic import BaseModel

from gateway_core.config import ConfigError, SchemaValidator
from gateway_core.config.codes import CODE
from gateway_core.events import PLUGIN_STOP_FAILED
from gateway_core.hooks import Blockage, BlockingGuard, Plugin, PluginDefectError, table_of
from gateway_core.packages import PluginRegistry, published_plugins
from gateway_core.packages.schemas import declared_by, make_config
from gateway_core.testing.harness import PluginHarness

_UNKNOWN: Final = "surely-no-plugin-has-this-key"
_BLOCKING_AFTER: Final = 0.2
"""Seconds; more than the gateway's own guard allows, so that a busy machine is not taken for a hook that blocks."""

_MUTABLE: Final = (MutableMapping, MutableSequence, MutableSet, bytearray)

_REQUESTS: Final[tuple[tuple[str, str, dict[str, str], bytes], ...]] = (
    ("GET", "/", {}, b""),
    ("GET", "/a/b%20c?x=1&x=2&y", {"Accept": "*/*", "Cookie": "a=b; c=d"}, b""),
    ("POST", "/", {"Content-Type": "application/json"}, b'{"a": [1, 2, 3]}'),
    ("POST", "/", {"Content-Type": "application/octet-stream"}, bytes(range(256))),
    ("OPTIONS", "/", {"Origin": "https://example.com", "Authorization": "Basic bm90OnJpZ2h0"}, b""),
)
"""Every plugin has to have an answer to these, and be it that they pass."""


def assert_plugin_ok(plugin: type[Plugin[Any]], config: Mapping[str, Any] | None = None) -> None:
    """Check what any plugin should keep to.

    Its name is that of its entry point; its hooks fit their specs; its schema is valid and closed; its configuration
    survives being sent around; it starts and stops twice; its hooks neither raise nor block on usual requests; two
    bindings share nothing that one of them changes.

    :param config: one that the plugin accepts.
    :raises AssertionError: with everything that was found.
    """
    problems = list(_problems(plugin, dict(config or {})))
    assert not problems, "\n".join([f"{plugin.__qualname__} is not in order:", *(f"- {each}" for each in problems)])


def _problems(plugin: type[Plugin[Any]], config: dict[str, Any]) -> Iterator[str]:
    try:
        PluginRegistry(find=dict).register(plugin)
    except PluginDefectError as error:
        yield str(error)
        return
    yield from _naming_problems(plugin)
    yield from _schema_problems(plugin)
    yield from _config_problems(plugin, config)
    try:
        yield from _running_problems(plugin, config)
    except ConfigError as error:
        yield f"it does not run with the configuration {config!r}: {error}"


def _naming_problems(plugin: type[Plugin[Any]]) -> Iterator[str]:
    package = plugin.__module__.partition(".")[0]
    for name, published in published_plugins().items():
        for each in published:
            is_near = re.match(rf"{package}\b", each.value) is not None
            if is_near and name != plugin.name and each.entry_point.load() is plugin:
                yield f"the class is named {plugin.name!r}, its entry point {name!r} ({each.distribution})"
    if not inspect.getdoc(plugin) or inspect.getdoc(plugin) == inspect.getdoc(Plugin):
        yield "it has no docstring, which `gateway plugins show` would show"
    if not table_of(plugin):
        yield "it has no hook: mark one with @hookimpl"


def _schema_problems(plugin: type[Plugin[Any]]) -> Iterator[str]:
    schema = declared_by(plugin).schema
    try:
        json.dumps(schema)
    except (TypeError, ValueError) as error:
        yield f"its schema cannot be written as JSON: {error}"
    for place in _open_objects(schema, "the schema"):
        yield f"{place} takes unknown keys, so that misspelt ones go unnoticed: set additionalProperties to false"


def _open_objects(schema: object, place: str) -> Iterator[str]:
    """Yield the objects that list their properties and take others all the same."""
    if isinstance(schema, Mapping):
        if "properties" in schema and not {"additionalProperties", "unevaluatedProperties"} & schema.keys():
            yield place
        for key, value in schema.items():
            if key not in {"const", "enum", "default", "examples"}:
                yield from _open_objects(value, f"{place}.{key}")
    elif isinstance(schema, list | tuple):
        for index, value in enumerate(schema):
            yield from _open_objects(value, f"{place}[{index}]")


def _config_problems(plugin: type[Plugin[Any]], config: dict[str, Any]) -> Iterator[str]:
    for problem in SchemaValidator(declared_by(plugin).schema).problems(config):
        yield f"its schema refuses the configuration {config!r}: {problem.text}"
    if not list(SchemaValidator(declared_by(plugin).schema).problems({**config, _UNKNOWN: 1})):
        yield f"its schema accepts the unknown key {_UNKNOWN!r}"
    try:
        travelled = json.loads(json.dumps(config))
    except (TypeError, ValueError) as error:
        yield f"the configuration {config!r} cannot be written as JSON: {error}"
        return
    try:
        first, second = make_config(plugin, config), make_config(plugin, travelled)
    except ValueError as error:
        yield f"its model refuses the configuration {config!r}: {error}"
        return
    try:
        codes = [found.code for found in plugin.check_config(first)]
    except Exception as error:  # noqa: BLE001 - the plugin's own code
        yield f"check_config fails on the configuration {config!r}: {error!r}"
        return
    yield from (
        f"check_config gives the code {code!r}: write it like weak-secret" for code in codes if not CODE.fullmatch(code)
    )
    if isinstance(first, BaseModel) and first != second:
        yield f"the configuration is another one after it was written and read again: {first!r} and {second!r}"


def _running_problems(plugin: type[Plugin[Any]], config: dict[str, Any]) -> Iterator[str]:
    blockages: list[Blockage] = []
    guard = BlockingGuard(threshold=_BLOCKING_AFTER, report=blockages.append)
    harness = PluginHarness(plugin, config, guard=guard)
    other = PluginHarness(plugin, config)
    shared_before = _shared_state(plugin)
    with harness, other:
        yield from _common_state(harness.plugin, other.plugin)
        for method, target, headers, body in _REQUESTS:
            result = harness.request(method, target, headers=headers, body=body)
            for call in result.calls:
                if call.error is not None:
                    yield f"{call.phase} {call.outcome} ({method} {target})"
            if result.response.produced_by == "gateway" and result.response.status == 500:
                yield f"the gateway had to answer 500 ({method} {target})"
    if _shared_state(plugin) != shared_before:
        yield "requests of one binding change attributes of the class, which all bindings share: keep state in self"
    harness.start()
    harness.stop()
    for record in harness.logs:
        if getattr(record, "event", "") == PLUGIN_STOP_FAILED.name:
            yield record.getMessage()
    yield from map(str, blockages)


def _common_state(first: Plugin[Any], second: Plugin[Any]) -> Iterator[str]:
    for name, value in vars(first).items():
        if isinstance(value, _MUTABLE) and vars(second).get(name) is value:
            yield f"two bindings share the very same self.{name}: make it in __init__ or start"


def _shared_state(plugin: type[Plugin[Any]]) -> dict[str, str]:
    return {
        f"{owner.__qualname__}.{name}": repr(value)
        for owner in plugin.__mro__
        for name, value in vars(owner).items()
        if isinstance(value, _MUTABLE)
    }
