"""Logins and sessions: a browser, a gateway, an upstream and a provider, each on a socket."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gateway_plugin_oidc import Oidc
from gateway_plugin_sdk.testing import (
    Answer,
    ManualClock,
    RunningGateway,
    ScriptedUpstream,
    assert_plugin_ok,
    one_route,
)

from tests.plugins.oidc.conftest import HOST, KEY, NAVIGATION, Browser, StartOidc
from tests.plugins.oidc.provider import Provider

ORIGIN = f"http://{HOST}"


def test_the_plugin_keeps_to_the_contract(options: dict[str, Any]) -> None:
    assert_plugin_ok(Oidc, options)


def test_a_navigation_logs_in_and_comes_back_to_where_it_began(browser: Browser, upstream: ScriptedUpstream) -> None:
    answer = browser.visit("/orders?page=2&q=a%20b")

    assert answer.status == 200
    assert upstream.requests[-1].target == "/orders?page=2&q=a%20b"
    assert len(browser.visited) == 3
    assert list(browser.cookies) == ["gateway-session"]


def test_the_upstream_learns_the_user_and_never_sees_our_cookies(start: StartOidc, upstream: ScriptedUpstream) -> None:
    browser = Browser(start(claims_to_headers={"X-User": "sub"}, access_token_header="Authorization"))
    browser.cookies["theme"] = "dark"
    browser.visit("/")

    browser.send("GET", "/again", {"X-User": "mallory", "Authorization": "Basic eDp5"})

    sent = upstream.requests[-1].headers
    assert sent.get_all("cookie") == ["theme=dark"]
    assert sent.get_all("x-user") == ["alice"]
    assert [value[:14] for value in sent.get_all("authorization")] == ["Bearer access-"]


def test_a_mirror_gets_neither_the_session_nor_its_tokens(
    options: dict[str, Any], upstream: ScriptedUpstream, clock: ManualClock
) -> None:
    config = {**options, "claims_to_headers": {"X-User": "sub"}, "access_token_header": "X-Token"}
    with ScriptedUpstream() as mirror:
        route = {"id": "all", "path_prefix": "/", "target": upstream.url, "mirror": {"target": mirror.url}}
        document = {"plugins": [{"name": "oidc", "config": config}], "routes": [route]}
        with RunningGateway(document, clock=clock) as gateway:
            assert Browser(gateway).visit("/").status == 200
            mirror.wait_for(1)

    assert upstream.last.headers["x-token"].startswith("access-")
    assert [mirror.last.headers.get(name) for name in ("x-user", "x-token", "cookie")] == ["alice", None, None]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Accept": "*/*"},
        {"Accept": "application/json"},
        {"Accept": "text/html", "X-Requested-With": "XMLHttpRequest"},
        {"Accept": "text/html", "Sec-Fetch-Mode": "cors"},
        {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "image"},
        {"Accept": "text/html", "Authorization": "Basic eDp5"},
    ],
)
def test_programs_and_scripts_get_401_in_place_of_a_redirect(browser: Browser, headers: dict[str, str]) -> None:
    answer = browser.send("GET", "/", headers)

    assert (answer.status, answer.headers.get_all("set-cookie")) == (401, [])
    assert answer.headers["www-authenticate"] == 'Cookie realm="gateway"'


def test_only_navigations_begin_logins(browser: Browser) -> None:
    assert browser.send("POST", "/", NAVIGATION).status == 401
    assert browser.send("GET", "/", {**NAVIGATION, "Upgrade": "websocket", "Connection": "Upgrade"}).status == 401
    assert browser.send("HEAD", "/", NAVIGATION).status == 302
    assert browser.send("GET", "/", {"Accept": "text/html,application/xhtml+xml"}).status == 302


def test_a_script_begins_no_login_at_the_path_of_logins_either(start: StartOidc) -> None:
    browser = Browser(start(login_path="/login"))

    assert (browser.get("/login").status, browser.send("POST", "/login", NAVIGATION).status) == (401, 401)
    assert browser.cookies == {}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": ORIGIN}, 200),
        ({"Origin": "https://partner.example"}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": f"{ORIGIN}.evil.example"}, 403),
        ({"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({}, 403),
    ],
)
def test_a_cookie_authenticates_unsafe_requests_only_from_our_own_pages(
    start: StartOidc, upstream: ScriptedUpstream, headers: dict[str, str], status: int
) -> None:
    browser = Browser(start(trusted_origins=["https://partner.example"]))
    browser.visit("/")
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Key": "x" * 24}

    assert browser.send("POST", "/", headers).status == status
    assert browser.send("DELETE", "/", headers).status == status
    assert (browser.send("GET", "/", {**headers, **upgrade}).status == 403) == (status == 403)
    assert browser.send("GET", "/", headers).status == 200


def test_a_response_that_sets_our_cookie_is_in_no_cache(start: StartOidc, upstream: ScriptedUpstream) -> None:
    old = Browser(start(keys=["o" * 32]))
    old.visit("/")
    new = Browser(start(keys=[KEY, "o" * 32]))
    new.cookies = dict(old.cookies)
    upstream.answer_with(200, headers=[("Cache-Control", "public, max-age=60"), ("CDN-Cache-Control", "max-age=60")])

    answer = new.get("/")

    assert answer.status == 200
    assert answer.headers.get_all("cache-control") == ["private, no-store"]
    assert "cdn-cache-control" not in answer.headers
    assert answer.headers.get_all("set-cookie")[0].startswith("gateway-session=1.")


@pytest.mark.parametrize("same_site", ["lax", "strict"])
def test_each_response_of_a_login_and_a_logout_is_in_no_cache_and_leaves_no_referrer(
    start: StartOidc, same_site: str
) -> None:
    browser = Browser(start(cookie={"same_site": same_site}, login_path="/login"))
    answers = [browser.send("GET", "/login?return_to=/me", NAVIGATION)]
    callback = browser.follow(answers[0].headers["location"]).headers["location"]
    answers += [browser.follow(callback), browser.follow(callback)]
    answers.append(browser.send("GET", "/oauth2/logout"))
    answers.append(browser.follow(callback))
    browser.cookies["gateway-session"] = "1.x"
    answers += [browser.get("/"), browser.get("/")]

    back = 303 if same_site == "lax" else 200  # never 307, which repeats a body (RFC 9700 section 4.12)
    assert [each.status for each in answers] == [302, back, back, 303, 302, 401, 401]
    for each in answers:
        assert each.headers.get_all("cache-control") == ["private, no-store"]
        assert each.headers.get_all("referrer-policy") == ["no-referrer"]


def test_keys_roll_over_with_overlap(start: StartOidc) -> None:
    old, both, new = start(keys=["o" * 32]), start(keys=[KEY, "o" * 32]), start(keys=[KEY])
    browser = Browser(old)
    browser.visit("/")
    before = dict(browser.cookies)

    browser.gateway = both
    assert browser.get("/").status == 200
    assert browser.cookies != before, "it is sealed with the new key"
    browser.gateway = new

    assert browser.get("/").status == 200
    browser.cookies = before
    assert browser.get("/").status == 401


def test_keys_and_secret_are_rotated_without_a_restart(
    options: dict[str, Any], provider: Provider, upstream: ScriptedUpstream, clock: ManualClock, tmp_path: Path
) -> None:
    keys, secret = tmp_path / "keys", tmp_path / "secret"
    keys.write_text(KEY)
    secret.write_text(provider.client_secrets[0])
    inline = {"keys", "client_secret"}
    config = {name: value for name, value in options.items() if name not in inline}
    config |= {"keys_file": str(keys), "client_secret_file": str(secret)}
    document = one_route(upstream.url, {"name": "oidc", "config": config})
    with RunningGateway(document, plugins=[Oidc], clock=clock) as gateway:
        browser = Browser(gateway)
        browser.visit("/")
        before = dict(browser.cookies)

        keys.write_text(f"{'n' * 32}\n{KEY}\n")
        secret.write_text("the-next-one")
        provider.client_secrets = ["the-next-one"]
        gateway.reload(document)

        assert browser.get("/").status == 200
        assert browser.cookies != before, "it is sealed with the new key"
        assert Browser(gateway).visit("/").status == 200


@pytest.mark.parametrize("other", [{"keys": ["x" * 32]}, {"binding": {"id": "other"}}, {"client_id": "web2"}])
def test_a_cookie_of_another_gateway_is_no_session(start: StartOidc, provider: Provider, other: dict[str, Any]) -> None:
    provider.client_id = other.get("client_id", "web")
    browser = Browser(start(**other))
    browser.visit("/")
    assert browser.get("/").status == 200

    browser.gateway = start()

    assert browser.get("/").status == 401


def test_a_session_of_one_host_is_none_on_another(start: StartOidc, provider: Provider) -> None:
    uris = [f"http://{HOST}/cb", "http://other.localhost/cb"]
    provider.redirect_uris = uris
    gateway = start(redirect_uri=uris)
    browser, other = Browser(gateway), Browser(gateway, "other.localhost")
    browser.visit("/")

    other.cookies = dict(browser.cookies)

    assert other.get("/").status == 401
    assert other.visit("/").status == 200
    assert "redirect_uri=http%3A%2F%2Fother.localhost%2Fcb" in other.visited[0]


def test_the_redirect_uri_never_comes_from_the_host_of_a_request(start: StartOidc) -> None:
    answer = Browser(start(), "evil.example").send("GET", "/", NAVIGATION)

    assert (answer.status, "location" in answer.headers) == (401, False)


def test_two_cookies_that_both_unseal_are_refused(browser: Browser) -> None:
    browser.visit("/")
    first = browser.cookies["gateway-session"]
    browser.cookies.clear()
    browser.visit("/")
    second = browser.cookies["gateway-session"]

    def answer(*values: str) -> Answer:
        cookie = "; ".join(f"gateway-session={value}" for value in values)
        return browser.gateway.get("/", headers={"Host": HOST, "Cookie": cookie})

    def status(*values: str) -> int:
        return answer(*values).status

    assert status(first, second) == status(second, second) == 400
    # A removal would reach the user's own cookie only, and leave the session that was planted under a longer path.
    assert "set-cookie" not in answer(first, second).headers
    assert status("1.planted", second) == status(second, "1.planted") == 200
    assert status("1.planted") == status("99.x") == status("x") == 401


def test_strangers_pass_without_an_identity_where_that_is_configured(
    start: StartOidc, upstream: ScriptedUpstream
) -> None:
    browser = Browser(start(unauthenticated="pass", claims_to_headers={"X-User": "sub"}, login_path="/login"))

    assert browser.send("GET", "/", {"X-User": "mallory", "Cookie": "gateway-session=1.x; a=b"}).status == 200
    assert "x-user" not in upstream.last.headers
    assert upstream.last.headers.get_all("cookie") == ["a=b"]
    assert browser.visit("/login?return_to=/me").status == 200
    assert (upstream.last.target, upstream.last.headers["x-user"]) == ("/me", "alice")


def test_every_request_gets_401_where_logins_begin_elsewhere(start: StartOidc) -> None:
    assert Browser(start(unauthenticated="deny")).send("GET", "/", NAVIGATION).status == 401


def test_a_session_ends_after_its_time(start: StartOidc, clock: ManualClock) -> None:
    browser = Browser(start(session={"max_age": "1h", "idle_timeout": "10m"}))
    browser.visit("/")
    for _ in range(5):
        clock.advance(590)
        assert browser.get("/").status == 200
    clock.advance(601)
    assert browser.get("/").status == 401
    browser.visit("/")
    for _ in range(6):
        clock.advance(590)
        assert browser.get("/").status == 200

    clock.advance(100)

    assert browser.get("/").status == 401


def test_a_session_that_is_yet_to_begin_is_refused(start: StartOidc, clock: ManualClock) -> None:
    """Its end would not be kept for as long as it lasts."""
    ahead = ManualClock(wall=clock.wall() + 660)
    browser = Browser(start(at=ahead))
    browser.visit("/")
    assert browser.get("/").status == 200
    other = Browser(start())
    other.cookies = dict(browser.cookies)

    assert other.get("/").status == 401


def test_a_refused_session_is_removed_from_the_browser(browser: Browser) -> None:
    browser.cookies = {"gateway-session": "2.x", "gateway-session.1": "y", "mine": "z"}

    assert browser.get("/").status == 401
    assert browser.cookies == {"mine": "z"}


def test_a_bearer_token_and_a_cookie_work_side_by_side(
    start: StartOidc, provider: Provider, upstream: ScriptedUpstream
) -> None:
    browser = Browser(start(bearer={"audience": "api"}, claims_to_headers={"X-User": "sub"}))
    browser.visit("/")
    token = provider.signed({**provider.claims_for("robot"), "aud": "api"}, typ="at+jwt")

    def status(text: str) -> int:
        return browser.send("POST", "/", {"Authorization": f"bearer {text}"}).status

    assert [status(token), status(token)] == [200, 200]
    assert "cookie" not in upstream.last.headers
    assert browser.get("/").status == 200
    assert upstream.last.headers["x-user"] == "alice"
    refused = browser.send("GET", "/", {"Authorization": "Bearer x"})
    assert refused.status == 401, "a wrong token is not passed over for the cookie"
    assert refused.headers["www-authenticate"] == 'Bearer realm="gateway", error="invalid_token"'
    assert status(provider.signed(provider.claims_for("robot"))) == 401, "an ID token is not for the API"
    assert status(provider.signed({**provider.claims_for("r"), "aud": "api", "exp": 1})) == 401


@pytest.mark.parametrize("name", ["X-Token", "Authorization"])
def test_upstreams_get_the_same_of_a_bearer_token_as_of_a_session(
    start: StartOidc, provider: Provider, upstream: ScriptedUpstream, name: str
) -> None:
    headers = {"claims_to_headers": {"X-User": "sub", "X-Mail": "email"}, "access_token_header": name}
    browser = Browser(start(bearer={"audience": "api"}, **headers))
    browser.visit("/")
    claims = {**provider.claims_for("robot"), "aud": "api", "email": "r@example.com"}
    token = provider.signed(claims, typ="at+jwt")
    forged = {"X-User": "root", "X_Mail": "root@example.com", "X-Token": "forged"}

    for _ in range(2):  # the second one is known
        for cookies in (dict(browser.cookies), {}):
            browser.cookies = cookies
            assert browser.send("GET", "/", {**forged, "Authorization": f"Bearer {token}"}).status == 200
            got = upstream.last.headers
            assert (got.get_all("x-user"), got.get("x-mail"), got.get("x_mail")) == (["robot"], None, None)
            assert got.get_all(name) == [f"Bearer {token}" if name == "Authorization" else token]
            assert got.get_all("authorization") == [f"Bearer {token}"]
            assert "cookie" not in got


def test_several_providers_serve_several_routes(start: StartOidc, upstream: ScriptedUpstream) -> None:
    with Provider() as other:
        other.user = "bob"
        other.redirect_uris = [f"http://{HOST}/b/cb"]
        second = {
            "issuer": other.issuer, "client_id": "web", "client_secret": other.client_secrets[0], "keys": [KEY],
            "redirect_uri": other.redirect_uris[0], "cookie": {"name": "b"}, "claims_to_headers": {"X-User": "sub"},
        }  # fmt: skip
        gateway = start(claims_to_headers={"X-User": "sub"}, second=second)
        browser = Browser(gateway)

        browser.visit("/a")
        first_user = upstream.last.headers["x-user"]
        browser.visit("/b/x")

        assert (first_user, upstream.last.headers["x-user"]) == ("alice", "bob")
        assert sorted(browser.cookies) == ["b", "gateway-session"]


def test_our_cookies_reach_the_upstream_of_no_other_route(
    options: dict[str, Any], upstream: ScriptedUpstream, clock: ManualClock
) -> None:
    oidc = {"name": "oidc", "config": options}
    routes = [
        {"id": "app", "path_prefix": "/", "target": upstream.url, "plugins": [oidc]},
        {"id": "api", "path_prefix": "/api", "target": upstream.url},
        {"id": "ws", "path_prefix": "/ws", "target": upstream.url, "timeouts": {"response": "5s"}},
    ]
    with RunningGateway({"routes": routes}, plugins=[Oidc], clock=clock) as gateway:
        browser = Browser(gateway)
        browser.visit("/")
        browser.to_provider_again()
        assert len(browser.cookies) == 2, "a session, and an attempt"
        browser.cookies["theme"] = "dark"

        for path in ("/api", "/ws", "/"):
            assert browser.get(path).status == 200
            assert upstream.last.headers["cookie"] == "theme=dark"
