"""Logouts: by the user, by the provider and by an operator."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from gateway_plugin_sdk.testing import ManualClock, eventually

from tests.plugins.oidc.conftest import HOST, NAVIGATION, Browser, StartOidc
from tests.plugins.oidc.provider import Provider
from tests.plugins.ratelimit.stores.conftest import Valkey

pytestmark = pytest.mark.in_turn

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def logout_by_provider(browser: Browser, token: str, **more: str) -> int:
    body = urlencode({"logout_token": token, **more}).encode()
    # The provider comes by a name of its own.
    return browser.gateway.request("POST", "/backchannel", headers={"Host": "internal", **FORM}, body=body).status


@pytest.fixture
def browser(start: StartOidc) -> Browser:
    made = Browser(start(backchannel_logout_path="/backchannel"))
    made.visit("/")
    return made


def test_a_logout_ends_the_session_here_and_at_the_provider(browser: Browser, provider: Provider) -> None:
    before = dict(browser.cookies)

    answer = browser.send("GET", "/oauth2/logout", {**NAVIGATION, "Sec-Fetch-Site": "same-origin"})

    asked = parse_qs(urlsplit(answer.headers["location"]).query)
    assert (answer.status, urlsplit(answer.headers["location"]).path) == (303, "/logout")
    assert asked["post_logout_redirect_uri"] == [f"http://{HOST}/"]
    assert asked["id_token_hint"][0].count(".") == 2
    assert not browser.cookies
    browser.cookies = before
    assert browser.get("/").status == 401, "a copy of the cookie is no session either"


def test_a_logout_revokes_the_refresh_token(browser: Browser, provider: Provider) -> None:
    assert len(provider.refresh_tokens) == 1

    browser.send("GET", "/oauth2/logout")

    eventually(lambda: provider.refresh_tokens == {})
    assert provider.requests["/revoke"] == 1


def test_a_logout_ends_every_session_that_the_cookies_stand_for(browser: Browser) -> None:
    other = Browser(browser.gateway)
    other.visit("/")
    both = "; ".join(f"gateway-session={each.cookies['gateway-session']}" for each in (browser, other))
    refused = Browser(browser.gateway).send("GET", "/", {"Cookie": both})

    gone = Browser(browser.gateway).send("GET", "/oauth2/logout", {"Cookie": both})

    assert (refused.status, gone.status) == (400, 303)
    assert [browser.get("/").status, other.get("/").status] == [401, 401]


def test_a_logout_without_a_session_goes_on_to_the_provider(start: StartOidc, provider: Provider) -> None:
    provider.metadata_changes = {"end_session_endpoint": None}
    browser = Browser(start(post_logout_redirect_uri="https://www.example.com/bye"))

    assert browser.send("GET", "/oauth2/logout").headers["location"] == "https://www.example.com/bye"


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", {"Sec-Fetch-Site": "cross-site"}),
        ("GET", {"Sec-Fetch-Site": "same-site"}),
        ("GET", {"Origin": "null"}),
        ("POST", {"Origin": "https://evil.example"}),
        ("POST", {}),
        ("DELETE", {"Sec-Fetch-Site": "same-origin"}),
    ],
)
def test_another_site_cannot_log_users_out(browser: Browser, method: str, headers: dict[str, str]) -> None:
    assert browser.send(method, "/oauth2/logout", headers).status == 403
    assert browser.get("/").status == 200


def test_the_provider_ends_a_session_by_its_own_name_of_it(browser: Browser, provider: Provider) -> None:
    other = Browser(browser.gateway)
    provider.user = "bob"
    other.visit("/")

    assert logout_by_provider(browser, provider.logout_token(sid="sid-of-alice")) == 200

    assert (browser.get("/").status, other.get("/").status) == (401, 200)
    assert browser.visit("/").status == 200, "a session that begins later is another one"


def test_a_session_of_which_the_provider_gave_no_name_ends_with_any_of_its_user(
    start: StartOidc, provider: Provider
) -> None:
    provider.tamper_claims = lambda claims: claims.pop("sid")
    browser = Browser(start(backchannel_logout_path="/backchannel"))
    browser.visit("/")

    assert logout_by_provider(browser, provider.logout_token(sub="bob", sid="x")) == 200
    assert browser.get("/").status == 200
    assert logout_by_provider(browser, provider.logout_token(sub="alice", sid="x")) == 200
    assert browser.get("/").status == 401


def test_the_provider_ends_every_session_of_a_user(browser: Browser, provider: Provider) -> None:
    other = Browser(browser.gateway)
    other.visit("/")

    assert logout_by_provider(browser, provider.logout_token(sub="alice")) == 200

    assert (browser.get("/").status, other.get("/").status) == (401, 401)


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "another"},
        {"iss": "https://evil.example"},
        {"exp": 1},
        {"events": {}},
        {"events": None},
        {"nonce": "x"},
        {"jti": None},
        {"sub": None},
        {"exp": None, "iat": 1},
    ],
)
def test_a_logout_token_that_is_none_ends_nothing(browser: Browser, provider: Provider, changes: Any) -> None:
    assert logout_by_provider(browser, provider.logout_token(**{"sub": "alice", **changes})) == 400
    assert browser.get("/").status == 200


def test_a_logout_request_that_is_not_one_ends_nothing(browser: Browser, provider: Provider) -> None:
    token = provider.logout_token(sub="alice")
    head, payload, _ = token.split(".")

    assert logout_by_provider(browser, f"{head}.{payload}.AAAA") == 400
    assert browser.send("GET", f"/backchannel?logout_token={token}").status == 400
    assert browser.send("POST", "/backchannel", {"Content-Type": "application/json"}, b"{}").status == 400
    assert browser.send("POST", "/backchannel", FORM, b"logout_token=" + b"x" * 70000).status == 400
    assert logout_by_provider(browser, provider.signed(provider.claims_for("alice"))) == 400, "an ID token is none"
    assert browser.get("/").status == 200


def test_a_logout_token_counts_once(browser: Browser, provider: Provider) -> None:
    token = provider.logout_token(sub="alice")

    assert [logout_by_provider(browser, token) for _ in range(2)] == [200, 400]


def test_a_logout_token_counts_once_for_as_long_as_it_holds(
    browser: Browser, provider: Provider, clock: ManualClock
) -> None:
    now = int(clock.wall())
    token = provider.logout_token(sub="alice", exp=now + 7200)
    assert logout_by_provider(browser, token) == 200

    clock.advance(3600)

    assert logout_by_provider(browser, token) == 400


def test_a_logout_token_counts_again_if_the_sessions_could_not_be_ended(
    start: StartOidc, provider: Provider, tmp_path: Path
) -> None:
    server = Valkey(tmp_path)
    browser = Browser(start(valkey={"url": server.url}, backchannel_logout_path="/backchannel"))
    browser.visit("/")
    token = provider.logout_token(sub="alice")
    server.command("ACL", "SETUSER", "default", "resetkeys", "~gateway:oidc:used:*")  # no end can be written

    assert logout_by_provider(browser, token) == 503
    server.command("ACL", "SETUSER", "default", "allkeys")

    assert logout_by_provider(browser, token) == 200
    assert browser.get("/").status == 401
    server.kill()


def test_an_operator_ends_the_sessions_of_every_tenant(start: StartOidc, provider: Provider) -> None:
    place = provider.url + "/.well-known/openid-configuration"
    provider.issuer = provider.url + "/{tenantid}"
    browser = Browser(start(issuer=provider.issuer, tenants=["t1", "t2"], discovery_url=place))
    provider.tamper_claims = lambda claims: claims.update(iss=f"{provider.url}/t2", tid="t2")
    browser.visit("/")

    browser.gateway.call("oidc", "end_sessions", subject="alice")

    assert browser.get("/").status == 401


def test_an_operator_ends_the_sessions_of_a_user(browser: Browser) -> None:
    browser.gateway.call("oidc", "end_sessions", subject="bob")
    assert browser.get("/").status == 200

    browser.gateway.call("oidc", "end_sessions", subject="alice")

    assert browser.get("/").status == 401
