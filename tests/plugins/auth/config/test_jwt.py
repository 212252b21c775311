from __future__ import annotations

import json
from typing import Any

import pytest
from gateway_plugin_auth.config import AuthConfig, JwtProvider
from gateway_plugin_auth.config.jwt import decode_secret
from gateway_plugin_sdk import SecretUrl
from pydantic import ValidationError

SECRET = "s" * 32


def problem_of(config: dict[str, Any]) -> tuple[str, str]:
    with pytest.raises(ValidationError) as error:
        AuthConfig.model_validate(config)
    first = error.value.errors()[0]
    return ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")


@pytest.mark.parametrize(
    ("secret", "form", "decoded"),
    [
        ("a-b_", "text", b"a-b_"), ("é", "text", b"\xc3\xa9"), ("+/+/", "base64", b"\xfb\xff\xbf"), ("-_-_",
        "base64", b"\xfb\xff\xbf"),
        ("YQ==", "base64", b"a"), ("YQ", "base64", b"a"), ("6a6B", "hex", b"jk"),
    ],
)  # fmt: skip
def test_secrets_are_read_as_they_are_written(secret: str, form: Any, decoded: bytes) -> None:
    assert decode_secret(secret, form) == decoded


def test_problems_with_keys_are_at_the_key(keys: Any) -> None:
    pem = keys.pem(keys.rsa)

    assert problem_of({"secret": ""}) == ("secret", "the secret is empty: set a random text of 32 characters or more")
    assert problem_of({"secret": "hush"}) == (
        "secret", "the secret has 4 bytes, and HS256 needs 32 or more: make one with openssl rand -base64 32",
    )  # fmt: skip
    assert problem_of({"algorithms": ["HS256", "HS512"], "secret": SECRET})[1].startswith(
        "the secret has 32 bytes, and"
    )
    assert "keys[0]: the secret has 4 bytes" in problem_of({"jwks": {"keys": [{"kty": "oct", "k": "aHVzaA"}]}})[1]
    assert problem_of({"secret": pem})[0] == "secret"
    assert problem_of({"secret_format": "hex", "secret": "xy"})[1].startswith("the secret is not hex")
    assert problem_of({"secret_format": "base64", "secret": "a b"})[1].startswith("the secret is not base64")
    assert problem_of({"algorithms": ["RS256"], "secret": "x"}) == (
        "secret", "RS256 does not fit this key: use HS256, HS384, HS512",
    )  # fmt: skip
    assert problem_of({"algorithms": ["HS256"], "public_key": pem})[0] == "public_key"
    assert problem_of({"public_key": "x"})[0] == "public_key"
    assert problem_of({"jwks": {"keys": []}}) == ("jwks", "the key set has no usable key")
    assert problem_of({"jwks": "{"})[1].startswith("this is not JSON")
    assert problem_of({"algorithms": ["none"], "secret": "x"})[0] == "algorithms.0"
    assert problem_of({"secret": SECRET, "revocation": {"entries": ["x"]}})[0] == "revocation"


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        (
            {"jwks_url": "http://keys.example/jwks"},
            "'http://keys.example/jwks' is not encrypted, so it could be changed on the way",
        ),
        ({"jwks_url": "keys.example"}, "'keys.example' is not a URL: write https://host/path"),
        ({"jwks_url": "file:///etc/passwd"}, "is not a URL"),
        ({"jwks_url": "https://[x"}, "is not a URL"),
        ({"jwks_url": "https://a:b/"}, "is not a URL"),
        (
            {"jwks_url": "https://a.example", "algorithms": ["RS256", "HS256"]},
            "HS256 needs a secret, which no URL gives",
        ),
        ({"discovery": True}, "discovery needs issuer, and only one"),
        ({"discovery": True, "issuer": ["https://a.example", "https://b.example"]}, "and only one"),
        ({"discovery": True, "issuer": "http://a.example"}, "is not encrypted"),
        ({"discovery": True, "issuer": "https://a.example/?x"}, "has a query"),
        ({"secret": SECRET, "revocation": {"url": "http://a.example/"}}, "is not encrypted"),
        ({"secret": SECRET, "fetch": {"key": __file__}}, "key is given without cert"),
    ],
)
def test_urls_that_trust_depends_on_are_safe(config: dict[str, Any], problem: str) -> None:
    assert problem in problem_of(config)[1]


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://localhost/", "http://[::1]:5/", "http://a.localhost/"])
def test_this_machine_is_reached_without_encryption(url: str) -> None:
    assert AuthConfig.model_validate({"jwks_url": url}).jwks_url == SecretUrl(url)


def test_plain_http_can_be_allowed() -> None:
    AuthConfig.model_validate({"jwks_url": "http://keycloak:8080/jwks", "fetch": {"allow_http": True}})


def test_a_key_set_can_be_written_out_or_be_text(keys: Any) -> None:
    jwks = {"keys": [keys.jwk(keys.p256)]}

    for form in (jwks, json.dumps(jwks)):
        found = AuthConfig.model_validate({"jwks": form}).static_keys()
        assert found is not None
        assert found.keys[0].algorithms == {"ES256"}


def test_a_named_provider_needs_keys_too() -> None:
    with pytest.raises(ValidationError, match="exactly one of"):
        JwtProvider.model_validate({"scheme": "jwt"})


def test_a_policy_has_everything_that_was_configured() -> None:
    policy = AuthConfig.model_validate(
        {
            "secret": SECRET, "issuer": "i", "audience": ["a", "b"], "audience_match": "all", "leeway": "5s",
            "max_age": "1h",
            "max_lifetime": "1d", "required_claims": ["exp"], "forbidden_claims": ["x"],
            "types": ["application/AT+jwt"],
        }
    ).claim_policy()  # fmt: skip

    assert (policy.issuers, policy.audiences, policy.all_audiences) == (frozenset({"i"}), frozenset({"a", "b"}), True)
    assert (policy.leeway, policy.max_age, policy.max_lifetime) == (5, 3600, 86400)
    assert (policy.required, policy.forbidden, policy.types) == (("exp",), ("x",), frozenset({"at+jwt"}))


@pytest.mark.parametrize("url", ["https://login example.com/keys", "https://login.example.com/keys\n", "https://a/\tb"])
def test_a_url_has_no_spaces(url: str) -> None:
    with pytest.raises(ValidationError, match="is not a URL"):
        AuthConfig.model_validate({"jwks_url": url})


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"required_claims": ["sub", "act"], "forbidden_claims": ["act"]}, "claim 'act' is required and forbidden"),
        ({"claims_to_headers": {"X-A": "sub"}, "payload_header": "x_a"}, "are one header field for an upstream"),
    ],
)
def test_options_that_contradict_each_other(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        AuthConfig.model_validate(options)
