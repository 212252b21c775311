"""The provider away at each step: sessions that are valid go on, and logins get 503 with Retry-After, never 401."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from gateway_plugin_sdk.testing import Answer, ManualClock

from tests.plugins.oidc.conftest import NAVIGATION, Browser, StartOidc
from tests.plugins.oidc.provider import Provider

pytestmark = pytest.mark.in_turn


def waits(answer: Answer) -> bool:
    """Return whether a response says when to come back."""
    return answer.status == 503 and 1 <= int(answer.headers["retry-after"]) <= 60 and "set-cookie" not in answer.headers


def test_a_gateway_that_starts_without_the_provider_has_the_sessions_that_are_valid(
    start: StartOidc, provider: Provider
) -> None:
    browser = Browser(start())
    browser.visit("/")
    provider.is_away = True

    browser.gateway = start()

    assert browser.get("/").status == 200
    assert waits(Browser(browser.gateway).send("GET", "/", NAVIGATION))
    assert browser.send("GET", "/oauth2/logout", NAVIGATION).status == 303, "a logout ends the session all the same"
    assert not browser.cookies


@pytest.mark.parametrize("step", ["token", "jwks", "userinfo"])
def test_a_login_that_cannot_be_finished_waits_and_begins_again_later(
    start: StartOidc, provider: Provider, step: str
) -> None:
    known = Browser(start(userinfo=True, fetch={"cooldown": "0s"}))
    known.visit("/")
    browser = Browser(known.gateway)
    callback = browser.to_provider("/cart")
    if step == "jwks":
        provider.key, provider.key_id = ec.generate_private_key(ec.SECP256R1()), "k2"
    provider.away_paths = {f"/{step}"}

    assert waits(browser.follow(callback))
    assert known.get("/").status == 200

    provider.away_paths = set()
    begun = browser.follow(callback)
    while begun.status in {302, 303} and urlsplit(begun.headers["location"]).path != "/cart":
        begun = browser.follow(begun.headers["location"])
    assert browser.get("/cart").status == 200


def test_without_the_provider_a_refresh_waits_and_a_bearer_token_of_an_unknown_key_too(
    start: StartOidc, provider: Provider, clock: ManualClock
) -> None:
    browser = Browser(start(bearer={"audience": "api"}, fetch={"cooldown": "0s"}))
    browser.visit("/")
    provider.is_away = True
    clock.advance(3601)
    provider.key, provider.key_id = ec.generate_private_key(ec.SECP256R1()), "k2"
    claims: dict[str, Any] = {**provider.claims_for("robot"), "aud": "api", "exp": clock.wall() + 600}
    token = provider.signed(claims, typ="at+jwt")

    assert browser.get("/").status == 200
    assert waits(Browser(browser.gateway).send("GET", "/", {"Authorization": f"Bearer {token}"}))
