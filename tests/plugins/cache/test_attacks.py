"""Web cache poisoning and deception: the published techniques, as requests that must not change what others get."""

from __future__ import annotations

from typing import Any

import pytest
from gateway_plugin_sdk.testing import Answer, ReceivedRequest, StartGateway, UpstreamAnswer, one_route

from tests.plugins.cache.conftest import PLUGINS, CachedRoute

FRESH = [("Cache-Control", "max-age=60")]


def reflect(request: ReceivedRequest) -> UpstreamAnswer:
    """Respond as a framework does that trusts what it is sent: with every field and the body."""
    fields = "\n".join(f"{name}: {value}" for name, value in request.headers.items())
    return UpstreamAnswer(200, f"{request.target}\n{fields}\n{request.body.decode()}", FRESH)


def test_a_response_that_is_not_stored_does_not_keep_the_next_one_out(cached: CachedRoute) -> None:
    route = cached()
    route.upstream.answer_with(400, "an oversized field", FRESH)
    route.get("/")
    route.upstream.answer_with(200, "x", FRESH)
    route.get("/")

    assert not route.reaches_upstream("/")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Forwarded-Host", "poison.example"),
        ("X-Forwarded-Scheme", "poison"),
        ("X-Forwarded-Proto", "poison"),
        ("X-Forwarded-Port", "6666"),
        ("X-Forwarded-Prefix", "/poison"),
        ("X-Forwarded-Server", "poison.example"),
        ("X-Host", "poison.example"),
        ("X-HTTP-Host-Override", "poison.example"),
        ("Forwarded", "host=poison.example"),
        ("X-Original-URL", "/poison"),
        ("X-Rewrite-URL", "/poison"),
        ("X-Original-Host", "poison.example"),
        ("X-HTTP-Method-Override", "poison"),
        ("X-Method-Override", "poison"),
        ("X_Forwarded_Host", "poison.example"),
        ("Cookie", "lang=poison"),
        ("Range", "bytes=poison"),
    ],
)
def test_a_field_that_is_no_part_of_the_key_poisons_nothing(cached: CachedRoute, name: str, value: str) -> None:
    route = cached()
    route.upstream.answer_by(reflect)

    route.get("/", {name: value})

    reply = route.get("/")
    assert b"poison" not in reply.body
    assert b"6666" not in reply.body


def test_what_a_trusted_proxy_forwards_keeps_responses_apart(gateway: StartGateway, upstream: Any) -> None:
    config = one_route(upstream.url, {"name": "cache"})
    config["trusted_proxies"] = ["127.0.0.1"]
    running = gateway(config, plugins=PLUGINS)
    upstream.answer_by(reflect)

    running.get("/", headers={"X-Forwarded-Host": "poison.example"})

    assert b"poison" not in running.get("/", headers={"X-Forwarded-Host": "shop.example"}).body


def test_a_body_of_a_get_poisons_nothing(cached: CachedRoute) -> None:
    route = cached()
    route.upstream.answer_by(reflect)

    route.running.request("GET", "/", body=b"q=poison")

    assert b"poison" not in route.get("/").body


@pytest.mark.parametrize(
    "target", ["/?a=1&utm_content=x;a=poison", "/?a=1&a=poison", "/?a=1%26a=poison", "/;a=poison?a=1"]
)
def test_parameters_are_not_cloaked(cached: CachedRoute, target: str) -> None:
    route = cached(remove_query=["utm_*"])
    route.upstream.answer_by(reflect)

    route.get(target)

    assert b"poison" not in route.get("/?a=1").body


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("X-Oversized", "x" * 100, 431),
        ("X-Meta", "bad", 400),
        ("X-HTTP-Method-Override", "DELETE", 405),
        ("Accept", "x", 406),
    ],
)
def test_errors_that_one_request_causes_deny_no_other(cached: CachedRoute, name: str, value: str, status: int) -> None:
    route = cached()
    route.upstream.answer_by(
        lambda request: UpstreamAnswer(status if request.headers.get(name) == value else 200, "x", FRESH)
    )

    assert route.get("/", {name: value}).status == status
    assert route.get("/").status == 200


@pytest.mark.parametrize(
    "target",
    [
        "/account/x.css",
        "/account.css",
        "/account;x.css",
        "/account%3Bx.css",
        "/account%00x.css",
        "/account%0ax.css",
        "/account%23x.css",
        "/account%3Fx.css",
        "/account?x.css",
        "/static/..%2faccount",
        "/static/../account",
        "/account/%2e%2e/static/x.css",
        "//static/account",
        "/robots.txt/../account",
    ],
)
def test_a_private_page_is_not_stored_under_a_name_that_looks_static(cached: CachedRoute, target: str) -> None:
    route = cached(default_ttl="60s", heuristic_fraction=0.1)
    route.upstream.answer_by(lambda request: UpstreamAnswer(200, f"of {request.headers.get('cookie')}"))

    victim = route.get(target, {"Cookie": "session=victim"})

    assert b"victim" not in route.get(target).body
    assert victim.status in {200, 400}


def test_a_private_page_is_not_stored_for_credentials_either(cached: CachedRoute) -> None:
    route = cached(default_ttl="60s")
    route.upstream.answer_by(lambda request: UpstreamAnswer(200, f"of {request.headers.get('authorization')}"))

    def get(**fields: str) -> Answer:
        return route.get("/account/x.css", fields)

    get(Authorization="Bearer victim")

    assert b"victim" not in get().body
    assert b"victim" not in get(Authorization="Bearer other").body
