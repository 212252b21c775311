from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from gateway_core.config import PluginCatalog, config_schema
from jsonschema import Draft202012Validator

COMPLETE = Path(__file__).parent / "examples" / "complete.yaml"


@pytest.fixture
def schema(catalog: PluginCatalog) -> dict[str, Any]:
    return config_schema(catalog)


def errors(schema: dict[str, Any], text: str) -> list[str]:
    validator = Draft202012Validator(schema)
    return sorted("/".join(map(str, error.absolute_path)) for error in validator.iter_errors(yaml.safe_load(text)))


def test_schema_is_valid_and_plain_json(schema: dict[str, Any]) -> None:
    Draft202012Validator.check_schema(schema)
    assert json.loads(json.dumps(schema)) == schema
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def misfits(schema: Any, path: str = "") -> Iterator[str]:
    """Yield where a default is not what may be written."""
    if isinstance(schema, dict):
        is_whole = "default" in schema and "$ref" not in json.dumps(schema)
        if is_whole and not Draft202012Validator(schema).is_valid(schema["default"]):
            yield path
        for key, value in schema.items():
            yield from misfits(value, f"{path}/{key}")


def test_every_default_is_what_may_be_written(schema: dict[str, Any]) -> None:
    assert list(misfits(schema)) == []


def test_schema_accepts_what_loads(schema: dict[str, Any]) -> None:
    assert errors(schema, COMPLETE.read_text()) == []
    assert errors(schema, "listen: [':1', {address: ':2'}]\nroutes: [{path: /a, redirect: {path: /b}}]") == []
    assert errors(schema, "upstreams: [{name: a, endpoints: [{url: 'http://h'}], retries: {'on': [502, reset]}}]") == []


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("workerz: 1", ""),
        ("limits: {header_timeout: 10}", "limits/header_timeout"),
        ("limits: {max_head_bytes: 1XB}", "limits/max_head_bytes"),
        ("routes: [{path: /a, headers: {a: 1}}]", "routes/0/headers/a"),
        ("plugins: [{name: ratelimit, config: {rate: -1}}]", "plugins/0/config/rate"),
        ("plugins: [{name: ratelimit}]", "plugins/0"),
        ("plugins: [{name: logger, config: {fields: [A]}}]", "plugins/0/config/fields/0"),
        ("routes: [{plugins: [{name: auth, config: {secret: x, nonsense: 1}}]}]", "routes/0/plugins/0/config"),
    ],
)
def test_schema_refuses_what_does_not_load(schema: dict[str, Any], text: str, path: str) -> None:
    assert errors(schema, text) == [path]


def test_switched_off_binding_needs_no_config(schema: dict[str, Any]) -> None:
    assert errors(schema, "plugins: [{name: ratelimit, enabled: false}]") == []


def test_every_key_is_described(schema: dict[str, Any]) -> None:
    ours = {name: part for name, part in schema["$defs"].items() if name.endswith("Config")} | {"": schema}
    missing = [
        f"{name}.{key}"
        for name, part in ours.items()
        for key, field in part.get("properties", {}).items()
        # A text that repeats its part's own description is written once.
        if not field.get("description") and "$ref" not in field
    ]
    assert missing == []
