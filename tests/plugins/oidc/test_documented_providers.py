"""Providers as the documentation of Keycloak and Auth0 describes them, where they differ.

The provider is the one of all tests; what it says is changed to what each of them says.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from gateway_plugin_authorize import Authorize
from gateway_plugin_oidc import Oidc
from gateway_plugin_sdk.testing import ManualClock, RunningGateway, ScriptedUpstream, one_route

from tests.plugins.oidc.conftest import HOST, Browser, StartOidc
from tests.plugins.oidc.provider import LOGOUT_EVENT, Provider

pytestmark = pytest.mark.in_turn
FORM = {"Host": HOST, "Content-Type": "application/x-www-form-urlencoded"}


def logout(browser: Browser, token: str) -> int:
    body = urlencode({"logout_token": token}).encode()
    return browser.gateway.request("POST", "/backchannel", headers=FORM, body=body).status


def allowed(options: dict[str, Any], upstream: ScriptedUpstream, clock: ManualClock, **rules: Any) -> int:
    """Log in before `authorize`, and return the status that the user gets."""
    chain = [{"name": "oidc", "config": options}, {"name": "authorize", "config": rules}]
    with RunningGateway(one_route(upstream.url, *chain), plugins=[Oidc, Authorize], clock=clock) as gateway:
        return Browser(gateway).visit("/").status


# -- Keycloak


@pytest.fixture
def keycloak(provider: Provider) -> Provider:
    """A realm: it names the client in ``azp``, and the session twice."""
    provider.extra_claims = {
        "azp": "web", "typ": "ID", "session_state": "0af1", "sid": "0af1", "acr": "1", "email_verified": False,
        "preferred_username": "alice", "realm_access": {"roles": ["offline_access", "editor"]},
        "resource_access": {"account": {"roles": ["view-profile"]}},
    }  # fmt: skip
    provider.tamper_tokens = lambda tokens: tokens.update(
        {"session_state": "0af1", "not-before-policy": 0, "refresh_expires_in": 1800}
    )
    return provider


def test_keycloak_roles_are_a_claim_of_a_claim(
    keycloak: Provider, options: dict[str, Any], upstream: ScriptedUpstream, clock: ManualClock
) -> None:
    assert allowed(options, upstream, clock, rule={"roles": ["editor"]}) == 200
    assert allowed(options, upstream, clock, rule={"roles": ["view-profile"]}) == 403
    paths = {"roles_claim": ["resource_access.account.roles"]}
    assert allowed(options, upstream, clock, rule={"roles": ["view-profile"]}, **paths) == 200


def test_keycloak_adds_its_session_to_the_callback(start: StartOidc, keycloak: Provider) -> None:
    keycloak.tamper_callback = lambda parameters: parameters.update(session_state="0af1")
    browser = Browser(start())

    assert browser.visit("/").status == 200
    assert "session_state=0af1" in browser.visited[-2]


def test_keycloak_names_another_client_in_azp(start: StartOidc, keycloak: Provider) -> None:
    keycloak.extra_claims["azp"] = "another"
    browser = Browser(start())

    assert browser.follow(browser.to_provider()).status == 400


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"sid": "0af1"}, 401),
        ({"sid": "0af1", "events": {LOGOUT_EVENT: {}, "revoke_offline_access": True}}, 401),
        ({"sid": None}, 401),
        ({"sid": "another"}, 200),
    ],
    ids=["session", "offline session", "all of the user", "another session"],
)
def test_keycloak_ends_sessions_by_sid_or_by_user(
    start: StartOidc, keycloak: Provider, changes: dict[str, Any], status: int
) -> None:
    browser = Browser(start(backchannel_logout_path="/backchannel"))
    browser.visit("/")

    assert logout(browser, keycloak.logout_token(sub="alice", typ="Logout", **changes)) == 200

    assert browser.get("/").status == status


def test_keycloak_writes_logout_tokens_with_the_type_of_any_token(start: StartOidc, keycloak: Provider) -> None:
    browser = Browser(start(backchannel_logout_path="/backchannel"))
    browser.visit("/")
    now = keycloak.claims_for("alice")["iat"]
    claims = {"iss": keycloak.issuer, "aud": "web", "iat": now, "exp": now + 120, "jti": "1", "typ": "Logout"}
    token = keycloak.signed({**claims, "sub": "alice", "sid": "0af1", "events": {LOGOUT_EVENT: {}}}, typ="JWT")

    assert (logout(browser, token), browser.get("/").status) == (200, 401)


def test_keycloak_revokes_refresh_tokens_on_use_and_the_session_on_reuse(
    start: StartOidc, keycloak: Provider, clock: ManualClock
) -> None:
    """``Revoke Refresh Token`` with a reuse of 0: the second use of a token ends all that came of it."""
    browser = Browser(start())
    browser.visit("/")
    for _ in range(3):
        cookies = dict(browser.cookies)
        clock.advance(3570)

        def visit(_: int, cookies: dict[str, str] = cookies) -> int:
            one = Browser(browser.gateway)
            one.cookies = dict(cookies)
            return one.get("/").status

        with ThreadPoolExecutor(10) as pool:
            assert set(pool.map(visit, range(10))) == {200}
        # A tab that was open all the time has the cookie of before, and gets what the others got.
        assert browser.get("/").status == 200

    assert keycloak.requests["refresh"] == 3
    assert keycloak.requests["reuse"] == 0


def test_keycloak_offline_tokens_have_no_end(start: StartOidc, keycloak: Provider, clock: ManualClock) -> None:
    keycloak.tamper_tokens = lambda tokens: tokens.update({"refresh_expires_in": 0, "session_state": "0af1"})
    browser = Browser(start(scopes=["openid", "offline_access"]))
    sent = parse_qs(urlsplit(browser.to_provider()).query)
    browser.visit("/")

    clock.advance(3601)

    assert sent["code"]
    assert browser.get("/").status == 200
    assert keycloak.requests["refresh"] == 1


def test_keycloak_ends_a_session_of_its_own_with_an_error_of_the_refresh(
    start: StartOidc, keycloak: Provider, clock: ManualClock
) -> None:
    browser = Browser(start())
    browser.visit("/")
    keycloak.refresh_tokens.clear()  # "Session not active"
    clock.advance(3601)

    assert browser.get("/").status == 401


def test_keycloak_asks_for_the_client_or_a_hint_at_its_logout(start: StartOidc, keycloak: Provider) -> None:
    browser = Browser(start(post_logout_redirect_uri="https://www.example.com/"))
    browser.visit("/")

    sent = parse_qs(urlsplit(browser.send("GET", "/oauth2/logout").headers["location"]).query)

    assert (sent["client_id"], sent["post_logout_redirect_uri"]) == (["web"], ["https://www.example.com/"])
    assert sent["id_token_hint"][0].count(".") == 2


def test_keycloak_of_old_has_auth_in_its_issuer(start: StartOidc, keycloak: Provider) -> None:
    keycloak.issuer = f"{keycloak.url}/auth/realms/shop"

    assert Browser(start(issuer=keycloak.issuer)).visit("/").status == 200
    without = Browser(start(issuer=f"{keycloak.url}/realms/shop"))
    assert without.send("GET", "/", {"Sec-Fetch-Mode": "navigate"}).status == 503, "another issuer: to the letter"


def test_keycloak_access_tokens_are_for_account_unless_a_mapper_adds_an_audience(
    start: StartOidc, keycloak: Provider
) -> None:
    gateway = start(bearer={"audience": "shop-api"})

    def status(audience: Any) -> int:
        claims = {**keycloak.claims_for("robot"), "aud": audience, "azp": "robot", "typ": "Bearer"}
        token = keycloak.signed(claims, typ="JWT")
        return gateway.get("/", headers={"Host": HOST, "Authorization": f"Bearer {token}"}).status

    assert [status("account"), status(["shop-api", "account"])] == [401, 200]


# -- Auth0


@pytest.fixture
def auth0(provider: Provider) -> Provider:
    """A tenant: its issuer ends with a slash, it sends no ``iss``, and its access tokens are opaque."""
    provider.issuer = provider.url + "/"
    provider.metadata_changes = {"authorization_response_iss_parameter_supported": None, "end_session_endpoint": None}
    provider.tamper_callback = lambda parameters: parameters.pop("iss")
    provider.extra_claims = {"https://shop.example.com/roles": ["editor"], "nickname": "alice", "sid": "s1"}
    return provider


def test_auth0_has_an_issuer_with_a_slash_which_is_part_of_it(start: StartOidc, auth0: Provider) -> None:
    assert Browser(start(issuer=auth0.issuer)).visit("/").status == 200
    browser = Browser(start(issuer=auth0.url))
    assert browser.send("GET", "/", {"Sec-Fetch-Mode": "navigate"}).status == 503, "another issuer: to the letter"


def test_auth0_has_namespaced_claims(
    auth0: Provider, options: dict[str, Any], upstream: ScriptedUpstream, clock: ManualClock
) -> None:
    name = "https://shop.example.com/roles"
    config = {**options, "issuer": auth0.issuer, "claims_to_headers": {"X-Roles": name}}

    assert allowed(config, upstream, clock, rule={"roles": ["editor"]}, roles_claim=[name]) == 200
    assert upstream.last.headers["x-roles"] == "editor"
    assert allowed(config, upstream, clock, rule={"roles": ["admin"]}, roles_claim=[name]) == 403


def test_auth0_gives_opaque_access_tokens_unless_an_audience_is_asked_for(
    start: StartOidc, auth0: Provider, upstream: ScriptedUpstream
) -> None:
    browser = Browser(start(issuer=auth0.issuer, access_token_header="X-Token"))

    assert browser.visit("/").status == 200
    assert upstream.last.headers["x-token"].startswith("access-"), "nothing reads it"
    asking = Browser(start(issuer=auth0.issuer, authorization_params={"audience": "https://api.example.com"}))
    location = asking.send("GET", "/", {"Sec-Fetch-Mode": "navigate"}).headers["location"]
    assert parse_qs(urlsplit(location).query)["audience"] == ["https://api.example.com"]


@pytest.mark.parametrize(("audiences", "status"), [("api", 200), ("other", 401)])
def test_auth0_access_tokens_are_for_the_api_and_for_userinfo(
    start: StartOidc, auth0: Provider, audiences: str, status: int
) -> None:
    gateway = start(issuer=auth0.issuer, bearer={"audience": "https://api.example.com"})
    claims = {**auth0.claims_for("auth0|alice"), "azp": "spa", "scope": "openid profile"}
    claims["aud"] = [f"https://{audiences}.example.com", f"{auth0.issuer}userinfo"]
    headers = {"Host": HOST, "Authorization": f"Bearer {auth0.signed(claims)}"}

    assert gateway.get("/", headers=headers).status == status


def test_auth0_has_a_logout_that_the_metadata_of_old_tenants_do_not_name(start: StartOidc, auth0: Provider) -> None:
    place = f"{auth0.url}/oidc/logout"

    def target(**changes: Any) -> str:
        browser = Browser(start(issuer=auth0.issuer, **changes))
        browser.visit("/")
        return browser.send("GET", "/oauth2/logout").headers["location"]

    assert target() == f"http://{HOST}/"
    location = target(end_session_endpoint=place)
    assert location.partition("?")[0] == place
    assert parse_qs(urlsplit(location).query)["post_logout_redirect_uri"] == [f"http://{HOST}/"]
    auth0.metadata_changes["end_session_endpoint"] = f"{auth0.url}/logout"
    assert target(end_session_endpoint=place).partition("?")[0] == place, "what is configured counts"
