from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gateway_plugin_validate import Validate
from gateway_plugin_validate.config import ValidateConfig
from pydantic import ValidationError

API = """
openapi: 3.0.3
paths:
  /pets/{id}:
    post:
      parameters: [{name: id, in: path, schema: {type: integer}}]
      requestBody: {content: {application/json: {schema: %s}}}
      responses: {default: {content: {application/json: {schema: %s}}}}
"""


def findings(**config: Any) -> list[tuple[str, str, str]]:
    found = Validate.check_config(ValidateConfig.model_validate(config))
    return [(".".join(map(str, each.path)), each.code, each.message) for each in found]


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({}, "validates nothing"),
        ({"body_schema": {}, "body_schema_file": "FILE"}, "exclude each other"),
        ({"openapi": "FILE", "body_schema": {}}, "body_schema and openapi exclude each other"),
        ({"openapi": "FILE", "parameters": [{}]}, "parameters and openapi exclude each other"),
        ({"body_schema": {}, "responses": "enforce"}, "responses needs a document"),
        ({"body_schema": {}, "max_body_bytes": "2MiB"}, "max_body_bytes"),
        ({"openapi": "missing.yaml"}, "names no file"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, config: dict[str, Any], reason: str) -> None:
    file = tmp_path / "api.yaml"
    file.write_text(API % ("{}", "{}"))
    given = {key: str(file) if value == "FILE" else value for key, value in config.items()}

    with pytest.raises(ValidationError, match=reason):
        ValidateConfig.model_validate(given)


@pytest.mark.parametrize(
    ("request_schema", "response_schema", "message"),
    [
        ("{type: object}", "{type: object}", ""),
        ('{pattern: "(?=a)"}', "{}", "api.yaml#/paths/~1pets~1{id}/post/requestBody/content/application~1json/schema"),
        ('{$ref: "#/components/schemas/None"}', "{}", "which is not there"),
        ('{$ref: "https://example.com/a.json"}', "{}", "nothing is fetched"),
        ("{}", '{pattern: "(?=a)"}', "responses/default"),
        ("{type: strin}", "{}", "is no schema"),
    ],
)
def test_a_document_that_cannot_be_used_is_a_problem_at_load(
    tmp_path: Path, request_schema: str, response_schema: str, message: str
) -> None:
    file = tmp_path / "api.yaml"
    file.write_text(API % (request_schema, response_schema))

    found = findings(openapi=str(file), responses="shadow")

    assert [(path, code) for path, code, _ in found] == ([("openapi", "bad-document")] if message else [])
    assert message in "".join(text for *_, text in found)


def test_schemas_and_parameters_of_the_configuration_are_checked_too(tmp_path: Path) -> None:
    file = tmp_path / "schema.json"
    file.write_text('{"$schema": "https://example.com/none"}')

    assert [each[:2] for each in findings(body_schema={"$ref": "other.json"})] == [("body_schema", "bad-document")]
    assert [each[:2] for each in findings(body_schema_file=str(file))] == [("body_schema_file", "bad-document")]
    assert [each[:2] for each in findings(parameters=[{"in": "body"}])] == [("parameters", "bad-document")]
    assert [each[:2] for each in findings(body_schema={}, content_types=["json"])] == [("body_schema", "bad-document")]


def test_bodies_that_may_take_long_are_a_warning() -> None:
    assert [each[:2] for each in findings(body_schema={}, max_body_bytes="1MiB")] == [("max_body_bytes", "long-pauses")]
