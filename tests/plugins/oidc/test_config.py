from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gateway_plugin_oidc.config import OidcConfig
from pydantic import ValidationError

USUAL: dict[str, Any] = {
    "issuer": "https://issuer.example",
    "client_id": "web",
    "redirect_uri": "https://app.example/cb",
    "keys": ["k" * 32],
}


def made(**changes: Any) -> OidcConfig:
    values = {name: value for name, value in {**USUAL, **changes}.items() if value is not None}
    return OidcConfig.model_validate(values)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"issuer": "http://issuer.example"}, "is not encrypted"),
        ({"issuer": "https://issuer.example/{tenantid}"}, "needs tenants"),
        ({"tenants": ["a"]}, "needs tenants, and only that"),
        ({"issuer": "https://issuer.example/{tenantid}", "tenants": ["a"]}, "needs discovery_url"),
        ({"redirect_uri": "http://app.example/cb"}, "is not encrypted"),
        ({"redirect_uri": "/cb"}, "is not a URL"),
        ({"redirect_uri": "https://app.example/cb?x=1"}, "has a query"),
        ({"redirect_uri": ["https://app.example/a", "https://app.example:443/b"]}, "two of redirect_uri"),
        ({"redirect_uri": ["https://app.example/a", "http://localhost/b"]}, "https beside http"),
        ({"keys": None}, "give one of them"),
        ({"keys": ["short"]}, "the key has 5 bytes and needs 32"),
        ({"keys_file": __file__}, "give one of them"),
        ({"client_auth": "basic"}, "needs client_secret"),
        ({"client_secret": "a", "client_secret_file": __file__}, "give one of them"),
        ({"scopes": ["profile"]}, "lacks openid"),
        ({"algorithms": ["HS256"]}, "which no key set gives"),
        ({"authorization_params": {"state": "x"}}, "which the plugin sets itself"),
        ({"session": {"store": "valkey"}}, "needs valkey: say where"),
        ({"valkey": {"url": "http://a"}}, "is not that of a server"),
        ({"cookie": {"domain": "other.example"}}, "is not a domain of each redirect_uri"),
        ({"redirect_uri": "http://localhost/cb", "cookie": {"same_site": "none"}}, "needs https"),
        ({"logout_path": "/cb"}, "are different paths"),
        ({"logout_path": "logout"}, "is not a path"),
        ({"trusted_origins": ["https://a.example/x"]}, "is not an origin"),
        ({"bearer": {"audience": "web"}}, "which ID tokens are for"),
        ({"claims_to_headers": {"X-A": "a"}, "access_token_header": "x_a"}, "are one header field"),
    ],
)
def test_what_cannot_be_safe_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message) as error:
        made(**changes)
    assert "short" not in str(error.value).replace("shorter", "")


@pytest.mark.parametrize(
    "name",
    [
        "response_type", "response_mode", "client_id", "client_secret", "redirect_uri", "scope", "state", "nonce",
        "code_challenge", "code_challenge_method", "request", "request_uri", "max_age", "id_token_hint",
    ],
)  # fmt: skip
def test_no_option_replaces_what_protects_a_login(name: str) -> None:
    with pytest.raises(ValidationError, match=f"authorization_params has '{name}', which the plugin sets itself"):
        made(authorization_params={name: "x"})


def test_http_is_for_this_machine_only() -> None:
    assert made().is_secure
    assert not made(redirect_uri="http://app.localhost:8080/cb").is_secure


def test_keys_and_secret_are_read_from_files(tmp_path: Path) -> None:
    keys, secret = tmp_path / "keys", tmp_path / "secret"
    keys.write_text(f"# new\n{'n' * 32}\n\n{'o' * 32}\n")
    secret.write_text("hush\n")
    config = made(keys=None, keys_file=str(keys), client_secret_file=str(secret))

    assert config.key_texts() == ("n" * 32, "o" * 32)
    assert config.client_secret_text() == "hush"
    keys.write_text("short")
    secret.write_text("\n")
    with pytest.raises(ValueError, match="the key has 5 bytes"):
        config.key_texts()
    with pytest.raises(ValueError, match="is empty"):
        config.client_secret_text()
