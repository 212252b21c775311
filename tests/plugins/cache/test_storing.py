from __future__ import annotations

from typing import Any

import pytest
from gateway_plugin_cache.config import CacheConfig
from gateway_plugin_cache.freshness import policy_of
from gateway_plugin_cache.storing import storage_refusal, stored_headers, updated_headers
from gateway_plugin_sdk import Headers, Response


def refusal(control: str, status: int = 200, statuses: frozenset[int] = frozenset(), **facts: bool) -> str | None:
    policy = policy_of(Headers([("Cache-Control", control)]), status, 0.0, CacheConfig())
    defaults = {"has_cookie": False, "has_credentials": False, "can_validate": False}
    return storage_refusal(policy, status, statuses, **{**defaults, **facts})


@pytest.mark.parametrize(
    ("control", "facts", "expected"),
    [
        ("max-age=1", {}, None),
        ("max-age=1, no-store", {}, "no-store"),
        ("max-age=1, no-store, must-understand", {}, None),
        ("max-age=1, no-store, must-understand", {"status": 299}, "status"),
        ("max-age=1, private", {}, "private"),
        ("max-age=1, private, must-understand", {}, "private"),
        ("max-age=1", {"has_cookie": True}, "set-cookie"),
        ("max-age=1", {"has_credentials": True}, "credentials"),
        ("max-age=1, public", {"has_credentials": True}, None),
        ("s-maxage=1", {"has_credentials": True}, None),
        ("max-age=1, must-revalidate", {"has_credentials": True}, None),
        ("max-age=1, proxy-revalidate", {"has_credentials": True}, "credentials"),
        ("public", {}, "no-lifetime"),
        ("max-age=0", {}, "no-lifetime"),
        # What has to be validated each time is worth to be stored if it can be.
        ("max-age=0", {"can_validate": True}, None),
        ("no-cache", {"can_validate": True}, None),
        ("public", {"can_validate": True}, "no-lifetime"),
        ("max-age=0, stale-if-error=5", {}, None),
        ("max-age=1", {"status": 206}, "status"),
        ("max-age=1", {"status": 206, "statuses": frozenset({206})}, "status"),
        ("max-age=1", {"status": 304}, "status"),
        ("max-age=1", {"status": 404}, None),
        ("max-age=1", {"status": 418}, "status"),
        ("max-age=1", {"status": 418, "statuses": frozenset({418})}, None),
    ],
)
def test_what_may_be_stored(control: str, facts: dict[str, Any], expected: str | None) -> None:
    assert refusal(control, **facts) == expected


def test_a_304_changes_what_is_stored_but_for_the_body_and_its_form() -> None:
    stored = Headers([("ETag", '"1"'), ("X-A", "1"), ("X-A", "2"), ("X-B", "1"), ("Content-Type", "text/plain")])
    came = Headers([("X-A", "3"), ("Content-Type", "text/html"), ("Content-Length", "9"), ("Content-Encoding", "br"),
                    ("Content-Range", "bytes 0-0/1"), ("Set-Cookie", "a=1"), ("X-C", "1")])  # fmt: skip

    assert updated_headers(stored, came).items() == [
        ("ETag", '"1"'), ("X-B", "1"), ("Content-Type", "text/plain"), ("X-A", "3"), ("X-C", "1"),
    ]  # fmt: skip


def test_fields_of_one_request_are_stored_only_as_the_upstream_sent_them() -> None:
    lines = [
        "Via: 1.1 origin",
        "Access-Control-Allow-Origin: *",
        "Age: 5",
        "X-Request-Id: u",
        "Set-Cookie: a=1",
        "X-A: 1",
    ]
    block = "".join(f"\r\n{line}" for line in lines).encode()
    response = Response.streamed(200, "OK", block)
    response.headers["Access-Control-Allow-Origin"] = "https://a.example"
    response.headers["RateLimit"] = "1"
    response.headers.add("Via", "1.1 gateway")
    response.headers["X-Added"] = "1"

    assert sorted(stored_headers(response).items()) == [
        ("Access-Control-Allow-Origin", "*"), ("Via", "1.1 origin"), ("X-A", "1"), ("X-Added", "1"),
    ]  # fmt: skip
