from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gateway_plugin_mock import Mock
from gateway_plugin_mock.config import DelayConfig, MockConfig, ResponseConfig
from gateway_plugin_sdk.testing import InvalidConfigError, assert_plugin_ok, one_route

pytestmark = pytest.mark.in_turn

START = "openapi: 3.0.3\npaths:\n"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "mocks nothing: name a document in openapi, or write responses"),
        ({"responses": [{"path": "users"}]}, "is not a path"),
        ({"responses": [{"path": "/a/:"}]}, "is not a path"),
        ({"responses": [{"path": "/*rest/a"}]}, "let it be last"),
        ({"responses": [{"path": "/users/{id}"}]}, "would be taken literally: write :id for a parameter"),
        ({"responses": [{"status": 204, "body": "x"}]}, "a response with status 204 has none: leave it out"),
        ({"responses": [{"status": 199}]}, "responses[0].status"),
        ({"responses": [{"body": "x", "json": 1}]}, "write one of body, json and file"),
        ({"responses": [{"headers": {"a b": "c"}}]}, "responses[0].headers"),
        ({"responses": [{"file": "/none/x"}]}, "names no file"),
        ({"responses": [{"methods": []}]}, "responses[0].methods"),
        ({"responses": [{}], "delay": {"duration": "2s", "to": "1s"}}, "swap them"),
        ({"openapi": "/none/api.yaml"}, "names no file: create it"),
    ],
)
def test_what_cannot_be_meant_is_a_problem_with_its_place(gateway: Any, config: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidConfigError) as caught:
        gateway(one_route("http://127.0.0.1:9", {"name": "mock", "config": config}), plugins=[Mock])

    assert message in str(caught.value)
    assert "routes[0].plugins[0].config" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "is no YAML: line 2"),
        ("swagger: '2.0'", "convert it to OpenAPI 3"),
        (START + "  /a/{x}: {get: {}}\n  /a/{y}: {get: {}}\n", "which take the same paths"),
        (START + "  /a: {get: {responses: {200: {$ref: '#/x'}}}}\n", "refers to '#/x', which is not there"),
    ],
)
def test_a_document_that_cannot_be_used_is_a_problem(gateway: Any, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "api.yaml").write_text(text)
    config = {"openapi": str(tmp_path / "api.yaml")}

    with pytest.raises(InvalidConfigError) as caught:
        gateway(one_route("http://127.0.0.1:9", {"name": "mock", "config": config}), plugins=[Mock])

    assert message in str(caught.value)
    assert "routes[0].plugins[0].config.openapi" in str(caught.value)


def test_what_is_odd_in_a_document_is_a_warning(tmp_path: Path) -> None:
    operations = "".join(f"  /a{number}: {{get: {{}}}}\n" for number in range(50))
    (tmp_path / "api.yaml").write_text(START + operations + "  /b: {$ref: 'other.yaml#/x'}\n")

    findings = list(Mock.check_config(MockConfig.model_validate({"openapi": str(tmp_path / "api.yaml")})))

    assert {finding.severity for finding in findings} == {"warning"}
    assert findings[0].code == "external-reference"
    assert "/paths/~1b refers to 'other.yaml#/x', which is not read" in findings[0].message
    assert len(findings) == 20


def test_every_option_is_described() -> None:
    models = (MockConfig, ResponseConfig, DelayConfig)

    assert all(field.description for model in models for field in model.model_fields.values())


def test_the_plugin_keeps_to_what_plugins_should() -> None:
    assert_plugin_ok(Mock, {"responses": [{"body": "ok"}]})
