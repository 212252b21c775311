from __future__ import annotations

from typing import Any

import pytest
from gateway_plugin_oidc.provider import provider_of
from gateway_tokens.documents import FetchError
from gateway_tokens.keys import KeySet

USUAL: dict[str, Any] = {"authorization_endpoint": "https://a/auth", "token_endpoint": "https://a/token"}


def made(**changes: Any) -> Any:
    return provider_of({**USUAL, **changes}, KeySet(()), "https://a/m", allow_http=False)


def test_what_a_provider_cannot_do_is_left_out() -> None:
    provider = made(end_session_endpoint=None)

    assert (provider.end_session_endpoint, provider.userinfo_endpoint) == ("", "")
    assert provider.auth_methods == ("client_secret_basic",), "the default of OpenID Connect Discovery section 3"
    assert not provider.sends_iss


@pytest.mark.parametrize(
    "changes",
    [{"token_endpoint": None}, {"authorization_endpoint": "http://a/auth"}, {"end_session_endpoint": "javascript:x"}],
)
def test_endpoints_that_cannot_be_trusted_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(FetchError):
        made(**changes)
