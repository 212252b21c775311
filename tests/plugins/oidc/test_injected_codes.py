"""Codes and callbacks of other logins (RFC 9700 section 4.5)."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from tests.plugins.oidc.conftest import HOST, Browser, StartOidc
from tests.plugins.oidc.provider import Provider

pytestmark = pytest.mark.in_turn


def test_a_code_of_another_login_is_not_redeemed(start: StartOidc, provider: Provider) -> None:
    # The provider compares the code verifier, which stays in the browser that the code was for (RFC 9700 section 4.5).
    gateway = start()
    attacker, victim = Browser(gateway), Browser(gateway)
    (stolen,) = parse_qs(urlsplit(victim.to_provider()).query)["code"]
    callback = attacker.to_provider()
    (own,) = parse_qs(urlsplit(callback).query)["code"]

    answer = attacker.follow(callback.replace(own, stolen))

    assert urlsplit(answer.headers["location"]).path == "/authorize"
    assert "gateway-session" not in attacker.cookies
    assert provider.requests["/token"] == 1


def test_an_attempt_is_for_the_redirect_uri_that_it_began_with(start: StartOidc, provider: Provider) -> None:
    provider.redirect_uris = [f"http://{HOST}/cb", f"http://b.{HOST}/cb"]
    gateway = start(redirect_uri=provider.redirect_uris, cookie={"domain": HOST})
    browser, other = Browser(gateway), Browser(gateway, f"b.{HOST}")
    callback = browser.to_provider()
    other.cookies = dict(browser.cookies)  # both hosts share them

    answer = other.follow(callback.replace(HOST, f"b.{HOST}"))

    assert (answer.status, provider.requests["/token"]) == (400, 0)
    assert browser.follow(callback).status == 303
