"""Callbacks as users, hostile pages and hostile providers make them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from gateway_plugin_sdk.testing import ManualClock, ScriptedUpstream

from tests.plugins.oidc.conftest import HOST, NAVIGATION, Browser, StartOidc
from tests.plugins.oidc.provider import Provider

pytestmark = pytest.mark.in_turn


def test_the_authorization_request_has_pkce_state_and_nonce(browser: Browser) -> None:
    first, second = (browser.send("GET", "/", NAVIGATION).headers["location"] for _ in range(2))

    asked = {name: values[0] for name, values in parse_qs(urlsplit(first).query).items()}
    assert asked["response_type"] == "code"
    assert asked["code_challenge_method"] == "S256"
    assert len(asked["code_challenge"]) == 43
    again = parse_qs(urlsplit(second).query)
    assert all(again[name] != [asked[name]] for name in ("state", "nonce", "code_challenge"))


def test_attempts_have_cookies_of_their_own_and_at_most_five(browser: Browser, clock: ManualClock) -> None:
    states = []
    for _ in range(8):
        browser.send("GET", "/", NAVIGATION)
        states.append(set(browser.cookies))
        clock.advance(1)

    assert [len(each) for each in states] == [1, 2, 3, 4, 5, 5, 5, 5]
    assert all(name.startswith("gateway-session.s") for name in browser.cookies)
    assert not states[2] & states[7], "the oldest are forgotten"


def test_callbacks_in_another_order_than_their_logins_all_count(browser: Browser) -> None:
    callbacks = [browser.to_provider(f"/page{number}") for number in range(3)]

    backs = [browser.follow(callback).headers["location"] for callback in reversed(callbacks)]

    assert backs == [f"http://{HOST}/page{number}" for number in (2, 1, 0)]
    assert list(browser.cookies) == ["gateway-session"]


def test_a_stale_callback_with_a_session_goes_on_and_without_one_begins_again_once(
    browser: Browser, provider: Provider
) -> None:
    callback = browser.to_provider("/page")
    kept = dict(browser.cookies)
    browser.follow(callback)

    with_session = browser.follow(callback)
    assert (with_session.status, with_session.headers["location"]) == (303, f"http://{HOST}/")

    browser.cookies = dict(kept)  # the attempt's cookie, as a replay has it
    again = browser.follow(callback)
    assert (again.status, urlsplit(again.headers["location"]).path) == (302, "/authorize")
    assert provider.requests["/token"] == 1, "a state counts once, whatever the cookies"
    callback = browser.follow(again.headers["location"]).headers["location"]
    browser.cookies.clear()
    assert browser.follow(callback).status == 400, "a browser without cookies does not go round"


def test_a_stale_callback_that_is_no_navigation_begins_no_login(browser: Browser) -> None:
    answer = browser.get("/cb?code=a&state=b")

    assert (answer.status, answer.headers.get("set-cookie")) == (400, None)
    assert browser.send("GET", "/cb?code=a&state=b", NAVIGATION).status == 302


def test_a_callback_that_came_too_late_goes_to_its_page_if_there_is_a_session(
    browser: Browser, provider: Provider, clock: ManualClock
) -> None:
    browser.visit("/")
    session = dict(browser.cookies)
    browser.cookies.clear()
    callback = browser.to_provider("/page?x=1")
    browser.cookies |= session
    clock.advance(601)

    answer = browser.follow(callback)

    assert (answer.status, answer.headers["location"]) == (303, f"http://{HOST}/page?x=1")
    assert (provider.requests["/token"], browser.cookies["gateway-session"]) == (1, session["gateway-session"])


def test_a_login_that_began_again_and_fails_again_is_over(browser: Browser, provider: Provider) -> None:
    callback = browser.to_provider("/page")
    provider.codes.clear()
    again = browser.follow(callback).headers["location"]
    callback = browser.follow(again).headers["location"]
    provider.codes.clear()

    answer = browser.follow(callback)

    assert (answer.status, "location" in answer.headers) == (400, False)


def test_an_attempt_that_took_too_long_begins_again_where_it_was(browser: Browser, clock: ManualClock) -> None:
    callback = browser.to_provider("/page?x=1")
    clock.advance(601)

    again = browser.follow(callback)
    callback = browser.follow(again.headers["location"]).headers["location"]

    assert browser.follow(callback).headers["location"] == f"http://{HOST}/page?x=1"


def test_a_code_that_the_provider_refuses_begins_the_login_again(browser: Browser, provider: Provider) -> None:
    callback = browser.to_provider()
    provider.codes.clear()

    assert urlsplit(browser.follow(callback).headers["location"]).path == "/authorize"


def test_a_callback_of_another_browser_is_not_taken(start: StartOidc) -> None:
    gateway = start()
    attacker, victim = Browser(gateway), Browser(gateway)

    answer = victim.follow(attacker.to_provider())

    assert urlsplit(answer.headers["location"]).path == "/authorize", "the victim logs in itself"
    assert "gateway-session" not in victim.cookies


def test_a_login_makes_a_new_session_and_ends_the_one_before(browser: Browser) -> None:
    browser.visit("/")
    planted = browser.cookies["gateway-session"]

    browser.follow(browser.to_provider_again())

    assert browser.cookies["gateway-session"] != planted
    browser.cookies = {"gateway-session": planted}
    assert browser.get("/").status == 401


@pytest.mark.parametrize("target", ["//evil.example/x", "/\\evil.example", "///evil.example", "/x y", "/" + "a" * 3000])
def test_nobody_is_sent_to_another_origin(start: StartOidc, target: str) -> None:
    browser = Browser(start(login_path="/login"))

    answer = browser.visit(f"/login?return_to={target.replace(' ', '%20')}")

    assert browser.visited[-1] == f"http://{HOST}/"
    assert answer.status == 200


def test_runs_of_slashes_in_a_path_stay_a_path_of_ours(browser: Browser) -> None:
    browser.visit("//evil.example/")

    assert browser.visited[-1] == f"http://{HOST}/"


TAMPERED: dict[str, Callable[[dict[str, Any]], object]] = {
    "token-issuer": lambda claims: claims.update(iss="https://evil.example"),
    "token-audience": lambda claims: claims.update(aud="another"),
    "token-azp": lambda claims: claims.update(aud=["web", "another"]),
    "token-nonce": lambda claims: claims.update(nonce="another"),
    "token-expired": lambda claims: claims.update(exp=claims["iat"] - 100),
    "token-issued-in-the-future": lambda claims: claims.update(iat=claims["iat"] + 1000),
    "token-at-hash": lambda claims: claims.update(at_hash="another"),
    "token-malformed-claim": lambda claims: claims.update(sub=4711),
    "token-claim-missing": lambda claims: claims.pop("sub"),
}


@pytest.mark.parametrize("reason", TAMPERED)
def test_an_id_token_that_is_not_for_this_login_is_refused(
    browser: Browser, provider: Provider, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    provider.tamper_claims = TAMPERED[reason]

    answer = browser.follow(browser.to_provider())

    assert (answer.status, "gateway-session" in browser.cookies) == (400, False)
    assert reason in caplog.text
    assert reason.encode() not in answer.body, "the client does not learn why"


@pytest.mark.parametrize("kind", ["none", "hs256", "other key", "garbage"])
def test_an_id_token_that_the_provider_did_not_sign_is_refused(browser: Browser, provider: Provider, kind: str) -> None:
    provider.sign = {
        "none": lambda claims: jwt.encode(claims, "", "none", {"kid": "k1"}),
        "hs256": lambda claims: jwt.encode(claims, "x" * 32, "HS256", {"kid": "k1"}),
        "other key": lambda claims: jwt.encode(claims, ec.generate_private_key(ec.SECP256R1()), "ES256", {"kid": "k1"}),
        "garbage": lambda _: "a.b.c",
    }[kind]

    assert browser.follow(browser.to_provider()).status == 400


@pytest.mark.parametrize(
    "tamper",
    [
        lambda parameters: parameters.update(iss="https://evil.example"),
        lambda parameters: parameters.pop("iss"),
        lambda parameters: parameters.pop("code"),
        lambda parameters: parameters.update(state=""),
    ],
)
def test_a_response_of_another_provider_is_refused(browser: Browser, provider: Provider, tamper: Any) -> None:
    provider.tamper_callback = tamper

    assert browser.follow(browser.to_provider()).status == 400
    assert provider.requests["/token"] == 0


def test_a_parameter_that_comes_twice_is_refused(browser: Browser) -> None:
    assert browser.follow(browser.to_provider() + "&code=other").status == 400


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ("access_denied", 403),
        ("temporarily_unavailable", 503),
        ("server_error", 503),
        ("login_required", 401),
        ("x", 400),
    ],
)
def test_errors_of_the_provider_are_told_apart(browser: Browser, provider: Provider, error: str, status: int) -> None:
    def tamper(parameters: dict[str, str]) -> None:
        del parameters["code"]
        parameters["error"] = error

    provider.tamper_callback = tamper
    callback = browser.to_provider()

    assert [browser.follow(callback).status for _ in range(2)] == [status] * 2, "an error uses nothing up"


def test_a_provider_that_was_never_there_makes_logins_wait(start: StartOidc, provider: Provider) -> None:
    provider.is_away = True
    browser = Browser(start())

    answer = browser.send("GET", "/", NAVIGATION)

    assert answer.status == 503
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert browser.get("/").status == 401, "a script has no session, whatever the provider"


def test_a_token_endpoint_that_fails_is_503_and_no_session(browser: Browser, provider: Provider) -> None:
    other = Browser(browser.gateway)
    other.visit("/")
    callback = browser.to_provider()
    provider.is_away = True

    assert browser.follow(callback).status == 503
    assert other.get("/").status == 200, "sessions go on"
    provider.is_away, provider.client_secrets = False, ["another"]
    assert browser.follow(browser.to_provider()).status == 503, "nor is a wrong secret of ours the user's fault"


def test_new_keys_of_the_provider_are_fetched(start: StartOidc, provider: Provider, clock: ManualClock) -> None:
    browser = Browser(start(fetch={"cooldown": "0s"}))
    provider.key, provider.key_id = ec.generate_private_key(ec.SECP256R1()), "k2"

    assert browser.visit("/").status == 200


def test_email_counts_only_if_it_is_verified(start: StartOidc, provider: Provider, upstream: ScriptedUpstream) -> None:
    gateway = start(claims_to_headers={"X-Mail": "email"})
    trusting = start(claims_to_headers={"X-Mail": "email"}, trust_unverified_email=True)
    provider.extra_claims = {"email": "ceo@example.com"}

    def mail(gateway: Any) -> str | None:
        Browser(gateway).visit("/")
        return upstream.last.headers.get("x-mail")

    assert mail(gateway) is None
    assert mail(trusting) == "ceo@example.com"
    provider.extra_claims["email_verified"] = "true"
    assert mail(gateway) is None, "a text is no proof"
    provider.extra_claims["email_verified"] = True
    assert mail(gateway) == "ceo@example.com"


def test_userinfo_of_another_user_is_refused(start: StartOidc, provider: Provider, upstream: ScriptedUpstream) -> None:
    gateway = start(userinfo=True, claims_to_headers={"X-Team": "team"})
    provider.userinfo = {"team": "red"}

    assert Browser(gateway).visit("/").status == 200
    assert upstream.last.headers["x-team"] == "red"
    provider.userinfo = {"sub": "mallory"}
    browser = Browser(gateway)
    assert browser.follow(browser.to_provider()).status == 400


def test_an_address_of_userinfo_is_not_verified_by_the_id_token_of_another(
    start: StartOidc, provider: Provider, upstream: ScriptedUpstream
) -> None:
    gateway = start(userinfo=True, claims_to_headers={"X-Mail": "email"})
    provider.extra_claims = {"email": "alice@example.com", "email_verified": True}
    for userinfo, shown in (
        ({}, "alice@example.com"),
        ({"email": "alice@example.com"}, "alice@example.com"),
        ({"email": "ceo@example.com"}, None),
        ({"email": "ceo@example.com", "email_verified": True}, "ceo@example.com"),
    ):
        provider.userinfo = userinfo

        Browser(gateway).visit("/")

        assert upstream.last.headers.get("x-mail") == shown


def test_tenants_of_an_issuer_have_to_be_listed(start: StartOidc, provider: Provider) -> None:
    place = provider.url + "/.well-known/openid-configuration"
    provider.issuer = provider.url + "/{tenantid}/v2.0"
    gateway = start(issuer=provider.issuer, tenants=["t1", "t2"], discovery_url=place)

    def status(tenant: str, tid: str) -> int:
        provider.tamper_claims = lambda claims: claims.update(iss=f"{provider.url}/{tenant}/v2.0", tid=tid)
        browser = Browser(gateway)
        return browser.follow(browser.to_provider()).status

    assert [status("t1", "t1"), status("t2", "t2")] == [303, 303]
    assert [status("t3", "t3"), status("t1", "t2"), status("{tenantid}", "t1")] == [400, 400, 400]


def test_huge_claims_are_cut_into_cookies_and_too_huge_ones_refused(
    start: StartOidc, provider: Provider, upstream: ScriptedUpstream
) -> None:
    def groups(count: int) -> list[str]:
        return [f"{number * 7919 % 1000003:x}-{number * 104729 % 999983:x}" for number in range(count)]

    gateway = start(claims_to_headers={"X-User": "sub"})
    browser = Browser(gateway)
    provider.extra_claims = {"groups": groups(600)}

    assert browser.visit("/").status == 200
    parts = len(browser.cookies)
    assert parts > 2
    assert browser.get("/").status == 200
    assert "cookie" not in upstream.last.headers
    provider.extra_claims = {}
    browser.follow(browser.to_provider_again())
    assert len(browser.cookies) == 1, "the parts of the longer one are removed"
    provider.extra_claims = {"groups": groups(8000)}
    assert Browser(gateway).visit("/").status == 400
    small = Browser(start(session={"claims": ["sub"]}))
    assert small.visit("/").status == 200
    assert len(small.cookies) == 1


def test_a_login_that_is_too_old_at_the_provider_is_refused(start: StartOidc, provider: Provider) -> None:
    gateway = start(login_max_age="5m")
    provider.extra_claims = {"auth_time": 1}
    browser = Browser(gateway)

    callback = browser.to_provider()

    assert browser.follow(callback).status == 400


def test_codes_and_states_are_in_no_log(start: StartOidc, provider: Provider, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "gateway")
    browser = Browser(start())
    callback = browser.to_provider()
    asked = parse_qs(urlsplit(callback).query)
    browser.follow(callback)
    browser.follow(callback)

    assert asked["code"][0] not in caplog.text
    assert asked["state"][0] not in caplog.text
    assert "access-" not in caplog.text


def test_strict_cookies_are_set_by_a_page_that_goes_on_itself(start: StartOidc) -> None:
    browser = Browser(start(cookie={"same_site": "strict"}))

    page = browser.follow(browser.to_provider("/x?a=1&b=2"))

    assert page.status == 200
    assert f'content="0;url=http://{HOST}/x?a=1&amp;b=2"' in page.text
    assert browser.get("/").status == 200
