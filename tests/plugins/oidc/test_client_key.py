"""Authentication of the client by a key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from gateway_plugin_oidc.findings import findings
from gateway_plugin_sdk.testing import ManualClock
from joserfc.jwk import ECKey, RSAKey

from tests.plugins.oidc.conftest import Browser, StartOidc
from tests.plugins.oidc.provider import Provider
from tests.plugins.oidc.test_config import made
from tests.plugins.tokens.test_client_key import EC, RSA, write, write_certificate


def public_half(key: Any) -> Any:
    pem: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return (RSAKey if key is RSA else ECKey).import_key(pem)


@pytest.mark.in_turn
@pytest.mark.parametrize("audience", ["issuer", "token_endpoint"])
@pytest.mark.parametrize("key", [RSA, EC], ids=["rsa", "ec"])
def test_logins_and_refreshes_are_authenticated_by_a_fresh_assertion_each(
    start: StartOidc, provider: Provider, clock: ManualClock, tmp_path: Path, key: Any, audience: str
) -> None:
    provider.auth_methods, provider.client_key, provider.expires_in = ["private_key_jwt"], public_half(key), 60
    provider.assertion_audiences = [f"{provider.url}/token"] if audience == "token_endpoint" else []
    options = {"file": str(write(tmp_path / "key", key)), "audience": audience}
    browser = Browser(start(client_secret=None, client_key=options))

    assert browser.visit("/").status == 200
    clock.advance(31)
    assert browser.get("/").status == 200

    assert provider.requests["refresh"] == 1
    assert sorted(provider.assertions.values()) == [1, 1]


@pytest.mark.in_turn
def test_a_key_that_the_provider_does_not_know_logs_nobody_in(
    start: StartOidc, provider: Provider, tmp_path: Path
) -> None:
    provider.auth_methods, provider.client_key = ["private_key_jwt"], public_half(EC)
    other = ec.generate_private_key(ec.SECP256R1())
    browser = Browser(start(client_secret=None, client_key={"file": str(write(tmp_path / "key", other))}))

    assert browser.visit("/").status == 503
    assert not [name for name in browser.cookies if ".s" not in name]


def test_check_says_why_a_key_cannot_be_used(tmp_path: Path) -> None:
    key, text = write(tmp_path / "key", EC), tmp_path / "text"
    text.write_text("hello")
    write_certificate(tmp_path / "certificate", RSA)
    cases: list[tuple[dict[str, str], str]] = [
        ({"file": str(text)}, "is no private key in PEM"),
        ({"file": str(write(tmp_path / "locked", EC, b"secret"))}, "is encrypted"),
        ({"file": str(write(tmp_path / "small", rsa.generate_private_key(65537, 1024)))}, "is too small"),
        ({"file": str(key), "algorithm": "RS256"}, "does not fit the key"),
        ({"file": str(key), "certificate": str(tmp_path / "certificate")}, "of another key"),
        ({"file": str(key), "certificate": str(text)}, "is no certificate in PEM"),
    ]

    for options, message in cases:
        found = list(findings(made(client_key=options, session={"single_gateway": True})))
        assert [(each.path, each.code) for each in found] == [(("client_key",), "file-invalid")]
        assert message in found[0].message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"client_secret": "s", "client_key": {"file": __file__}}, "client_secret beside client_key"),
        ({"client_auth": "private_key_jwt"}, "go together"),
        ({"client_secret": None, "client_key": {"file": __file__}, "client_auth": "none"}, "go together"),
        ({"client_secret": None, "client_key": {"file": __file__}, "client_auth": "post"}, "needs client_secret"),
        (
            {
                "client_secret": None, "client_key": {"file": __file__}, "issuer": "https://as.example.com/{tenantid}",
                "tenants": ["a"], "discovery_url": "https://as.example.com/common",
            },
            "write token_endpoint",
        ),
    ],
)  # fmt: skip
def test_key_and_method_go_together(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        made(**changes)
