"""The plugin beside the gateway's other plugins, and in front of a real browser."""

from __future__ import annotations

import json
import logging
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from gateway_plugin_sdk.testing import ManualClock, RunningGateway, ScriptedUpstream, eventually

from tests.plugins.oidc.conftest import NAVIGATION, Browser
from tests.plugins.oidc.provider import Provider
from tests.programs import program

PAGE = """<!doctype html><title>shop</title><p id=out></p><script>
const seen = [];
(async () => {
  seen.push((await fetch('/api', {method: 'POST'})).status);
  seen.push(document.cookie.includes('gateway-session'));
  document.getElementById('out').textContent = 'seen=' + seen.join(',') + ' at=' + location.pathname + location.search;
})();
</script>"""


def test_logs_have_the_user_and_neither_codes_nor_states_and_limits_count_the_user(
    options: dict[str, Any], upstream: ScriptedUpstream, clock: ManualClock, tmp_path: Path
) -> None:
    log = tmp_path / "access.log"
    fields = ["target", "query", "query_params", "identity", "status", "path", "refusal"]
    plugins = [
        {"name": "logger", "config": {"path": str(log), "fields": fields, "redact": {"query": []}}},
        {"name": "oidc", "config": options},
        {"name": "ratelimit", "config": {"quota": 2, "window": "1h", "key": "identity"}},
    ]
    route = {"id": "app", "path_prefix": "/", "target": upstream.url}
    with RunningGateway({"plugins": plugins, "routes": [route]}, clock=clock) as gateway:
        browser = Browser(gateway)
        callback = browser.to_provider("/")
        browser.follow(callback)
        statuses = [browser.get("/").status for _ in range(3)]

        assert statuses == [200, 200, 429]
        Browser(gateway).get("/")
        eventually(lambda: log.read_text().count("\n") == 6)
    asked = parse_qs(urlsplit(callback).query)
    assert asked["code"][0] not in log.read_text()
    assert asked["state"][0] not in log.read_text()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert lines[1]["path"] == "/cb"
    assert lines[5]["refusal"] == "no-session"
    assert lines[2]["identity"] == f"{options['issuer']}|alice", "a subject is one of its issuer only"


@pytest.mark.parametrize("place", ["gateway-wide", "route"])
def test_logs_have_no_credential_of_a_login_or_a_logout_wherever_it_comes_along(
    options: dict[str, Any], provider: Provider, upstream: ScriptedUpstream, clock: ManualClock, tmp_path: Path,
    caplog: pytest.LogCaptureFixture, place: str,
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG, "gateway")
    log = tmp_path / "access.log"
    fields = ["target", "query", "query_params", "headers", "response_headers", "response_header:location"]
    logger = {"name": "logger", "config": {"path": str(log), "fields": [*fields, "referer", "request_body"]}}
    oidc = {"name": "oidc", "config": {**options, "backchannel_logout_path": "/ended"}}
    wide = [logger, oidc] if place == "gateway-wide" else [logger]
    own = [] if place == "gateway-wide" else [oidc]
    route = {"id": "app", "path_prefix": "/", "target": upstream.url, "plugins": own}
    with RunningGateway({"plugins": wide, "routes": [route]}, clock=clock) as gateway:
        browser = Browser(gateway)
        location = browser.send("GET", "/", NAVIGATION).headers["location"]
        callback = browser.follow(location).headers["location"]
        browser.follow(callback)
        browser.follow(callback)
        token = provider.logout_token(sub="bob")
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        assert browser.send("POST", "/ended", form, f"logout_token={token}".encode()).status == 200
        assert browser.send("GET", f"/ended?logout_token={token}").status == 400
        away = browser.send("GET", "/oauth2/logout?id_token_hint=a-hint&state=a-state").headers["location"]
        eventually(lambda: log.exists() and log.read_text().count("\n") == 6)
    asked, back, ended = (parse_qs(urlsplit(each).query) for each in (location, callback, away))
    secret = [asked["state"][0], asked["nonce"][0], back["code"][0], ended["id_token_hint"][0], "a-hint", "a-state"]
    text = log.read_text() + caplog.text
    assert [each for each in (*secret, token) if each in text] == []


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.in_turn
def test_chromium_logs_in_and_its_scripts_have_the_session(
    options: dict[str, Any], provider: Provider, upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    upstream.answer_with(200, PAGE, headers=[("Content-Type", "text/html")])
    route = {"id": "app", "path_prefix": "/", "target": upstream.url}
    document: dict[str, Any] = {"plugins": [{"name": "oidc", "config": options}], "routes": [route]}
    with RunningGateway(document) as gateway:
        # The port is known now; what it is registered with and configured as follows.
        place = f"http://127.0.0.1:{gateway.port}"
        provider.redirect_uris = [f"{place}/cb"]
        changed = {**options, "redirect_uri": f"{place}/cb"}
        gateway.reload(
            {
                "listen": place.removeprefix("http://"),
                "plugins": [{"name": "oidc", "config": changed}],
                "routes": [route],
            }
        )

        shown = subprocess.run(
            [
                program("chromium", "chromium"), "--headless", "--no-sandbox", "--disable-gpu",
                "--disable-dev-shm-usage",
                f"--user-data-dir={tmp_path}", "--virtual-time-budget=10000", "--dump-dom", f"{place}/cart?id=7",
            ],
            check=True, capture_output=True, text=True, timeout=150,
        ).stdout  # fmt: skip

    assert "seen=200,false at=/cart?id=7" in shown, "a POST of the page passes, and no script sees the cookie"
    assert provider.requests["/token"] == 1


def test_a_session_is_authorised_asked_about_limited_and_logged(
    options: dict[str, Any], provider: Provider, upstream: ScriptedUpstream, clock: ManualClock, tmp_path: Path
) -> None:
    log = tmp_path / "access.log"
    with ScriptedUpstream() as service:
        service.answer_with(200, headers=[("Remote-User", "alice@shop"), ("X-Plan", "gold")])
        asking = {"target": service.url, "request_headers": ["Cookie", "X-User"], "upstream_headers": ["X-Plan"]}
        chain = [
            {
                "name": "logger",
                "config": {"path": str(log), "fields": ["status", "identity", "refusal", "produced_by"]},
            },
            {"name": "oidc", "config": {**options, "claims_to_headers": {"X-User": "sub"}}},
            {"name": "authorize", "config": {"rule": {"groups": ["staff"]}}},
            {"name": "forward-auth", "config": asking},
            {"name": "ratelimit", "config": {"quota": 2, "window": "1h", "key": "identity"}},
        ]
        route = {"id": "app", "path_prefix": "/", "target": upstream.url, "plugins": chain}
        with RunningGateway({"routes": [route]}, clock=clock) as gateway:
            browser = Browser(gateway)
            outsider = browser.visit("/").status
            provider.extra_claims = {"groups": ["staff"]}
            browser = Browser(gateway)
            browser.cookies["theme"] = "dark"
            statuses = [browser.visit("/").status, *(browser.get("/").status for _ in range(2))]
            service.answer_with(403)
            statuses.append(browser.get("/").status)

            assert (outsider, statuses) == (403, [200, 200, 429, 403])
            assert service.last.headers.get_all("cookie") == ["theme=dark"], "our cookies are no other service's"
            assert service.last.headers.get_all("x-user") == ["alice"]
            assert upstream.last.headers["x-plan"] == "gold"
            eventually(lambda: log.read_text().count("\n") == 9)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    found = [(line["status"], line.get("refusal"), line["produced_by"]) for line in lines if line["status"] < 300]
    refused = [(line.get("refusal"), line["produced_by"]) for line in lines if line["status"] >= 400]
    assert found == [(200, None, "upstream")] * 2
    assert refused == [("rule-unknown", "authorize"), ("ratelimit", "ratelimit"), ("refused", "forward-auth")]


@pytest.mark.parametrize("names", ["all", ["Cookie"]])
@pytest.mark.parametrize("place", ["gateway-wide", "route"])
def test_a_service_that_is_asked_before_gets_none_of_our_cookies(
    options: dict[str, Any], upstream: ScriptedUpstream, clock: ManualClock, place: str, names: Any
) -> None:
    with ScriptedUpstream() as service:
        asking = {"name": "forward-auth", "config": {"target": service.url, "request_headers": names}}
        oidc = {"name": "oidc", "config": options}
        chain = [oidc] if place == "gateway-wide" else [asking, oidc]
        route = {"id": "app", "path_prefix": "/", "target": upstream.url, "plugins": chain}
        document = {"plugins": [asking] if place == "gateway-wide" else [], "routes": [route]}
        with RunningGateway(document, clock=clock) as gateway:
            browser = Browser(gateway)
            browser.visit("/")
            browser.to_provider_again()
            browser.cookies["theme"] = "dark"
            assert len(browser.cookies) == 3, "a session, an attempt and another's"

            assert browser.get("/").status == 200

        assert service.last.headers.get_all("cookie") == ["theme=dark"]
        assert all("gateway-session" not in str(each.headers.items()) for each in service.requests)
