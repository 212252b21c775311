"""What a cache must not do, whatever an upstream or a client sends."""

from __future__ import annotations

import http.client
from collections.abc import Sequence
from typing import Any

import pytest
from gateway_plugin_sdk.testing import (
    ScriptedUpstream,
    StartGateway,
    UpstreamAnswer,
    one_route,
)

from tests.plugins.cache.conftest import PLUGINS, CachedRoute

FRESH = [("Cache-Control", "max-age=60"), ("ETag", '"1"')]
SECRET = "a secret of more than thirty-two characters"


def echo(*fields: tuple[str, str]) -> Any:
    """Return a script whose body is the request's number."""
    numbers = iter(range(1, 1000))
    return lambda _: UpstreamAnswer(200, str(next(numbers)), [*FRESH, *fields])


# -- the key


def test_scheme_host_path_and_query_keep_responses_apart(cached: CachedRoute) -> None:
    route = cached()
    route.upstream.answer_by(echo())

    bodies = [
        route.get("/a").body,
        route.get("/a", {"Host": "other.example"}).body,
        route.get("/a", {"Host": "other.example:81"}).body,
        route.get("/A").body,
        route.get("/a?x=1").body,
        route.get("/a?x=2").body,
        route.get("/a;x").body,
        route.get("/a/").body,
        route.get("//a").body,
        route.get("/a%2e").body,
    ]

    assert len(set(bodies)) == len(bodies)
    assert route.get("/a", {"Host": "OTHER.example"}).body == bodies[1]


def test_targets_and_routes_keep_responses_apart(gateway: StartGateway, upstream: ScriptedUpstream) -> None:
    upstream.answer_by(echo())
    routes = [
        {
            "id": "beta",
            "path": "/a",
            "headers": {"X-Beta": "1"},
            "target": upstream.url,
            "rewrite": {"template": "/beta"},
        },
        {"id": "rest", "path_prefix": "/", "target": upstream.url},
    ]
    running = gateway({"plugins": [{"name": "cache"}], "routes": routes}, plugins=PLUGINS)

    plain, beta = running.get("/a"), running.get("/a", headers={"X-Beta": "1"})

    assert (plain.body, beta.body) == (b"1", b"2")
    assert running.get("/a").body == b"1"
    assert running.get("/a", headers={"X-Beta": "1"}).body == b"2"
    assert [each.target for each in upstream.requests] == ["/a", "/beta"]


def test_bindings_keep_responses_apart(gateway: StartGateway, upstream: ScriptedUpstream) -> None:
    upstream.answer_by(echo())
    routes = [
        {"id": name, "path": "/a", "hosts": [name], "target": upstream.url, "plugins": [{"name": "cache"}]}
        for name in ("one.example", "two.example")
    ]
    running = gateway({"routes": routes}, plugins=PLUGINS)

    assert [running.get("/a", headers={"Host": f"{name}.example"}).body for name in ("one", "two", "one")] == [
        b"1", b"2", b"1",
    ]  # fmt: skip


def test_request_fields_that_plugins_write_count_as_vary(cached: CachedRoute) -> None:
    written = {"name": "headers", "config": {"request": {"set": {"X-Kind": "{header:X-In}"}}}}
    route = cached(before=[written])
    route.upstream.answer_by(echo())

    assert [route.get("/", {"X-In": value}).body for value in ("a", "b", "a")] == [b"1", b"2", b"1"]


# -- what is not stored unless it is configured


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT")],
        [("Cache-Control", "public")],
        [("Cache-Control", "no-store, max-age=60")],
        [("Cache-Control", "private, max-age=60")],
        [("Cache-Control", 'private="x-a", max-age=60')],
        [("Cache-Control", "max-age=0")],
        [("Cache-Control", "max-age=60"), ("Set-Cookie", "a=1")],
        [("Cache-Control", "max-age=60, public"), ("Set-Cookie", "a=1")],
        [("Cache-Control", "max-age=60"), ("Vary", "*")],
        [("Cache-Control", "max-age=60"), ("Vary", "Accept, X-Forwarded-For")],
        [("Cache-Control", "max-age=60"), ("Vary", "X-Request-Id")],
        [("Expires", "0")],
        [("Expires", "Sun, 06 Nov 1994 08:49:37 GMT")],
    ],
)
def test_what_does_not_say_that_it_may_be_stored_is_not(cached: CachedRoute, fields: Sequence[tuple[str, str]]) -> None:
    route = cached()
    route.upstream.answer_with(200, "x", fields)
    route.get("/")

    assert route.reaches_upstream("/")


@pytest.mark.parametrize("status", [206, 400, 401, 407, 413, 414, 416, 418, 421, 429, 431, 500, 501, 502, 503, 504])
def test_statuses_that_depend_on_more_than_the_url_are_not_stored(cached: CachedRoute, status: int) -> None:
    route = cached()
    route.upstream.answer_with(status, "x", [*FRESH, *([("Content-Range", "bytes 0-0/1")] if status == 206 else [])])

    assert route.get("/").status == status
    assert route.reaches_upstream("/")


def test_statuses_that_are_listed_are_stored(cached: CachedRoute) -> None:
    route = cached(statuses=[503])
    route.upstream.answer_with(503, "x", FRESH)
    route.get("/")

    assert not route.reaches_upstream("/")


def test_requests_with_cookies_pass_by_unless_it_is_configured(cached: CachedRoute) -> None:
    route = cached()
    route.upstream.answer_by(echo())
    assert route.get("/", {"Cookie": "a=1"}).headers["cache-status"] == "gateway; fwd=bypass; detail=cookie"
    assert route.get("/").body == b"2"
    assert route.get("/", {"Cookie": "a=1"}).body == b"3"

    ignoring = cached(cookies="ignore")
    assert ignoring.get("/").body == ignoring.get("/", {"Cookie": "a=1"}).body

    by_cookie = cached(cookies=["lang"])
    first = by_cookie.get("/", {"Cookie": "lang=de; s=1"}).body
    assert by_cookie.get("/", {"Cookie": "s=2; lang=de"}).body == first
    assert by_cookie.get("/", {"Cookie": "lang=en"}).body != first


def test_set_cookie_can_be_removed_from_what_is_stored(cached: CachedRoute) -> None:
    route = cached(set_cookie="remove")
    route.upstream.answer_with(200, "x", [*FRESH, ("Set-Cookie", "a=1")])

    assert route.get("/").headers["set-cookie"] == "a=1"
    again = route.get("/")
    assert "set-cookie" not in again.headers
    assert "hit" in again.headers["cache-status"]


def test_lifetimes_can_be_configured_and_guessed(cached: CachedRoute) -> None:
    route = cached(default_ttl="10s")
    route.upstream.answer_with(200, "x")
    route.get("/")
    assert not route.reaches_upstream("/")
    route.pass_time(11)
    assert route.reaches_upstream("/")

    guessing = cached(heuristic_fraction=0.1)
    # The clock stands at 2023-11-14 22:13:20 UTC.
    guessing.upstream.answer_with(200, "x", [("Last-Modified", "Tue, 14 Nov 2023 22:11:40 GMT"),
                                             ("Date", "Tue, 14 Nov 2023 22:13:20 GMT")])  # fmt: skip
    guessing.get("/")
    assert not guessing.reaches_upstream("/")
    guessing.pass_time(11)
    assert guessing.reaches_upstream("/")


def test_no_status_of_the_list_gets_a_configured_lifetime(cached: CachedRoute) -> None:
    route = cached(default_ttl="10s", heuristic_fraction=0.5)
    route.upstream.answer_with(302, headers=[("Location", "/b")])
    route.get("/")

    assert route.reaches_upstream("/")


def test_max_stale_of_clients_is_ignored(cached: CachedRoute) -> None:
    route = cached()
    route.upstream.answer_with(200, "x", FRESH)
    route.get("/")
    route.pass_time(61)

    assert route.reaches_upstream("/", {"Cache-Control": "max-stale=1000"})


@pytest.mark.parametrize(
    "field",
    ["X-HTTP-Method-Override", "X-Method-Override", "x_http_method_override", "X-HTTP-Method"],
)
def test_method_overrides_bypass(cached: CachedRoute, field: str) -> None:
    route = cached()
    route.upstream.answer_by(echo())
    route.get("/", {field: "POST"})

    assert route.get("/").body == b"2"
    assert route.get("/", {field: "POST"}).body == b"3"


def test_a_method_override_in_the_query_bypasses(cached: CachedRoute) -> None:
    route = cached()
    route.upstream.answer_by(echo())

    assert [route.get("/?_method=DELETE").body for _ in range(2)] == [b"1", b"2"]


def test_get_with_a_body_bypasses(cached: CachedRoute) -> None:
    route = cached()
    route.upstream.answer_by(echo())

    bodies = [route.running.request("GET", "/", body=body).body for body in (b"q=1", b"q=2", b"", b"q=1")]

    assert bodies == [b"1", b"2", b"3", b"4"]
    assert route.get("/").body == b"3"


# -- what the gateway adds


def test_what_the_gateway_and_its_plugins_add_for_one_request_is_not_stored(cached: CachedRoute) -> None:
    cors = {"name": "cors", "config": {"origins": ["https://a.example", "https://b.example"]}}
    limit = {"name": "ratelimit", "config": {"rate": 100, "burst": 100}}
    route = cached(behind=[limit, cors])
    route.upstream.answer_with(200, "x", [*FRESH, ("Access-Control-Allow-Origin", "*"), ("X-Request-Id", "upstreams")])
    first = route.get("/", {"Origin": "https://a.example"})

    again = route.get("/", {"Origin": "https://a.example"})

    assert len(route.upstream.requests) == 1
    assert "ratelimit" in first.headers
    assert [name for name in again.headers if "ratelimit" in name.lower()] == []
    assert again.headers.get_all("access-control-allow-origin") == ["https://a.example"]
    assert again.headers.get_all("x-request-id") != first.headers.get_all("x-request-id")
    assert "upstreams" not in again.headers.get_all("x-request-id")
    assert route.get("/", {"Origin": "https://c.example"}).headers.get_all("access-control-allow-origin") == []


def test_sticky_cookies_are_not_stored_and_keep_nothing_from_being_stored(
    gateway: StartGateway, upstream: ScriptedUpstream
) -> None:
    config = one_route("u", {"name": "cache"})
    config["upstreams"] = [{"name": "u", "endpoints": [{"url": upstream.url}], "sticky_cookie": {"name": "s"}}]
    running = gateway(config, plugins=PLUGINS)
    upstream.answer_with(200, "x", FRESH)

    first, second = running.get("/"), running.get("/")

    assert "set-cookie" in first.headers
    assert "set-cookie" not in second.headers
    assert len(upstream.requests) == 1


# -- bounds


def test_variants_of_a_url_are_bounded(cached: CachedRoute) -> None:
    route = cached(max_variants=3)
    route.upstream.answer_by(echo(("Vary", "Accept-Language")))
    for number in range(10):
        route.get("/", {"Accept-Language": f"l{number}"})

    assert route.running.call("test/cache", "stats")["entries"] == 3
    assert not route.reaches_upstream("/", {"Accept-Language": "l9"})


def test_responses_with_too_many_tags_are_not_stored(cached: CachedRoute) -> None:
    route = cached(max_tags=2)
    route.upstream.answer_with(200, "x", [*FRESH, ("Cache-Tag", "a,b,c")])
    route.get("/")

    assert route.reaches_upstream("/")


def test_ranges_of_a_request_are_bounded(cached: CachedRoute) -> None:
    route = cached(max_ranges=2)
    route.upstream.answer_with(200, "0123456789", FRESH)
    route.get("/")

    assert route.get("/", {"Range": "bytes=0-0,2-2,4-4"}).status == 200
    assert route.get("/", {"Range": "bytes=0-0,2-2"}).status == 206


def test_a_range_that_is_not_stored_never_fetches_the_whole(cached: CachedRoute) -> None:
    route = cached()
    route.upstream.answer_with(206, "0", [*FRESH, ("Content-Range", "bytes 0-0/10")])

    replies = [route.get("/", {"Range": "bytes=0-0"}) for _ in range(2)]

    assert [each.status for each in replies] == [206, 206]
    assert [each.headers.get("range") for each in route.upstream.requests] == ["bytes=0-0"] * 2
    route.upstream.answer_with(200, "whole", FRESH)
    assert route.get("/").body == b"whole"


def test_bodies_over_the_limit_pass_and_are_not_stored(cached: CachedRoute) -> None:
    route = cached(max_body=10)
    route.upstream.answer_with(200, "0123456789a", FRESH)
    assert [route.get("/a").body for _ in range(2)] == [b"0123456789a"] * 2

    route.upstream.answer_with(200, [b"01234", b"56789", b"a"], FRESH)
    assert [route.get("/b").body for _ in range(2)] == [b"0123456789a"] * 2
    assert len(route.upstream.requests) == 4


def test_what_is_cut_off_is_not_stored(cached: CachedRoute) -> None:
    route = cached()
    head = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n"
    route.upstream.answer_with(raw=head + b"Content-Length: 10\r\n\r\n012")
    with pytest.raises((http.client.HTTPException, OSError)):
        route.get("/a")
    route.upstream.answer_with(raw=head + b"Transfer-Encoding: chunked\r\n\r\n3\r\n012\r\n")
    with pytest.raises((http.client.HTTPException, OSError)):
        route.get("/b")

    route.upstream.answer_with(200, "whole")
    assert [route.get(path).body for path in ("/a", "/b")] == [b"whole", b"whole"]


def test_an_unsafe_request_drops_what_is_stored_without_the_parameters_that_do_not_count(cached: CachedRoute) -> None:
    route = cached(remove_query=["utm_*"])
    route.upstream.answer_with(200, "x", FRESH)
    for target in ("/?a=1", "/b"):
        route.get(target)

    route.upstream.answer_with(201, "", [("Location", "/b?utm_campaign=2")])
    route.get("/?utm_source=1&a=1", method="POST")

    assert [route.reaches_upstream(target) for target in ("/?a=1", "/b")] == [True, True]


def test_query_parameters_that_do_not_count_do_not_reach_the_upstream_either(cached: CachedRoute) -> None:
    route = cached(remove_query=["utm_*", "gclid"])
    route.upstream.answer_by(echo())

    bodies = [route.get(target).body for target in ("/?a=1&utm_source=x", "/?gclid=y&a=1", "/?a=1", "/?a=1&gclid2=z")]

    assert bodies == [b"1", b"1", b"1", b"2"]
    assert [each.target for each in route.upstream.requests] == ["/?a=1", "/?a=1&gclid2=z"]
