"""Tokens that are bound to a client's certificate, over real connections with TLS and behind proxies."""

from __future__ import annotations

import http.client
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from gateway_plugin_sdk.testing import RunningGateway, one_route
from gateway_tokens.confirmation import certificate_thumbprint

from tests.core.process.certificates import Authority, Pair, make, trusting_all
from tests.plugins.auth.conftest import SECRET


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca") / "ca")


def der_of(pair: Pair) -> bytes:
    text = pair.cert.read_text()
    return ssl.PEM_cert_to_DER_cert(text[text.index("-----BEGIN CERTIFICATE") :])


@pytest.mark.one_protocol(reason="a connection of its own with TLS")
def test_a_token_of_a_certificate_needs_that_certificate_on_the_connection(
    upstream: Any, sign: Any, authority: Authority, tmp_path: Path
) -> None:

    server, mine, other = make(tmp_path, "localhost"), authority.issue("mine"), authority.issue("other")
    token = sign(cnf={"x5t#S256": certificate_thumbprint(der_of(mine))}, exp=4_000_000_000)
    tls = {**server.config(), "client_ca": str(authority.ca.cert), "client_auth": "optional"}
    config = {
        **one_route(upstream.url, {"name": "auth", "config": {"secret": SECRET}}),
        "listen": {"address": "127.0.0.1:0", "tls": tls},
    }

    with RunningGateway(config) as running:

        def status(client: Pair | None, token: str) -> int:
            connection = http.client.HTTPSConnection(
                "127.0.0.1", running.port, context=trusting_all(client), timeout=30
            )
            connection.request("GET", "/", headers={"Host": "localhost", "Authorization": f"Bearer {token}"})
            found = connection.getresponse().status
            connection.close()
            return found

        assert [status(each, token) for each in (mine, other, None, mine)] == [200, 401, 401, 200]
        assert status(None, sign(exp=4_000_000_000)) == 200
        metrics = running.metrics()
    assert 'reason="certificate-missing"' in metrics
    assert 'reason="certificate-mismatch"' in metrics


@pytest.mark.one_protocol(reason="the peer's fields")
@pytest.mark.parametrize("trusted", [True, False])
def test_a_certificate_in_a_field_counts_from_a_trusted_proxy(
    gateway: Any, upstream: Any, clock: Any, sign: Any, authority: Authority, trusted: bool
) -> None:
    mine = authority.issue(f"behind-{trusted}")
    pem = ssl.DER_cert_to_PEM_cert(der_of(mine))
    token = sign(cnf={"x5t#S256": certificate_thumbprint(der_of(mine))})
    auth = {"secret": SECRET, "mtls": {"certificate_header": "X-SSL-Client-Cert", "required": True}}
    config = one_route(upstream.url, {"name": "auth", "config": auth})
    running = gateway({**config, "trusted_proxies": ["127.0.0.0/8"] if trusted else []})

    def status(token: str, **headers: str) -> int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        found: int = running.get("/", headers={"Authorization": f"Bearer {token}", **named}).status
        return found

    assert status(token, X_SSL_Client_Cert=quote(pem)) == (200 if trusted else 401)
    assert status(token) == 401
    assert status(token, X_SSL_Client_Cert=quote(pem.replace("A", "B", 1))) == 401
    assert status(token, Client_Cert=quote(pem)) == 401
    assert status(sign(), X_SSL_Client_Cert=quote(pem)) == 401
