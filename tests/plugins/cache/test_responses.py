from __future__ import annotations

from gateway_plugin_cache.config import CacheConfig
from gateway_plugin_cache.entries import Entry
from gateway_plugin_cache.freshness import policy_of
from gateway_plugin_cache.request_control import PLAIN, RequestControl
from gateway_plugin_cache.responses import Responder
from gateway_plugin_sdk import Headers

POLICY = policy_of(Headers([("Cache-Control", "max-age=60")]), 200, 0.0, CacheConfig())
FIELDS = [("ETag", '"1"'), ("Content-Type", "text/plain"), ("Cache-Tag", "t"), ("Last-Modified", "x")]


def entry(status: int = 200) -> Entry:
    return Entry("http://a/", (), (), status, Headers(FIELDS), b"0123456789", POLICY, 100.0, frozenset("t"), False)


def responder(name: str | None = "gateway") -> Responder:
    return Responder(name, 2, ("Cache-Tag",))


def test_the_response_to_plain_requests_is_made_once_a_second() -> None:
    stored, made = entry(), responder()

    first = made.hit(stored, 105.2)

    assert made.hit(stored, 105.9) is first
    later = made.hit(stored, 106.0)
    assert later is not first
    assert [each.headers["age"] for each in (first, later)] == ["5", "6"]
    assert later.headers["cache-status"] == "gateway; hit; ttl=54"
    assert "cache-tag" not in later.headers


def test_without_a_name_there_is_no_cache_status() -> None:
    assert "cache-status" not in responder(None).hit(entry(), 101.0).headers


def test_conditions_and_ranges_are_for_200_alone() -> None:
    control = RequestControl(has_range=True, is_conditional=True)
    fields = Headers({"If-None-Match": '"1"', "Range": "bytes=0-1"})

    assert responder().reply(entry(404), "GET", fields, control, 101.0, "hit").status == 404
    assert responder().reply(entry(), "GET", fields, control, 101.0, "hit").status == 304


def test_a_part_is_sent_only_of_the_version_that_the_client_has() -> None:
    control = RequestControl(has_range=True)

    def status(**fields: str) -> int:
        headers = Headers([(name.replace("_", "-"), value) for name, value in fields.items()])
        return responder().reply(entry(), "GET", headers, control, 101.0, "hit").status

    assert status(Range="bytes=0-1") == 206
    assert status(Range="bytes=0-1", If_Range='"1"') == 206
    assert status(Range="bytes=0-1", If_Range='"2"') == 200
    assert status(Range="bytes=0-1", If_Range='W/"1"') == 200
    assert status(Range="items=0-1") == 200
    assert status(Range="bytes=10-") == 416


def test_a_304_has_the_fields_that_caches_of_clients_update() -> None:
    control = RequestControl(is_conditional=True)

    response = responder().reply(entry(), "GET", Headers({"If-None-Match": '"1"'}), control, 101.0, "hit")

    assert list(response.headers) == ["ETag", "Last-Modified", "Age", "Cache-Status"]
    assert responder().reply(entry(), "GET", Headers(), PLAIN, 101.0, "hit").body == b"0123456789"
