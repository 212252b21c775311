from __future__ import annotations

import pytest
from gateway_core.messages.secret_fields import may_be_secret


@pytest.mark.parametrize(
    "name",
    [
        "Authorization", "Proxy-Authorization", "Cookie", "Cookie2", "Set-Cookie", "X-Api-Key", "apikey", "Api-Key",
        "X-Auth-Token", "X-Access-Token", "X-CSRF-Token", "X-Amz-Security-Token", "X-Goog-Signature", "X-Session-Id",
        "X-Forwarded-Client-Cert", "Ocp-Apim-Subscription-Key", "Private-Token", "X-Vault-Token", "DPoP", "XAuthToken",
        "X-Client-Secret", "X_API_KEY", "Signature", "X-Hub-Signature-256", "accesstoken",
    ],
)  # fmt: skip
def test_names_of_credentials_are_known(name: str) -> None:
    assert may_be_secret(name)
    assert may_be_secret(name.lower())


@pytest.mark.parametrize(
    "name",
    [
        "Accept", "Accept-Encoding", "Accept-Language", "Content-Type", "User-Agent", "Origin", "Range", "X-Beta",
        "If-None-Match", "Access-Control-Request-Method", "X-Request-Id", "X-Author", "Sec-Fetch-Site", "Host",
    ],
)  # fmt: skip
def test_other_names_are_not(name: str) -> None:
    assert not may_be_secret(name)
