"""What clients and upstreams see of the cache."""

from __future__ import annotations

from gateway_plugin_sdk.testing import UpstreamAnswer

from tests.plugins.cache.conftest import CachedRoute

FRESH = [("Cache-Control", "max-age=60"), ("Content-Type", "text/plain"), ("ETag", '"1"')]


def test_a_fresh_response_is_sent_again_without_the_upstream(cached: CachedRoute) -> None:
    route = cached()
    route.upstream.answer_with(200, "one", FRESH)

    first = route.get("/a?b=1")
    route.pass_time(10)
    second = route.get("/a?b=1")

    assert (first.body, second.body, second.status) == (b"one", b"one", 200)
    assert len(route.upstream.requests) == 1
    assert second.headers["age"] == "10"
    assert first.headers["cache-status"] == "gateway; fwd=uri-miss; fwd-status=200; stored"
    assert second.headers["cache-status"] == "gateway; hit; ttl=50"
    assert second.headers["content-length"] == "3"
    assert second.headers.count("x-request-id") == 1
    assert second.headers["x-request-id"] != first.headers["x-request-id"]


def test_a_stale_response_is_validated_and_used_again(cached: CachedRoute) -> None:
    route = cached()
    route.upstream.answer_with(200, "one", FRESH)
    route.get("/")
    route.pass_time(61)
    route.upstream.answer_with(304, headers=[("Cache-Control", "max-age=100"), ("ETag", '"1"'), ("X-New", "1")])

    validated = route.get("/")
    route.pass_time(90)
    hit = route.get("/")

    assert (validated.status, validated.body, hit.body) == (200, b"one", b"one")
    assert len(route.upstream.requests) == 2
    assert route.upstream.last.headers["if-none-match"] == '"1"'
    assert validated.headers["cache-status"] == "gateway; fwd=stale; fwd-status=304; ttl=100"
    assert (hit.headers["x-new"], hit.headers["age"]) == ("1", "90")


def test_head_and_conditions_and_ranges_are_served_from_what_is_stored(cached: CachedRoute) -> None:
    route = cached()
    route.upstream.answer_with(200, "0123456789", FRESH)
    route.get("/")

    head = route.get("/", method="HEAD")
    known = route.get("/", {"If-None-Match": '"1"'})
    part = route.get("/", {"Range": "bytes=2-4"})
    parts = route.get("/", {"Range": "bytes=0-0,9-9"})
    none = route.get("/", {"Range": "bytes=20-"})

    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", "10")
    assert (known.status, known.body, known.headers["etag"]) == (304, b"", '"1"')
    assert (part.status, part.body, part.headers["content-range"]) == (206, b"234", "bytes 2-4/10")
    assert parts.status == 206
    assert parts.headers["content-type"].startswith("multipart/byteranges; boundary=")
    assert (none.status, none.headers["content-range"]) == (416, "bytes */10")
    assert len(route.upstream.requests) == 1


def test_unsafe_methods_drop_what_is_stored(cached: CachedRoute) -> None:
    route = cached()
    route.upstream.answer_with(200, "one", FRESH)
    route.get("/a")
    route.get("/b")

    route.upstream.answer_with(204, headers=[("Content-Location", "/b")])
    assert route.get("/a", method="DELETE").status == 204

    route.upstream.answer_with(200, "two", FRESH)
    assert (route.get("/a").body, route.get("/b").body) == (b"two", b"two")


def test_stale_while_revalidate_sends_the_old_response_and_fetches_the_new_one(cached: CachedRoute) -> None:
    route = cached()
    route.upstream.answer_with(200, "one", [("Cache-Control", "max-age=10, stale-while-revalidate=60")])
    route.get("/")
    route.pass_time(20)
    route.upstream.answer_with(200, "two", FRESH)

    stale = route.get("/")
    route.upstream.wait_for(2)
    route.running.settle()

    assert (stale.body, stale.headers["cache-status"]) == (b"one", "gateway; hit; ttl=-10")
    assert route.get("/").body == b"two"
    assert len(route.upstream.requests) == 2


def test_stale_if_error_sends_the_old_response_where_the_upstream_fails(cached: CachedRoute) -> None:
    route = cached()
    route.upstream.answer_with(200, "one", [("Cache-Control", "max-age=10, stale-if-error=60")])
    route.get("/")
    route.pass_time(20)
    route.upstream.answer_with(503, "away")

    stale = route.get("/")
    route.pass_time(60)

    assert (stale.status, stale.body) == (200, b"one")
    assert "detail=stale-if-error" in stale.headers["cache-status"]
    assert route.get("/").status == 503


def test_purges_by_url_tag_and_prefix(cached: CachedRoute) -> None:
    route = cached()
    route.upstream.answer_by(lambda request: _answer(request.path, [*FRESH, ("Cache-Tag", f"all,{request.path[1:]}")]))
    for path in ("/a", "/b", "/c/1", "/c/2"):
        assert "cache-tag" not in route.get(path).headers

    assert route.running.call("test/cache", "purge", url="/a") == 1
    assert route.running.call("test/cache", "purge", tag="b") == 1
    assert route.running.call("test/cache", "purge", prefix="/c/") == 2
    assert [route.reaches_upstream(path) for path in ("/a", "/b", "/c/1", "/c/2")] == [True] * 4
    assert route.running.call("test/cache", "purge", tag="all", soft=True) == 4
    assert [route.reaches_upstream(path) for path in ("/a", "/b")] == [True] * 2
    assert route.running.call("test/cache", "stats")["entries"] == 4


def test_a_soft_purge_has_a_response_validated_before_it_is_used_even_meanwhile(cached: CachedRoute) -> None:
    route = cached()
    route.upstream.answer_with(200, "one", [("Cache-Control", "max-age=60, stale-while-revalidate=60")])
    route.get("/")
    route.running.call("test/cache", "purge", soft=True)
    route.upstream.answer_with(200, "two", FRESH)

    assert route.get("/").body == b"two"


def test_a_304_for_another_version_changes_nothing_that_is_stored(cached: CachedRoute) -> None:
    route = cached()
    route.upstream.answer_with(200, "one", FRESH)
    route.get("/")
    route.pass_time(61)
    route.upstream.answer_with(304, headers=[("Cache-Control", "max-age=100"), ("ETag", '"2"')])

    reply = route.get("/")
    route.upstream.answer_with(200, "two", [("Cache-Control", "max-age=60"), ("ETag", '"2"')])

    assert (reply.body, reply.headers["etag"]) == (b"one", '"1"')
    assert route.get("/").body == b"two"


def _answer(body: str, headers: list[tuple[str, str]]) -> UpstreamAnswer:
    return UpstreamAnswer(200, body, headers)
