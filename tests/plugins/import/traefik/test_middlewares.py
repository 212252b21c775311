"""Middlewares as bindings of routes, and those that close them."""

# ruff: noqa: E501 - a configuration of Traefik a line
from __future__ import annotations

from typing import Any

import pytest

from tests.importing import import_text, losses, written

SERVICE = "  services: {s: {loadBalancer: {servers: [{url: 'http://10.0.0.1'}]}}}\n"


def imported(middlewares: str, names: str = "m", rule: str = "PathPrefix(`/a`)") -> Any:
    return import_text(
        "traefik",
        f"http:\n  routers: {{r: {{rule: '{rule}', service: s, middlewares: [{names}]}}}}\n{SERVICE}"
        f"  middlewares: {{{middlewares}}}\n",
    )


def route(middlewares: str, names: str = "m") -> dict[str, Any]:
    (found,) = written(imported(middlewares, names))["routes"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    ("middleware", "plugin", "config"),
    [
        ("ipWhiteList: {sourceRange: [10.0.0.0/8]}", "ip", {"allow": ["10.0.0.0/8"], "address": "peer"}),
        ("rateLimit: {average: 10, period: 1m, burst: 5}", "ratelimit", {"rate": 10, "per": "60s", "burst": 5, "key": ["peer_ip"]}),
        ("inFlightReq: {amount: 3}", "ratelimit", {"concurrency": 3, "key": ["host"]}),
        ("forwardAuth: {address: 'http://auth/x?y=1'}", "forward-auth", {"target": "http://auth", "path": "/x?y=1", "request_headers": "all"}),
        ("headers: {customRequestHeaders: {A: '{b}', C: ''}}", "headers", {"request": {"set": {"A": "{{b}}"}, "remove": ["C"]}}),
        ("headers: {frameDeny: true, stsSeconds: 5, stsPreload: true}", "headers", {"response": {"set": {"X-Frame-Options": "DENY", "Strict-Transport-Security": "max-age=5; preload"}}}),
        ("headers: {accessControlAllowOriginList: ['https://a'], accessControlMaxAge: 5}", "cors", {"origins": ["https://a"], "max_age": "5s"}),
    ],
)  # fmt: skip
def test_a_middleware_is_a_binding(middleware: str, plugin: str, config: dict[str, Any]) -> None:
    (binding,) = route(f"m: {{{middleware}}}")["plugins"]

    assert (binding["name"], binding["config"]) == (plugin, config)


@pytest.mark.parametrize(
    "middleware",
    [
        "digestAuth: {users: [a]}", "plugin: {waf: {}}", "other: {}", "basicAuth: {}", "ipAllowList: {}",
        "ipAllowList: {sourceRange: [10.0.0.0/8], ipStrategy: {depth: 1}}", "headers: {allowedHosts: [a]}",
        "replacePathRegex: {regex: a, replacement: b}", "redirectRegex: {regex: a, replacement: b}",
        "forwardAuth: {address: 'http://a', tls: {ca: x}}", "stripPrefix: {prefixes: [/b]}", "rateLimit: {average: 1, redis: {}}",
    ],
)  # fmt: skip
def test_a_middleware_or_an_option_without_counterpart_closes_the_route(middleware: str) -> None:
    found = imported(f"m: {{{middleware}}}")

    assert written(found)["routes"][0]["respond"] == {"status": 403}
    assert losses(found)[0][1].startswith("!")


def test_a_middleware_that_is_not_in_the_file_closes_the_route() -> None:
    assert route("n: {compress: {}}")["respond"] == {"status": 403}


def test_a_chain_is_its_middlewares_in_order_and_each_has_an_id() -> None:
    found = route("m: {chain: {middlewares: [a, b@file]}}, a: {rateLimit: {average: 1}}, b: {rateLimit: {average: 2}}")

    assert [(each.get("id"), each["config"]["rate"]) for each in found["plugins"]] == [(None, 1), ("ratelimit-2", 2)]


def test_a_chain_in_itself_closes_the_route() -> None:
    assert route("m: {chain: {middlewares: [m]}}")["respond"] == {"status": 403}


def test_hashes_of_passwords_are_variables() -> None:
    (binding,) = route("m: {basicAuth: {users: ['alice:$2y$05$abc'], removeHeader: true}}")["plugins"]

    provider = {
        "scheme": "basic",
        "users": [{"name": "alice", "password_hash": "<TRAEFIK_M_ALICE>"}],
        "hide_credentials": True,
    }
    assert binding["config"] == {"realm": "traefik", "providers": {"users": provider}}


def test_prefixes_are_stripped_and_added() -> None:
    found = route("a: {stripPrefix: {prefixes: [/a]}}, b: {addPrefix: {prefix: /x}}", "a, b")

    assert (found["path_regex"], found["rewrite"]) == ("(?=/a.*$)(?:/a)/?(?P<rest>.*)", {"template": "/x/:rest"})


def test_other_keys_of_a_route() -> None:
    found = route(
        "a: {retry: {attempts: 3}}, b: {buffering: {maxRequestBodyBytes: 9}}, c: {errors: {status: ['404', '500-599'], service: s, query: '/{status}'}}",
        "a, b, c",
    )

    assert found["retries"] == {"attempts": 2, "on": ["connect-failure", "reset"]}
    assert found["max_body_bytes"] == 9
    assert found["error_pages"][0]["statuses"] == [404, "500-599"]
