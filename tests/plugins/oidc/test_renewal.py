"""Refreshes: ahead, once for all who ask, and what becomes of a session when they fail."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from gateway_plugin_sdk.testing import ManualClock, ScriptedUpstream, eventually

from tests.plugins.oidc.conftest import Browser, StartOidc
from tests.plugins.oidc.provider import Provider

pytestmark = pytest.mark.one_protocol


def token_of(upstream: ScriptedUpstream) -> str:
    return upstream.last.headers["x-token"]


@pytest.fixture
def browser(start: StartOidc) -> Browser:
    made = Browser(start(access_token_header="X-Token"))
    made.visit("/")
    return made


def test_tokens_are_renewed_ahead_without_a_wait(
    browser: Browser, provider: Provider, upstream: ScriptedUpstream, clock: ManualClock
) -> None:
    first, cookie = token_of(upstream), browser.cookies["gateway-session"]
    provider.refreshing.clear()
    clock.advance(3600 - 59)

    assert browser.get("/").status == 200
    assert token_of(upstream) == first, "the old one still holds"
    provider.refreshing.set()

    eventually(lambda: browser.get("/").status == 200 and token_of(upstream) != first)
    assert browser.cookies["gateway-session"] != cookie
    assert provider.requests["refresh"] == 1
    browser.get("/")
    assert provider.requests["refresh"] == 1


def test_of_fifty_requests_at_once_one_renews_and_all_go_on(
    browser: Browser, provider: Provider, upstream: ScriptedUpstream, clock: ManualClock
) -> None:
    first, cookies = token_of(upstream), dict(browser.cookies)
    provider.refreshing.clear()
    clock.advance(3601)
    upstream.clear()

    def visit(_: int) -> tuple[int, bool]:
        one = Browser(browser.gateway)
        one.cookies = dict(cookies)
        return one.get("/").status, one.cookies != cookies

    with ThreadPoolExecutor(50) as pool:
        answers = pool.map(visit, range(50))
        eventually(lambda: provider.requests["refresh"] == 1)
        provider.refreshing.set()
        assert list(answers) == [(200, True)] * 50

    assert provider.requests["refresh"] == 1
    tokens = {request.headers["x-token"] for request in upstream.requests}
    assert len(tokens) == 1
    assert first not in tokens


def test_an_old_cookie_finds_the_result_of_its_refresh(
    browser: Browser, provider: Provider, upstream: ScriptedUpstream, clock: ManualClock
) -> None:
    old = dict(browser.cookies)
    clock.advance(3601)
    browser.get("/")
    renewed = token_of(upstream)

    browser.cookies = dict(old)

    assert browser.get("/").status == 200
    assert (token_of(upstream), provider.requests["refresh"]) == (renewed, 1)
    assert browser.cookies != old


def test_a_session_that_the_provider_ended_is_over(browser: Browser, provider: Provider, clock: ManualClock) -> None:
    provider.refresh_tokens.clear()
    clock.advance(3601)

    assert browser.get("/").status == 401
    assert not browser.cookies


def test_without_the_provider_a_session_goes_on_with_the_old_token(
    browser: Browser, provider: Provider, upstream: ScriptedUpstream, clock: ManualClock
) -> None:
    first = token_of(upstream)
    provider.is_away = True
    clock.advance(3601)

    assert [browser.get("/").status for _ in range(3)] == [200] * 3
    assert token_of(upstream) == first
    assert provider.requests["/token"] == 2, "it is left alone for a while"
    provider.is_away = False
    clock.advance(6)
    assert browser.get("/").status == 200
    assert token_of(upstream) != first


def test_a_wrong_secret_of_ours_ends_no_session(browser: Browser, provider: Provider, clock: ManualClock) -> None:
    provider.client_secrets = ["another"]
    clock.advance(3601)

    assert browser.get("/").status == 200


def test_a_refresh_that_gives_another_user_is_refused(browser: Browser, provider: Provider, clock: ManualClock) -> None:
    provider.tamper_claims = lambda claims: claims.update(sub="mallory")
    clock.advance(3601)

    assert browser.get("/").status == 401


def test_an_access_token_that_cannot_be_renewed_ends_with_its_time(
    start: StartOidc, provider: Provider, clock: ManualClock
) -> None:
    provider.gives_refresh_tokens = False
    forwarding, plain = Browser(start(access_token_header="X-Token")), Browser(start())
    forwarding.visit("/")
    plain.visit("/")
    clock.advance(3601)

    assert forwarding.get("/").status == 401
    assert plain.get("/").status == 200, "the session itself holds"


@pytest.mark.parametrize("expires_in", [None, "3600", 0, -1, True, "soon", 1e400])
def test_odd_lifetimes_are_taken_as_far_as_they_make_sense(
    start: StartOidc, provider: Provider, expires_in: Any
) -> None:
    provider.expires_in = None if expires_in == 1e400 else expires_in

    browser = Browser(start())

    assert browser.visit("/").status == 200
    assert browser.get("/").status == 200
    assert provider.requests["refresh"] == 0
