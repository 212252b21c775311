from __future__ import annotations

import json

from jsonschema import Draft202012Validator

from tests.core.cli.conftest import Invoke


def test_prints_one_schema_with_those_of_the_plugins(invoke: Invoke) -> None:
    schema = json.loads(invoke("schema").stdout)

    Draft202012Validator.check_schema(schema)
    errors = Draft202012Validator(schema).iter_errors({"plugins": [{"name": "ratelimit", "config": {"rate": "fast"}}]})
    assert any(list(error.absolute_path)[:3] == ["plugins", 0, "config"] for error in errors)
