from __future__ import annotations

from gateway_core.config.redaction import is_marked_secret, masked, schema_secret_paths, secret_texts
from pydantic import BaseModel, SecretStr


class Provider(BaseModel):
    name: str
    key: SecretStr


class Config(BaseModel):
    secret: SecretStr | None = None
    providers: list[Provider] = []
    by_name: dict[str, SecretStr] = {}


def test_secrets_of_pydantic_models_are_found_through_references() -> None:
    assert schema_secret_paths(Config.model_json_schema()) == {"secret", "providers.*.key", "by_name.*"}


def test_recursive_schemas_end() -> None:
    schema = {
        "$ref": "#/$defs/n",
        "$defs": {"n": {"properties": {"next": {"$ref": "#/$defs/n"}, "s": {"writeOnly": True}}}},
    }

    assert "next.s" in schema_secret_paths(schema)


def test_texts_at_secret_paths() -> None:
    value = {
        "secret": "one",
        "providers": [{"name": "x", "key": "two"}],
        "by_name": {"a": ["three", 4, None, {"b": "five"}]},
    }

    assert list(secret_texts(value, ["secret", "providers.*.key", "by_name.*", "missing.x"])) == [
        "one",
        "two",
        "three",
        "4",
        "five",
    ]


def test_masks_keep_columns_and_spare_very_short_texts() -> None:
    assert masked("a: hunter2, b: no", ["hunter2", "no"]) == "a: *******, b: no"
    assert masked("first of two", ["first\nsecond"]) == "***** of two"


def test_marks_of_secrets() -> None:
    assert is_marked_secret({"writeOnly": True})
    assert is_marked_secret({"format": "password"})
    assert not is_marked_secret({"format": "uri"})
    assert not is_marked_secret(None)
