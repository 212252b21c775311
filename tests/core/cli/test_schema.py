from __future__ import annotations

import json
from typing import Any

from jsonschema import Draft202012Validator

from tests.core.cli.conftest import Invoke


def refused(schema: Any, document: object) -> list[list[object]]:
    errors = Draft202012Validator(schema).iter_errors(document)
    return [list(each.absolute_path) for error in errors for each in (error, *(error.context or ()))]


def test_holds_the_schemas_of_what_extensions_make_by_name(invoke: Invoke) -> None:
    schema = json.loads(invoke("schema").stdout)

    def upstream(name: str, config: object) -> object:
        return {"upstreams": [{"name": "u", "discovery": {"name": name, "config": config}}]}

    where = ["upstreams", 0, "discovery", "config"]
    assert where in refused(schema, upstream("etcd", {"nonsense": 1}))
    assert [*where, "port"] in refused(schema, upstream("dns", {"host": "example.com", "port": "x"}))
    assert refused(schema, upstream("dns", {"host": "example.com", "port": 80})) == []
    assert refused(schema, upstream("not-installed", {"nonsense": 1})) == []
    assert "etcd://" in schema["$defs"]["SourceConfig"]["properties"]["url"]["examples"]
    assert "least-requests" in schema["$defs"]["UpstreamConfig"]["properties"]["strategy"]["examples"]


def test_prints_one_schema_with_those_of_the_plugins(invoke: Invoke) -> None:
    schema = json.loads(invoke("schema").stdout)

    Draft202012Validator.check_schema(schema)
    errors = Draft202012Validator(schema).iter_errors({"plugins": [{"name": "ratelimit", "config": {"rate": "fast"}}]})
    assert any(list(error.absolute_path)[:3] == ["plugins", 0, "config"] for error in errors)
