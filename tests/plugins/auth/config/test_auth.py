from __future__ import annotations

from typing import Any

import pytest
from gateway_core.config.redaction import marked_paths
from gateway_plugin_auth.config import AnyOf, AuthConfig
from gateway_plugin_auth.config.jwt import KEY_SOURCES
from pydantic import ValidationError

APPS = {"scheme": "api-key", "keys": [{"subject": "a", "key": "k"}]}
USERS = {"scheme": "jwt", "secret": "s" * 32}
BOTH = {"providers": {"users": USERS, "apps": APPS}}


def problems(config: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as error:
        AuthConfig.model_validate(config)
    return "\n".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.value.errors())


def test_the_options_of_one_provider_stand_at_the_top() -> None:
    config = AuthConfig.model_validate({"secret": "s" * 32})

    assert list(config.provider_configs()) == ["jwt"]
    assert config.requirement() == "jwt"


def test_any_of_several_providers_is_enough_by_default() -> None:
    config = AuthConfig.model_validate(BOTH)

    assert config.requirement() == AnyOf(any=("users", "apps"))


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({}, f"exactly one of {', '.join(KEY_SOURCES)} gives the keys, not none"),
        ({"secret": "s" * 32, "jwks_url": "https://a.example"}, "gives the keys, not secret and jwks_url"),
        ({"secrte": "a"}, "secrte: Extra inputs"),
        (BOTH | {"issuer": "a", "leeway": "5s"}, "issuer, leeway beside providers: move it into the provider"),
        (BOTH | {"require": "user"}, "require names 'user', which is no provider: did you mean 'users'?"),
        (
            BOTH | {"require": {"all": ["users", "xyz"]}},
            "require names 'xyz', which is no provider: there are users, apps",
        ),
        (BOTH | {"require": {"any": []}}, "require.any"),
        (BOTH | {"require": {"some": ["users"]}}, "require"),
        (BOTH | {"require": {"any": ["users"], "all": ["apps"]}}, "require.any"),
        (BOTH | {"require": 5}, "require"),
        (BOTH | {"anonymous": "x"}, "nobody is 'x': set require to optional or attempt"),
        ({"providers": {"a": {"scheme": "oauth"}}}, "providers.a"),
        ({"providers": {"a": {"secret": "x"}}}, "providers.a"),
        ({"providers": {"": USERS}}, "providers"),
        ({"secret": "a", "realm": "a\nb"}, "realm"),
    ],
)
def test_what_is_wrong_is_said_with_its_remedy(config: dict[str, Any], problem: str) -> None:
    assert problem in problems(config)


@pytest.mark.parametrize(
    "require", [{"optional": "users"}, {"attempt": "users"}, {"any": ["users", {"optional": "apps"}]}]
)
def test_strangers_may_have_a_name_where_they_may_pass(require: Any) -> None:
    assert AuthConfig.model_validate(BOTH | {"require": require, "anonymous": "x"}).anonymous == "x"


@pytest.mark.parametrize(
    "config", [{"secret": "s" * 32, "leeway": 0}, BOTH, BOTH | {"require": {"all": ["users", {"optional": "apps"}]}}]
)
def test_the_schema_is_closed_and_hides_secrets(config: dict[str, Any]) -> None:
    import jsonschema

    schema = AuthConfig.model_json_schema()
    validator = jsonschema.Draft202012Validator(schema)

    validator.check_schema(schema)
    validator.validate(config)
    assert schema["additionalProperties"] is False
    assert all(item.get("additionalProperties") is False for item in schema["$defs"].values() if "properties" in item)
    assert '"writeOnly": true' in __import__("json").dumps(schema["properties"]["secret"])
    assert all("description" in item for item in schema["properties"].values())


def test_secrets_are_not_shown() -> None:
    config = AuthConfig.model_validate({"secret": "hidden" * 9, "fetch": {"headers": {"A": "hidden"}}})
    apps = AuthConfig.model_validate(
        {"providers": {"a": {"scheme": "api-key", "keys": [{"subject": "s", "key": "hidden"}]}}}
    )

    assert "hidden" not in repr(config)
    assert "hidden" not in repr(apps)


def test_every_file_is_marked_so_that_it_is_watched_and_refused_in_remote_documents() -> None:
    marked = {path for path in marked_paths(AuthConfig.model_json_schema(), "x-file") if path[0] != "providers"}
    within = {path[2:] for path in marked_paths(AuthConfig.model_json_schema(), "x-file") if path[0] == "providers"}

    files = {("jwks_file",), ("revocation", "file"), ("fetch", "ca"), ("fetch", "cert"), ("fetch", "key")}
    files |= {("dpop", "valkey", "tls", name) for name in ("ca", "cert", "key")}
    assert marked == files
    of_clients = {("client_secret_file",), ("client_key", "file"), ("client_key", "certificate")}
    assert within == files | of_clients | {("keys_file",), ("users_file",)}
