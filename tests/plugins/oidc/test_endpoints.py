from __future__ import annotations

import math
from typing import Any

import pytest
from gateway_plugin_oidc.endpoints import ProviderAwayError, shown_error, tokens_of

from tests.plugins.oidc.conftest import Browser, StartOidc
from tests.plugins.oidc.provider import Provider


@pytest.mark.parametrize(
    "found",
    [
        {},
        {"access_token": 1},
        {"access_token": "a\r\nb"},
        {"access_token": "é"},
        {"access_token": "a", "token_type": "mac"},
        {"access_token": "a", "token_type": None},
    ],
)
def test_what_is_no_response_of_a_token_endpoint_is_refused(found: dict[str, Any]) -> None:
    with pytest.raises(ProviderAwayError):
        tokens_of(found)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(3600, 3600), ("3600", 3600), (1.5, 1.5), (None, math.inf), (True, math.inf), (-1, math.inf), ("x", math.inf)],
)
def test_lifetimes_are_numbers(value: object, seconds: float) -> None:
    assert tokens_of({"access_token": "a", "token_type": "bearer", "expires_in": value}).expires_in == seconds


def test_an_error_of_a_provider_is_one_short_line() -> None:
    assert "\n" not in shown_error("a\nb")
    assert len(shown_error("x" * 1000)) < 80


@pytest.mark.in_turn
@pytest.mark.parametrize(
    ("offered", "configured", "secret"),
    [
        (["client_secret_post"], "auto", True),
        (["client_secret_basic"], "auto", True),
        (["client_secret_post", "client_secret_basic"], "post", True),
        (["none"], "auto", False),
    ],
)
def test_the_client_authenticates_as_the_provider_asks(
    start: StartOidc, provider: Provider, offered: list[str], configured: str, secret: bool
) -> None:
    provider.auth_methods = offered
    text = provider.client_secrets[0] if secret else None

    assert Browser(start(client_auth=configured, client_secret=text)).visit("/").status == 200
