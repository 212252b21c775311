"""One JSON Schema of the whole document, with the schemas of all installed plugins, for editors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from gateway_core.config.catalog import PluginCatalog, PluginDescription
from gateway_core.config.models.gateway import GatewayConfig
from gateway_core.config.schema_errors import SchemaValidator

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


def config_schema(catalog: PluginCatalog) -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a configuration document.

    In a binding, the value of ``name`` decides which plugin's schema its ``config`` must fit.
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
    return {"$schema": DIALECT, **schema, "title": "Gateway configuration"}


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
            "if": {"properties": {"name": {"const": description.name}, "enabled": {"not": {"const": False}}}},
            "then": {
                "properties": {"config": {"$ref": f"#/$defs/{_PLUGIN}{description.name}"}},
                **({"required": ["config"]} if description.schema.get("required") else {}),
            },
        }
        for description in descriptions
    ]


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
