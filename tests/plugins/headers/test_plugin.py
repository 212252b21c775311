"""What upstreams and clients get, from a real gateway."""

from __future__ import annotations

from typing import Any

import jwt
import pytest
from gateway_plugin_auth import Auth
from gateway_plugin_headers import HeaderRules
from gateway_plugin_headers.config import RequestRules, ResponseRules
from gateway_plugin_headers.operations import additions_of, compile_rules
from gateway_plugin_logger import Logger
from gateway_plugin_ratelimit import RateLimit
from gateway_plugin_sdk import Request, Response
from gateway_plugin_sdk.testing import PluginHarness, one_route

SECRET = "a secret of more than thirty-two characters"
AUTH = {"name": "auth", "config": {"secret": SECRET}}


def headers(**config: Any) -> dict[str, Any]:
    return {"name": "headers", "config": config}


def received(gateway: Any, upstream: Any, rules: dict[str, Any], sent: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the fields that begin with ``x-`` as the upstream got them."""
    running = gateway(one_route(upstream.url, headers(request=rules)), plugins=[HeaderRules])
    running.get("/", headers=sent)
    ours = {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "x-request-id", "x-real-ip"}
    items = [(name.lower(), value) for name, value in upstream.last.headers.items()]
    return sorted(each for each in items if each[0].startswith("x-") and each[0] not in ours)


@pytest.mark.parametrize(
    ("rules", "sent", "expected"),
    [
        ({"set": {"X-A": "1"}}, [], [("x-a", "1")]),
        ({"set": {"X-A": "1"}}, [("X-A", "2"), ("x-a", "3")], [("x-a", "1")]),
        ({"set": {"X-A": "{query:gone}"}}, [("X-A", "2")], []),
        ({"default": {"X-A": "1"}}, [("X-A", "2")], [("x-a", "2")]),
        ({"default": {"X-A": "1"}}, [], [("x-a", "1")]),
        ({"add": {"X-A": "1"}}, [("X-A", "2")], [("x-a", "1"), ("x-a", "2")]),
        ({"append": {"X-A": "1"}}, [("X-A", "2"), ("X-A", "3")], [("x-a", "2, 3, 1")]),
        ({"append": {"X-A": "1"}}, [], [("x-a", "1")]),
        ({"remove": ["x-a", "X-Int-*"]}, [("X-A", "1"), ("x-int-b", "2"), ("X-Interim", "3")], [("x-interim", "3")]),
        ({"rename": {"X-A": "X-B"}}, [("X-A", "1"), ("X-A", "2"), ("X-B", "3")], [("x-b", "1"), ("x-b", "2")]),
        ({"rename": {"X-A": "X-B"}}, [("X-B", "3")], [("x-b", "3")]),
        ({"keep": ["x-k*"]}, [("X-Keep", "1"), ("X-Lose", "2")], [("x-keep", "1")]),
        ({"dedupe": {"X-A": "first"}}, [("X-A", "1"), ("X-A", "2")], [("x-a", "1")]),
        ({"dedupe": {"X-A": "last"}}, [("X-A", "1"), ("X-A", "2")], [("x-a", "2")]),
        ({"dedupe": {"X-A": "unique"}}, [("X-A", "1"), ("X-A", "2"), ("X-A", "1")], [("x-a", "1"), ("x-a", "2")]),
        (
            {"set": {"X-B": "3"}, "rename": {"X-A": "X-B"}, "remove": ["x-b"], "add": {"X-B": "{header:x-b}4"}},
            [("X-A", "1"), ("X-B", "2")],
            [("x-b", "3"), ("x-b", "34")],
        ),
    ],
)
def test_the_fields_of_a_request_are_changed_in_the_promised_order(
    gateway: Any, upstream: Any, rules: dict[str, Any], sent: list[tuple[str, str]], expected: list[tuple[str, str]]
) -> None:
    assert received(gateway, upstream, rules, sent) == expected


def test_what_frames_a_body_stays_whatever_is_kept(gateway: Any, upstream: Any) -> None:
    running = gateway(one_route(upstream.url, headers(request={"keep": ["x-a"]})), plugins=[HeaderRules])

    response = running.post("/", body=b"some text", headers={"Content-Type": "text/plain"})

    assert response.status == 200
    assert upstream.last.body == b"some text"
    assert upstream.last.headers["content-type"] == "text/plain"


def test_the_rules_of_responses_apply_by_status(gateway: Any, upstream: Any) -> None:
    rules = [
        {"set": {"X-All": "{status}"}},
        {"statuses": ["2xx"], "set": {"X-Good": "{method}"}},
        {"statuses": [404, "500-599"], "set": {"X-Bad": "{produced_by}"}, "remove": ["x-good"]},
    ]
    running = gateway(one_route(upstream.url, headers(response=rules)), plugins=[HeaderRules])

    found = {}
    for status in (200, 404, 503, 301):
        upstream.answer_with(status)
        fields = running.get("/").headers
        found[status] = {name: fields.get(name) for name in ("x-all", "x-good", "x-bad")}

    assert found == {
        200: {"x-all": "200", "x-good": "GET", "x-bad": None},
        404: {"x-all": "404", "x-good": None, "x-bad": "upstream"},
        503: {"x-all": "503", "x-good": None, "x-bad": "upstream"},
        301: {"x-all": "301", "x-good": None, "x-bad": None},
    }


def test_responses_of_the_gateway_and_of_plugins_get_the_fields_too(gateway: Any, upstream: Any) -> None:
    config = one_route(upstream.url, AUTH)
    config["plugins"] = [headers(security=True)]
    config["routes"][0]["path_prefix"] = "/api"
    running = gateway(config, plugins=[HeaderRules, Auth])

    refused, nowhere = running.get("/api"), running.get("/elsewhere")

    assert (refused.status, nowhere.status) == (401, 404)
    assert refused.headers["x-content-type-options"] == nowhere.headers["x-content-type-options"] == "nosniff"


def test_security_fields_go_out_where_the_upstream_sent_none(gateway: Any, upstream: Any) -> None:
    running = gateway(one_route(upstream.url, headers(security=True)), plugins=[HeaderRules])
    usual = running.get("/").headers
    upstream.answer_with(200, headers={"X-Frame-Options": "SAMEORIGIN"})

    own = running.get("/").headers

    assert usual["x-frame-options"] == "DENY"
    assert own.get_all("x-frame-options") == ["SAMEORIGIN"]
    assert own["referrer-policy"] == usual["referrer-policy"] == "strict-origin-when-cross-origin"
    assert "strict-transport-security" not in own  # never over plain HTTP (RFC 6797 section 7.2)


def test_hsts_goes_out_over_https_as_the_client_sees_it(gateway: Any, upstream: Any) -> None:
    security = {"hsts": {"max_age": "730d", "subdomains": True, "preload": True}, "override": True}
    config = {"trusted_proxies": ["127.0.0.1"], **one_route(upstream.url, headers(security=security))}
    upstream.answer_with(200, headers={"Strict-Transport-Security": "max-age=1"})
    running = gateway(config, plugins=[HeaderRules])

    secure = running.get("/", headers={"X-Forwarded-Proto": "https"}).headers

    assert secure.get_all("strict-transport-security") == ["max-age=63072000; includeSubDomains; preload"]


def test_what_names_an_upstreams_software_is_hidden(gateway: Any, upstream: Any) -> None:
    upstream.answer_with(200, headers={"Server": "Apache/2.2", "X-Powered-By": "PHP/5", "X-Other": "1"})
    running = gateway(one_route(upstream.url, headers(hide_server=True)), plugins=[HeaderRules])

    fields = running.get("/").headers

    assert {name.lower() for name in fields} >= {"x-other"}
    assert not {name.lower() for name in fields} & {"server", "x-powered-by"}


@pytest.mark.parametrize("mode", ["enforce", "shadow"])
def test_a_client_never_fills_in_what_is_said_of_the_caller(
    gateway: Any, upstream: Any, tmp_path: Any, mode: str
) -> None:
    rules = headers(request={"set": {"X-User": "{identity}", "X-Mail": "{claim:email}"}}) | {"mode": mode}
    limit = {"name": "ratelimit", "config": {"quota": 9, "window": "1h", "key": "identity"}}
    log = {"name": "logger", "config": {"path": str(tmp_path / "access.log")}}
    plugins = [HeaderRules, Auth, RateLimit, Logger]
    running = gateway(one_route(upstream.url, AUTH, rules, limit, log), plugins=plugins)
    token = jwt.encode({"sub": "alice"}, SECRET, "HS256")

    sent = {"Authorization": f"Bearer {token}", "X-User": "root", "x_user": "root", "X-Mail": "root@example.com"}
    response = running.get("/", headers=sent)

    assert response.status == 200
    found = {name.lower(): value for name, value in upstream.last.headers.items()}
    assert found.get("x-user") == ("alice" if mode == "enforce" else None)
    assert not {"x_user", "x-mail"} & found.keys()


def test_nothing_of_a_request_begins_another_line(gateway: Any, upstream: Any) -> None:
    rules = headers(request={"set": {"X-Q": "{query:q}"}}, response={"set": {"X-Q": "{query:q}"}})
    running = gateway(one_route(upstream.url, rules), plugins=[HeaderRules])

    response = running.get("/?q=a%0D%0AX-Evil:%201%00%E2%98%83")

    assert response.status == 200
    assert upstream.last.headers["x-q"] == response.headers["x-q"] == "a%0D%0AX-Evil: 1%00\u00e2\u0098\u0083"
    assert "x-evil" not in response.headers


FIXED = [
    {"set": {"X-A": "1"}, "remove": ["x-b"]},
    {"default": {"X-A": "1"}, "append": {"X-B": "2"}},
    {"add": {"X-A": "1"}, "rename": {"X-B": "X-C"}},
    {"dedupe": {"X-B": "first"}, "set": {"X-A": ""}},
    {"remove": ["x-b"]},
]


@pytest.mark.parametrize("rules", FIXED)
@pytest.mark.parametrize("came", [{}, {"X-A": "9"}, {"x-b": "8"}, {"X_A": "7"}, {"X-C": "6", "X-A": "5"}])
def test_what_fixed_rules_add_to_most_heads_is_what_their_steps_do(rules: dict[str, Any], came: dict[str, str]) -> None:
    for model in (RequestRules, ResponseRules):
        additions = additions_of(model.model_validate(rules))
        assert additions is not None
        quick, by_steps = Response(headers={"X-Z": "0"} | came), Response(headers={"X-Z": "0"} | came)

        for step in compile_rules(model.model_validate(rules)):
            step(by_steps.headers, Request("GET", "/"), by_steps)
        is_usual = quick.add_fields(additions.fields, additions.unless)

        assert not is_usual or quick.headers.items() == by_steps.headers.items()
        assert is_usual or came


@pytest.mark.parametrize(
    "rules",
    [
        {"keep": ["x-a"]},
        {"remove": ["x-*"]},
        {"set": {"X-A": "{client_ip}"}},
        {"set": {"X-A": "1"}, "add": {"x-a": "2"}},
    ],
)
def test_rules_that_depend_on_the_head_or_on_each_other_are_done_step_by_step(rules: dict[str, Any]) -> None:
    assert additions_of(RequestRules.model_validate(rules)) is None


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_announced_security_fields_are_what_the_response_gets(scheme: str) -> None:
    with PluginHarness(HeaderRules, {"security": True}) as harness:
        plugin, request = harness.plugin, Request("GET", "/", scheme=scheme)

        plugin.gateway_pre_proxy(request)

        announced, own = Response(), Response()
        announced.add_fields(*request.announced[plugin])
        plugin.gateway_response(request, own)
    assert list(announced.headers.items()) == list(own.headers.items()) != []


@pytest.mark.parametrize("more", [{"hide_server": True}, {"response": {"set": {"X-A": "1"}}}])
def test_nothing_is_announced_where_a_response_is_changed_otherwise(more: dict[str, Any]) -> None:
    with PluginHarness(HeaderRules, {"security": True, **more}) as harness:
        request = Request("GET", "/")

        harness.plugin.gateway_pre_proxy(request)

    assert request.announced == {}
