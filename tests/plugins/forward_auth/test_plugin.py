"""What clients, upstreams and the service get, from a real gateway."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jwt
import pytest
from gateway_plugin_auth import Auth
from gateway_plugin_authorize import Authorize
from gateway_plugin_forward_auth import ForwardAuth
from gateway_plugin_logger import Logger
from gateway_plugin_ratelimit import RateLimit
from gateway_plugin_sdk import Plugin, Request, hookimpl
from gateway_plugin_sdk.testing import (
    ManualClock,
    ReceivedRequest,
    ScriptedUpstream,
    StartGateway,
    UpstreamAnswer,
    eventually,
    one_route,
)

SECRET = "a secret of more than thirty-two characters"
PLUGINS = [ForwardAuth, Auth, Authorize, RateLimit, Logger]
ALICE = [("Remote-User", "alice"), ("Remote-Groups", "staff,admins")]
BROWSER = {"Accept": "text/html,*/*", "Sec-Fetch-Mode": "navigate"}


@pytest.fixture
def service() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as running:
        running.answer_with(200, headers=ALICE)
        yield running


def binding(service: ScriptedUpstream, **config: Any) -> dict[str, Any]:
    return {"name": "forward-auth", "config": {"target": service.url, "path": "/check", **config}}


def test_a_success_lets_the_request_pass_with_the_callers_name(
    gateway: StartGateway, upstream: ScriptedUpstream, service: ScriptedUpstream
) -> None:
    config = binding(service, upstream_headers=["Remote-User", "X-Extra"])
    running = gateway(one_route(upstream.url, config), plugins=PLUGINS)
    forged = {"Remote-User": "admin", "remote_user": "admin", "X.Extra": "1", "Cookie": "a=b", "X-Other": "1"}

    assert running.request("PUT", "/a?b=c", headers=forged, body=b"x").status == 200
    sent, got = upstream.last, service.last
    assert (got.method, got.target, got.body) == ("GET", "/check", b"")
    assert (got.headers["cookie"], got.headers["x-forwarded-uri"]) == ("a=b", "/a?b=c")
    assert got.headers["x-forwarded-method"] == "PUT"
    assert "x-other" not in got.headers
    assert sent.headers.get_all("remote-user") == ["alice"]
    assert [name for name, _ in sent.headers.items() if "extra" in name.lower() or "_" in name] == []
    assert sent.body == b"x"


def test_what_may_be_copied_from_the_service_never_comes_from_the_client(
    gateway: StartGateway, upstream: ScriptedUpstream, service: ScriptedUpstream
) -> None:
    identity = {"subject": "X-Who", "groups": "X-Groups", "claims": {"email": "X-Mail"}}
    config = binding(service, upstream_headers=["X-Extra"], identity=identity)
    running = gateway(one_route(upstream.url, config), plugins=PLUGINS)
    forged = dict.fromkeys(("X-Who", "x_groups", "X.Mail", "X-EXTRA"), "forged")

    assert running.get("/", headers=forged).status == 200, "the service gives none of them"

    assert "forged" not in str(upstream.last.headers.items())


def test_a_name_is_reserved_while_the_service_is_only_tried_too(
    gateway: StartGateway, upstream: ScriptedUpstream, service: ScriptedUpstream
) -> None:
    tried = binding(service, upstream_headers=["X-Extra"]) | {"mode": "shadow"}
    running = gateway(one_route(upstream.url, tried), plugins=PLUGINS)

    assert running.get("/", headers={"Remote-User": "forged", "x_extra": "forged"}).status == 200

    assert "forged" not in str(upstream.last.headers.items())


def test_what_an_earlier_plugin_wrote_under_such_a_name_does_not_go_upstream_either(
    gateway: StartGateway, upstream: ScriptedUpstream, service: ScriptedUpstream
) -> None:
    class Copies(Plugin[None]):
        name = "copies"

        @hookimpl
        def gateway_pre_proxy(self, request: Request) -> None:
            request.headers["Remote-User"] = request.headers["X-Name"]

    service.answer_with(200)
    chain = [{"name": "copies"}, binding(service, upstream_headers=["Remote-User"])]
    running = gateway(one_route(upstream.url, *chain), plugins=[*PLUGINS, Copies])

    assert running.get("/", headers={"X-Name": "admin"}).status == 200

    assert "remote-user" not in upstream.last.headers


@pytest.mark.parametrize("names", ["default", "all"])
def test_the_service_gets_what_describes_the_request_from_the_gateway_only(
    gateway: StartGateway, upstream: ScriptedUpstream, service: ScriptedUpstream, names: str
) -> None:
    config = binding(service, **({} if names == "default" else {"request_headers": "all"}))
    running = gateway(one_route(upstream.url, config), plugins=PLUGINS)
    described = {
        "Method": "DELETE",
        "Proto": "http",
        "Host": f"127.0.0.1:{running.port}",
        "Uri": "/a?b",
        "For": "127.0.0.1",
    }
    others = ("Prefix", "Port", "Server", "Ssl", "Path", "User")
    forged = {f"X-Forwarded-{name}": "forged" for name in (*described, *others)}
    forged |= {
        "Forwarded": "for=forged",
        "X-Real-IP": "forged",
        "X-Original-URL": "forged",
        "X_Forwarded_Uri": "forged",
    }

    assert running.request("DELETE", "/a?b", headers=forged).status == 200

    got = service.last.headers
    assert {name: got.get_all(f"x-forwarded-{name}") for name in described} == {n: [v] for n, v in described.items()}
    assert "forged" not in str(got.items())


@pytest.mark.parametrize("status", [301, 302, 303, 401, 403, 404, 429])
def test_any_other_response_goes_to_the_client_and_no_redirect_is_followed(
    gateway: StartGateway, upstream: ScriptedUpstream, service: ScriptedUpstream, status: int
) -> None:
    running = gateway(one_route(upstream.url, binding(service)), plugins=PLUGINS)
    fields = [("Location", "/login"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("Content-Type", "text/html")]
    service.answer_with(status, "<p>no", fields)

    response = running.get("/")

    assert (response.status, response.body) == (status, b"<p>no")
    assert [response.headers.get_all(name) for name in ("location", "set-cookie")] == [["/login"], ["a=1", "b=2"]]
    assert response.headers["cache-control"] == "no-store"
    assert upstream.requests == []
    assert len(service.requests) == 1


@pytest.mark.parametrize("answer", [{"status": 500}, {"status": 503}, {"raw": b"nonsense\r\n\r\n"}, {"reset": True}])
def test_without_a_decision_nothing_passes(
    gateway: StartGateway, upstream: ScriptedUpstream, service: ScriptedUpstream, answer: dict[str, Any]
) -> None:
    running = gateway(one_route(upstream.url, binding(service)), plugins=PLUGINS)
    service.answer_with(**answer)

    response = running.get("/")

    assert (response.status, response.headers["retry-after"]) == (503, "1")
    assert upstream.requests == []
    metrics = running.metrics()
    assert 'decisions_total{binding="forward-auth",decision="unavailable",route="test"} 1' in metrics


def test_a_service_that_takes_too_long_or_is_away_does_not_let_pass(
    gateway: StartGateway, upstream: ScriptedUpstream, service: ScriptedUpstream
) -> None:
    service.answer_with(200, delay=60)
    slow = gateway(one_route(upstream.url, binding(service, timeout="50ms")), plugins=PLUGINS)
    away = {"name": "forward-auth", "config": {"target": "http://127.0.0.1:1"}}

    assert slow.get("/").status == 503
    assert gateway(one_route(upstream.url, away), plugins=PLUGINS).get("/").status == 503
    assert upstream.requests == []


def test_cookies_of_a_success_reach_the_client_beside_the_upstreams(
    gateway: StartGateway, upstream: ScriptedUpstream, service: ScriptedUpstream
) -> None:
    config = binding(service, client_headers=["X-Session-Ends"])
    running = gateway(one_route(upstream.url, config), plugins=PLUGINS)
    service.answer_with(202, headers=[*ALICE, ("Set-Cookie", "s=1"), ("Set-Cookie", "t=2"), ("X-Session-Ends", "5")])
    upstream.answer_with(200, headers=[("Set-Cookie", "own=3"), ("Cache-Control", "public, max-age=60")])

    response = running.get("/")

    assert response.headers.get_all("set-cookie") == ["own=3", "s=1", "t=2"]
    assert response.headers["x-session-ends"] == "5"
    assert response.headers.get_all("cache-control") == ["private, no-store"]
    assert "remote-user" not in response.headers


def test_a_body_is_sent_up_to_its_size(
    gateway: StartGateway, upstream: ScriptedUpstream, service: ScriptedUpstream
) -> None:
    config = binding(service, method="same", body={"max_size": 4})
    running = gateway(one_route(upstream.url, config), plugins=PLUGINS)

    statuses = [running.request("POST", "/", body=[piece]).status for piece in (b"abcd", b"abcde")]

    assert statuses == [200, 413]
    assert [(each.method, each.body) for each in service.requests] == [("POST", b"abcd")]
    assert [each.body for each in upstream.requests] == [b"abcd"]


def test_a_decision_is_kept_for_the_same_request_only(
    gateway: StartGateway, upstream: ScriptedUpstream, service: ScriptedUpstream, clock: ManualClock
) -> None:
    config = binding(service, cache={"ttl": "10s"}, upstream_headers=["Remote-User"])
    running = gateway(one_route(upstream.url, config), plugins=PLUGINS)

    def asks(method: str, target: str, cookie: str) -> int:
        before = len(service.requests)
        assert running.request(method, target, headers={"Cookie": cookie}).status == 200
        assert upstream.last.headers["remote-user"] == "alice"
        return len(service.requests) - before

    assert [asks("GET", "/a", "s=1") for _ in range(2)] == [1, 0]
    assert [asks("GET", "/a", "s=2"), asks("GET", "/b", "s=1"), asks("PUT", "/a", "s=1")] == [1, 1, 1]
    clock.advance(10)
    assert asks("GET", "/a", "s=1") == 1
    assert running.call("test/forward-auth", "forget") == 4
    assert asks("GET", "/a", "s=1") == 1


def test_refusals_and_decisions_with_cookies_are_not_kept(
    gateway: StartGateway, upstream: ScriptedUpstream, service: ScriptedUpstream
) -> None:
    running = gateway(one_route(upstream.url, binding(service, cache={"ttl": "10s"})), plugins=PLUGINS)
    service.answer_next(401)
    service.answer_next(200, headers=[*ALICE, ("Set-Cookie", "s=1")])

    assert [running.get("/").status for _ in range(4)] == [401, 200, 200, 200]
    assert len(service.requests) == 3


def test_it_goes_together_with_the_other_plugins(
    gateway: StartGateway, upstream: ScriptedUpstream, service: ScriptedUpstream, tmp_path: Path
) -> None:
    log = tmp_path / "access.log"
    token = {"Authorization": f"Bearer {jwt.encode({'sub': 'shop'}, SECRET, 'HS256')}"}
    chain = [
        {"name": "auth", "config": {"secret": SECRET}},
        binding(service, identity={"groups": "Remote-Groups"}),
        {"name": "authorize", "config": {"rule": {"groups": ["admins"]}}},
        {"name": "ratelimit", "config": {"quota": 1, "window": "1h", "key": "identity"}},
        {"name": "logger", "config": {"path": str(log), "fields": ["status", "identity", "refusal", "produced_by"]}},
    ]
    running = gateway(one_route(upstream.url, *chain), plugins=PLUGINS)

    statuses = [running.get("/", headers=token).status for _ in range(2)]
    service.answer_with(200, headers=[("Remote-User", "bob")])
    statuses.append(running.get("/", headers=token).status)
    service.answer_with(401)
    statuses += [running.get("/", headers=token).status, running.get("/").status]

    assert statuses == [200, 429, 403, 401, 401]
    eventually(lambda: log.exists() and log.read_text().count("\n") == 5)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(line.get("identity"), line.get("refusal"), line["produced_by"]) for line in lines] == [
        ("alice", None, "upstream"),
        ("alice", "ratelimit", "ratelimit"),
        ("bob", "rule-unknown", "authorize"),
        ("shop", "refused", "forward-auth"),
        (None, "missing", "auth"),
    ]


def oauth2_proxy(request: ReceivedRequest) -> UpstreamAnswer:
    """Respond as oauth2-proxy's documentation says of ``/oauth2/auth`` with ``--set-xauthrequest``."""
    if request.target != "/oauth2/auth":
        return UpstreamAnswer(404)
    if request.headers.get("cookie") != "_oauth2_proxy=valid":
        return UpstreamAnswer(401, "Unauthorized\n", [("Content-Type", "text/plain; charset=utf-8")])
    fields = [("X-Auth-Request-User", "alice"), ("X-Auth-Request-Groups", "a,b"), ("Set-Cookie", "_oauth2_proxy=new")]
    return UpstreamAnswer(202, "", fields)


def test_oauth2_proxy(gateway: StartGateway, upstream: ScriptedUpstream, service: ScriptedUpstream) -> None:
    service.answer_by(oauth2_proxy)
    identity = {"subject": "X-Auth-Request-User", "groups": "X-Auth-Request-Groups"}
    config = binding(service, upstream_headers=["X-Auth-Request-User"], identity=identity)
    config["config"] |= {"path": "/oauth2/auth", "sign_in": "/oauth2/sign_in?rd={url}"}
    running = gateway(one_route(upstream.url, config), plugins=PLUGINS)

    page = running.get("/a?b=c", headers=BROWSER)
    script = running.get("/a?b=c", headers={"Accept": "application/json"})
    session = running.get("/a", headers={"Cookie": "_oauth2_proxy=valid", "X-Auth-Request-User": "admin"})

    wanted = quote(f"http://127.0.0.1:{running.port}/a?b=c", safe="")
    assert (page.status, page.headers["location"]) == (302, f"/oauth2/sign_in?rd={wanted}")
    assert (script.status, script.body) == (401, b"Unauthorized\n")
    assert (session.status, session.headers["set-cookie"]) == (200, "_oauth2_proxy=new")
    assert upstream.last.headers.get_all("x-auth-request-user") == ["alice"]


def authelia(request: ReceivedRequest) -> UpstreamAnswer:
    """Respond as Authelia's documentation says of ``/api/authz/forward-auth``."""
    needed = ("x-forwarded-method", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-uri", "x-forwarded-for")
    if request.path != "/api/authz/forward-auth" or any(len(request.headers.get_all(name)) != 1 for name in needed):
        return UpstreamAnswer(400)
    if request.headers.get("cookie") == "authelia_session=valid":
        return UpstreamAnswer(200, "", [("Remote-User", "john"), ("Remote-Groups", "admins,dev"), ("Remote-Name", "J")])
    if "text/html" in request.headers.get("accept", "") and "x-requested-with" not in request.headers:
        url = f"http://{request.headers['x-forwarded-host']}{request.headers['x-forwarded-uri']}"
        return UpstreamAnswer(302, "", [("Location", f"https://auth.example.com/?rd={quote(url, safe='')}&rm=GET")])
    return UpstreamAnswer(401, "401 Unauthorized")


def test_authelia(gateway: StartGateway, upstream: ScriptedUpstream, service: ScriptedUpstream) -> None:
    service.answer_by(authelia)
    config = binding(service, upstream_headers=["Remote-User", "Remote-Groups"], identity={"groups": "Remote-Groups"})
    config["config"]["path"] = "/api/authz/forward-auth"
    rule = {"name": "authorize", "config": {"rule": {"groups": ["admins"]}}}
    running = gateway(one_route(upstream.url, config, rule), plugins=PLUGINS)

    page = running.get("/a?b=c", headers={**BROWSER, "X-Forwarded-Uri": "/forged"})
    script = running.get("/a", headers={**BROWSER, "X-Requested-With": "XMLHttpRequest"})
    session = running.get("/a", headers={"Cookie": "authelia_session=valid", "Remote-Groups": "root"})

    wanted = quote(f"http://127.0.0.1:{running.port}/a?b=c", safe="")
    assert (page.status, page.headers["location"]) == (302, f"https://auth.example.com/?rd={wanted}&rm=GET")
    assert (script.status, session.status) == (401, 200)
    assert upstream.last.headers.get_all("remote-groups") == ["admins,dev"]
