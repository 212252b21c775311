"""One JSON Schema of the whole document, with those of all installed plugins and extensions, for editors."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from gateway_core.config.catalog import ConfiguredFactory, PluginCatalog, PluginDescription
from gateway_core.config.checks.references import STRATEGIES
from gateway_core.config.models.base import EXTENSION
from gateway_core.config.models.gateway import GatewayConfig
from gateway_core.config.models.upstream import DnsDiscoveryConfig
from gateway_core.config.schema_errors import SchemaValidator
from gateway_core.config.written_defaults import with_written_defaults

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_PLUGIN: Final = "plugin_"


class _Generator(GenerateJsonSchema):
    """Leaves out titles: they repeat the keys and fill editors' hints."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - the signature is pydantic's
        return False

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        result = super().default_schema(schema)
        if result.get("default", ...) is None:
            del result["default"]
        return result


def config_schema(
    catalog: PluginCatalog,
    factories: Mapping[tuple[str, str], ConfiguredFactory] = MappingProxyType({}),
    schemes: Iterable[str] = (),
) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a configuration document.

    In a binding, the value of ``name`` decides which plugin's schema its ``config`` must fit; in the same way the names
    of a discovery, a strategy and certificates decide about theirs.

    :param factories: what extensions make, by ``discovery``, ``strategy`` or ``certificates`` and its name.
    :param schemes: what URLs of sources may begin with.
    """
    schema = GatewayConfig.model_json_schema(schema_generator=_Generator)
    definitions = schema["$defs"]
    # A route without an id is given one before models are made.
    definitions["RouteConfig"]["required"] = [
        name for name in definitions["RouteConfig"].get("required", ()) if name != "id"
    ]
    usable = [item for name in sorted(catalog.names()) if (item := _usable(catalog, name)) is not None]
    for description in usable:
        definitions[_PLUGIN + description.name] = _rooted(description)
    _bind(definitions["BindingConfig"], usable)
    _allow_use(definitions["BindingConfig"])
    for section, model, name_key, config_key in _NAMED:
        made = {name: _factory_schema(factory) for (kind, name), factory in factories.items() if kind == section}
        if section == "discovery":
            made = {"dns": DnsDiscoveryConfig.model_json_schema(schema_generator=_Generator), **made}
        for name, inner in sorted(made.items()):
            definitions[f"{section}_{name}"] = _rewritten(inner, f"#/$defs/{section}_{name}")
            rule = {
                "if": {"properties": {name_key: {"const": name}}, "required": [name_key]},
                "then": {"properties": {config_key: {"$ref": f"#/$defs/{section}_{name}"}}},
            }
            definitions[model].setdefault("allOf", []).append(rule)
        own = STRATEGIES if section == "strategy" else ()
        definitions[model]["properties"][name_key]["examples"] = sorted({*made, *own})
    definitions["SourceConfig"]["properties"]["url"]["examples"] = [f"{scheme}://" for scheme in sorted(schemes)]
    return {"$schema": DIALECT, **with_written_defaults(schema), "title": "Gateway configuration"}


def with_expressions(schema: Any) -> Any:
    """Return a schema that takes an expression such as ``${PORT:-80}`` for each number and switch, as documents do."""
    if isinstance(schema, list):
        return [with_expressions(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: with_expressions(value) for key, value in schema.items()}
    if found.get("type") in ("integer", "number", "boolean"):  # not a property that is called "type"
        found |= {"type": [found["type"], "string"], "pattern": r"^\$\{"}
    return found


_NAMED: Final = (
    ("discovery", "DiscoveryConfig", "name", "config"),
    ("strategy", "UpstreamConfig", "strategy", "strategy_options"),
    ("certificates", "CertificateConfig", "name", "config"),
)
"""Sections of what extensions make: the model, its key with the name, and its key with the configuration."""


def _factory_schema(factory: ConfiguredFactory) -> Mapping[str, Any]:
    model = getattr(factory, "config_model", None)
    return _NO_KEYS if model is None else model.model_json_schema(schema_generator=_Generator)


_NO_KEYS: Final[Mapping[str, Any]] = {"type": "object", "additionalProperties": False}


def _usable(catalog: PluginCatalog, name: str) -> PluginDescription | None:
    description = catalog.describe(name)
    if description is None or description.load_error is not None:
        return None
    try:
        SchemaValidator(description.schema, is_sound=description.is_sound)
    except ValueError:
        return None  # A broken schema would break the merged one; loading names it as a problem.
    return description


def _bind(binding: dict[str, Any], descriptions: list[PluginDescription]) -> None:
    binding["properties"]["name"]["examples"] = [description.name for description in descriptions]
    binding["allOf"] = [
        {
            "if": {
                "properties": {"name": {"const": description.name}, "enabled": {"not": {"const": False}}},
                "required": ["name"],
            },
            "then": {
                "properties": {"config": {"$ref": f"#/$defs/{_PLUGIN}{description.name}"}},
                **({"required": ["config"]} if description.schema.get("required") else {}),
            },
        }
        for description in descriptions
    ]


def _allow_use(binding: dict[str, Any]) -> None:
    """Let every list of bindings have ``{use: NAME}``, which is expanded before models are made."""
    use = {"type": "string", "minLength": 1, "description": _USE}
    binding["properties"] = {"name": binding["properties"].pop("name"), "use": use, **binding["properties"]}
    binding["required"] = [name for name in binding.get("required", ()) if name != "name"]
    alone = {"propertyNames": {"pattern": f"^(use$|{EXTENSION})"}}
    binding["allOf"].append({"if": {"required": ["use"]}, "then": alone, "else": {"required": ["name"]}})


_USE: Final = (
    "Instead of all other keys: name of a set in ``plugin_sets``, for whose bindings it stands. A later binding of the "
    "list with the id of one of them replaces it, in its place."
)


def _rooted(description: PluginDescription) -> dict[str, Any]:
    """Return a plugin's schema with its own references made to work inside the merged one."""
    root = f"#/$defs/{_PLUGIN}{description.name}"
    schema = json.loads(json.dumps(_thaw(description.schema)))
    if "$id" in schema:
        return dict(schema)  # A schema with an id is a resource of its own: its references stay inside it.
    return dict(_rewritten(schema, root))


def _thaw(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _thaw(item) for key, item in value.items()}
    return [_thaw(item) for item in value] if isinstance(value, (list, tuple)) else value


def _rewritten(value: Any, root: str) -> Any:
    if isinstance(value, list):
        return [_rewritten(item, root) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: root + item.removeprefix("#")
        if key == "$ref" and isinstance(item, str) and item.startswith("#")
        else _rewritten(item, root)
        for key, item in value.items()
        if key != "$schema"
    }
