"""What browsers get, from a real gateway."""

from __future__ import annotations

from typing import Any

import jwt
import pytest
from gateway_plugin_auth import Auth
from gateway_plugin_cors import Cors
from gateway_plugin_logger import Logger
from gateway_plugin_ratelimit import RateLimit
from gateway_plugin_sdk import Request, Response
from gateway_plugin_sdk.testing import PluginHarness, one_route

APP = "https://app.example.com"
EVIL = "https://evil.test"
SECRET = "a secret of more than thirty-two characters"
AUTH = {"name": "auth", "config": {"secret": SECRET}}


def cors(**config: Any) -> dict[str, Any]:
    return {"name": "cors", "config": {"origins": [APP], **config}}


def preflight(running: Any, origin: str = APP, method: str = "PUT", path: str = "/", **more: str) -> Any:
    headers = {"Origin": origin, "Access-Control-Request-Method": method}
    headers |= {name.replace("_", "-"): value for name, value in more.items()}
    return running.request("OPTIONS", path, headers=headers)


def own_fields(response: Any) -> dict[str, str]:
    return {
        name.lower(): value for name, value in response.headers.items() if name.lower().startswith("access-control")
    }


@pytest.fixture
def running(gateway: Any, upstream: Any) -> Any:
    return gateway(
        one_route(upstream.url, cors(credentials=True, max_age="10m"), methods=["GET", "PUT"]), plugins=[Cors]
    )


def test_a_preflight_gets_its_response_on_a_route_without_options(running: Any, upstream: Any) -> None:
    response = preflight(running, Access_Control_Request_Headers="X-Token, content-type")

    assert response.status == 204
    assert own_fields(response) == {
        "access-control-allow-origin": APP,
        "access-control-allow-credentials": "true",
        "access-control-allow-methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
        "access-control-allow-headers": "X-Token, content-type",
        "access-control-max-age": "600",
    }
    assert response.headers["vary"] == "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
    assert upstream.requests == []


@pytest.mark.parametrize(
    ("config", "asked"),
    [
        ({}, {"origin": EVIL}),
        ({}, {"origin": "null"}),
        ({}, {"method": "PURGE"}),
        ({"methods": ["GET"]}, {"method": "DELETE"}),
        ({"headers": ["content-type"]}, {"Access_Control_Request_Headers": "content-type,x-secret"}),
        ({}, {"Access_Control_Request_Private_Network": "true"}),
        ({}, {"Access_Control_Request_Headers": "x" * 5000}),
    ],
)
def test_what_is_not_allowed_gets_no_field(gateway: Any, upstream: Any, config: Any, asked: dict[str, str]) -> None:
    running = gateway(one_route(upstream.url, cors(**config)), plugins=[Cors])

    response = preflight(running, **asked)

    assert (response.status, own_fields(response)) == (204, {})
    assert "Origin" in response.headers["vary"]
    assert upstream.requests == []


def test_a_private_network_is_reached_only_where_it_is_allowed(gateway: Any, upstream: Any) -> None:
    running = gateway(one_route(upstream.url, cors(private_network=True)), plugins=[Cors])

    response = preflight(running, Access_Control_Request_Private_Network="true")

    assert response.headers["access-control-allow-private-network"] == "true"


def test_an_allowed_origin_may_read_the_response_and_another_may_not(running: Any) -> None:
    allowed, refused = (running.get("/", headers={"Origin": origin}) for origin in (APP, EVIL))

    assert own_fields(allowed) == {"access-control-allow-origin": APP, "access-control-allow-credentials": "true"}
    assert own_fields(refused) == {}
    assert allowed.status == refused.status == 200


def test_caches_are_shown_that_the_origin_counts_also_where_there_was_none(running: Any, upstream: Any) -> None:
    upstream.answer_with(200, headers={"Vary": "Accept"})

    assert running.get("/").headers.get_all("vary") == ["Accept", "Origin"]
    upstream.answer_with(200, headers={"Vary": "accept, origin"})
    assert running.get("/").headers.get_all("vary") == ["accept, origin"]
    upstream.answer_with(200, headers={"Vary": "*"})
    assert running.get("/").headers.get_all("vary") == ["*"]


def test_everybody_may_where_nothing_depends_on_the_origin(gateway: Any, upstream: Any) -> None:
    running = gateway(one_route(upstream.url, cors(origins=["*"], expose=["X-Total"])), plugins=[Cors])

    response = running.get("/", headers={"Origin": EVIL})

    assert own_fields(response) == {"access-control-allow-origin": "*", "access-control-expose-headers": "X-Total"}
    assert "vary" not in response.headers


def test_the_upstreams_own_fields_are_removed(running: Any, upstream: Any) -> None:
    upstream.answer_with(200, headers={"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Credentials": "true"})

    assert running.get("/", headers={"Origin": APP}).headers.get_all("access-control-allow-origin") == [APP]
    assert own_fields(running.get("/", headers={"Origin": EVIL})) == {}


def test_several_origins_are_none(running: Any) -> None:
    head = f"GET / HTTP/1.1\r\nHost: a\r\nOrigin: {APP}\r\nOrigin: {EVIL}\r\nConnection: close\r\n\r\n"

    response = running.raw(head.encode())

    assert b" 200 " in response
    assert b"access-control" not in response.lower()


def test_forwarded_preflights_are_the_upstreams_with_our_fields(gateway: Any, upstream: Any) -> None:
    running = gateway(one_route(upstream.url, cors(forward_preflights=True)), plugins=[Cors])
    upstream.answer_with(200, headers={"Allow": "GET, PUT", "Access-Control-Allow-Origin": "*"})

    response = preflight(running)

    assert response.headers.get_all("access-control-allow-origin") == [APP]
    assert response.headers["allow"] == "GET, PUT"
    assert [request.method for request in upstream.requests] == ["OPTIONS"]


def test_an_options_request_that_is_no_preflight_goes_on(gateway: Any, upstream: Any) -> None:
    running = gateway(one_route(upstream.url, cors()), plugins=[Cors])

    running.request("OPTIONS", "/", headers={"Origin": APP})

    assert [request.method for request in upstream.requests] == ["OPTIONS"]


@pytest.mark.parametrize("is_first", [True, False])
def test_preflights_come_before_access_control_and_a_page_can_read_its_401(
    gateway: Any, upstream: Any, tmp_path: Any, is_first: bool
) -> None:
    limit = {"name": "ratelimit", "config": {"quota": 5, "window": "1h", "key": "identity"}}
    log = {"name": "logger", "config": {"path": str(tmp_path / "access.log")}}
    chain = [cors(), AUTH] if is_first else [AUTH, cors()]
    config = one_route(upstream.url, *chain, limit, log)
    running = gateway(config, plugins=[Cors, Auth, RateLimit, Logger])
    token = jwt.encode({"sub": "alice"}, SECRET, "HS256")

    allowed = preflight(running)
    refused = running.get("/", headers={"Origin": APP})
    passed = running.get("/", headers={"Origin": APP, "Authorization": f"Bearer {token}"})

    assert (allowed.status, refused.status, passed.status) == (204, 401, 200)
    assert {each.headers["access-control-allow-origin"] for each in (allowed, refused, passed)} == {APP}
    assert [request.method for request in upstream.requests] == ["GET"]


def test_what_clients_send_is_remembered_within_bounds(gateway: Any, upstream: Any) -> None:
    with PluginHarness(Cors, {"origins": [APP]}) as harness:
        for number in range(1500):
            harness.request("GET", "/", headers={"Origin": f"https://{number}.evil.test"})
        kept = len(harness.plugin._known)

    assert 0 < kept <= 1024


def test_what_a_client_makes_long_is_not_remembered() -> None:
    with PluginHarness(Cors, {"origins": ["*"]}) as harness:
        for sent in ("https://" + "a" * 1000, "https://a"):
            harness.request("GET", "/", headers={"Origin": sent})

        assert len(harness.plugin._known) == 1  # the short one: bounded by number, and each by its length


@pytest.mark.parametrize("origins", [[APP], ["*"]])
@pytest.mark.parametrize("headers", [{}, {"Origin": APP}, {"Origin": EVIL}])
def test_what_is_announced_at_the_match_is_what_the_response_gets(origins: list[str], headers: dict[str, str]) -> None:
    with PluginHarness(Cors, {"origins": origins}) as harness:
        plugin, request = harness.plugin, Request("GET", "/", headers)

        plugin.gateway_route_match(request, None)

        announced, own = Response(), Response()
        announced.add_fields(*request.announced[plugin])
        plugin.gateway_response(Request("GET", "/", headers), own)
    assert list(announced.headers.items()) == list(own.headers.items())
