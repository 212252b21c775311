from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
from gateway_core.config import ConfigModel
from gateway_core.config.redaction import schema_secret_paths
from gateway_core.hooks import Plugin, PluginDefectError
from gateway_core.packages.schemas import config_check, declared_by, make_config
from pydantic import Field, SecretStr, field_validator


class Provider(ConfigModel):
    url: str
    password: SecretStr


class Config(ConfigModel):
    limit: int = Field(1, ge=1)
    providers: dict[str, Provider] = Field(default_factory=dict)
    key: str = Field("", json_schema_extra={"writeOnly": True})

    @field_validator("limit")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value == 13:
            raise KeyError("a defect of the plugin")
        if value % 2 == 0:
            raise ValueError("the limit is even: make it odd")
        return value


class Made(Plugin[Config]):
    name = "made"
    config_model = Config


def made(**members: Any) -> type[Plugin[Any]]:
    return type("Made", (Plugin,), {"name": "made", **members})


def test_the_schema_is_the_models() -> None:
    assert set(declared_by(Made).schema["properties"]) == {"limit", "providers", "key"}


def test_the_schema_of_a_model_is_made_once() -> None:
    assert declared_by(made(config_model=Config)) is declared_by(Made)


def test_a_model_that_is_gone_is_not_kept_for_its_schema() -> None:
    model = type("Short", (ConfigModel,), {"__module__": __name__})
    declared_by(made(config_model=model))
    gone = weakref.ref(model)

    del model
    gc.collect()

    assert gone() is None


def test_a_plugin_that_declares_nothing_takes_no_keys() -> None:
    assert declared_by(made()).schema["additionalProperties"] is False


def test_a_schema_may_be_declared_without_a_model() -> None:
    schema = {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"type": "string"}}}

    assert declared_by(made(config_schema=schema)).schema is schema
    assert make_config(made(config_schema=schema), {"a": "b"}) == {"a": "b"}


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"config_schema": {}, "config_model": Config}, "has a config_model and a config_schema: keep one"),
        ({"config_model": dict}, "is not a pydantic model class"),
        ({"config_schema": []}, "config_schema is a list: make it a mapping"),
        ({"config_schema": {"minimum": "1"}}, "schema is broken: minimum: '1' is not of type 'number'"),
        ({"config_schema": {"$ref": "#/$defs/gone"}}, "refers to '#/$defs/gone', which is not in it"),
        ({"config_schema": {"items": [{"$ref": "http://127.0.0.1:1/a"}]}}, "schema is broken|refers to 'http://127"),
        ({"config_schema": {"anyOf": [{"$ref": "http://127.0.0.1:1/a"}]}}, "which is not in it: put it under \\$defs"),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused(members: dict[str, Any], message: str) -> None:
    with pytest.raises(PluginDefectError, match=message.replace("#/$", r"#/\$")):
        declared_by(made(**members))


def test_secrets_are_found_wherever_they_are() -> None:
    assert declared_by(Made).secrets == {"key", "providers.*.password"}


def test_a_recursive_schema_has_an_end() -> None:
    node = {"type": "object", "properties": {"key": {"format": "password"}, "next": {"$ref": "#/$defs/Node"}}}

    assert "next.next.key" in schema_secret_paths({"$defs": {"Node": node}, "$ref": "#/$defs/Node"})


@pytest.mark.parametrize(
    ("raw", "problems"),
    [
        ({"limit": 3}, []),
        ({"limit": 2}, [(("limit",), "the limit is even: make it odd")]),
        ({"limit": 0}, [(("limit",), "0 is less than the minimum of 1")]),
        ({"limit": 13}, [((), "the plugin's configuration model failed: KeyError: 'a defect of the plugin'")]),
    ],
)
def test_what_only_the_model_knows_is_checked_too(raw: dict[str, Any], problems: list[Any]) -> None:
    assert [(found.path, found.text) for found in config_check(Made, frozenset())(raw)] == problems


def test_secrets_do_not_show_in_problems() -> None:
    check = config_check(Made, declared_by(Made).secrets)

    text = str(list(check({"key": 12345, "providers": {"a": {"url": "u", "password": 67890}}})))

    assert "12345" not in text
    assert "67890" not in text
    assert "the value is a number" in text


class Rule(ConfigModel):
    name: str

    @field_validator("name")
    @classmethod
    def _good(cls, value: str) -> str:
        if value == "bad":
            raise ValueError("is a bad name")
        return value


class Either(ConfigModel):
    rules: Rule | tuple[Rule | int, ...] = ()


@pytest.mark.parametrize(
    ("rules", "path"),
    [
        ({"name": "bad"}, ("rules", "name")),
        ([{"name": "good"}, {"name": "bad"}], ("rules", 1, "name")),
    ],
)
def test_of_alternatives_the_one_that_was_meant_says_what_is_wrong(rules: Any, path: tuple[Any, ...]) -> None:
    check = config_check(made(config_model=Either), frozenset())

    (found,) = check({"rules": rules})

    assert (found.path, found.text) == (path, "is a bad name")


def test_a_value_that_is_no_alternative_is_told_what_it_may_be() -> None:
    check = config_check(made(config_model=Either), frozenset())

    assert {(each.path, each.code) for each in check({"rules": "x"})} == {(("rules",), "value.wrong-type")}
