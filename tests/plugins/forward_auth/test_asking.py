from __future__ import annotations

from typing import Any

import pytest
from gateway_plugin_forward_auth.asking import Asked, ask, sign_in_url
from gateway_plugin_forward_auth.config import ForwardAuthConfig
from gateway_plugin_sdk import Headers, Request
from hypothesis import given
from hypothesis import strategies as st


def asked(fields: list[tuple[str, str]], body: bytes = b"", method: str = "PUT", **options: Any) -> Asked:
    request = Request(
        method, "/a%20b?x=1", Headers(fields), host="app.test", client_ip="192.0.2.7", peer_ip="192.0.2.7",
        scheme="https", request_id="1", started=0.0,
    )  # fmt: skip
    return ask(request, ForwardAuthConfig.model_validate({"target": "http://auth.test", **options}), body)


DESCRIBED = [
    ("X-Forwarded-Method", "PUT"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "app.test"),
    ("X-Forwarded-Uri", "/a%20b?x=1"),
    ("X-Forwarded-For", "192.0.2.7"),
    ("X-Original-Method", "PUT"),
    ("X-Original-URL", "https://app.test/a%20b?x=1"),
]


@pytest.mark.parametrize("names", ["all", ["X-Forwarded-Uri", "X_Forwarded_Host", "X-Original-URL", "Cookie"]])
def test_what_describes_the_request_is_made_and_nothing_of_the_clients(names: Any) -> None:
    forged = [
        ("X-Forwarded-Uri", "/open"), ("x-forwarded-method", "GET"), ("X_Forwarded_Host", "evil"),
        ("X-Original-URL", "https://evil"), ("X-Envoy-Original-Path", "/open"), ("Forwarded", "for=evil"),
        ("X-Real-IP", "evil"), ("Connection", "x"), ("Content-Length", "9"), ("Upgrade", "websocket"),
        ("If-None-Match", '"a"'), ("Range", "bytes=0-1"), ("traceparent", "00-1"), ("X-Request-Id", "mine"),
    ]  # fmt: skip

    found = asked([*forged, ("Cookie", "a=b"), ("Cookie", "c=d")], request_headers=names)

    assert list(found.headers) == [("Cookie", "a=b"), ("Cookie", "c=d"), *DESCRIBED]
    assert (found.method, found.path) == ("GET", "/")


def test_a_prefix_that_is_to_be_believed_goes_on() -> None:
    found = asked([("X-Forwarded-Prefix", "/outside")], request_headers="all")

    assert list(found.headers) == [*DESCRIBED, ("X-Forwarded-Prefix", "/outside")]


def test_path_method_and_host_may_be_the_clients() -> None:
    found = asked([], append_path=True, path="/authz/", preserve_host=True)

    assert found.path == "/authz/a%20b?x=1"
    assert ("Host", "app.test") in found.headers


def test_a_body_goes_with_what_says_how_to_read_it() -> None:
    fields = [("Content-Type", "text/plain"), ("Content-Encoding", "gzip")]

    assert list(asked(fields).headers) == DESCRIBED
    found = asked(fields, b"abc", request_headers=["Content-Type"])
    assert list(found.headers) == [fields[0], *DESCRIBED, fields[1]]
    assert found.body == b"abc"


def test_the_url_that_was_asked_for_is_encoded() -> None:
    request = Request("GET", "/a?b=c&d", Headers(), host="app.test", scheme="https")

    assert sign_in_url("/in?rd={url}", request) == "/in?rd=https%3A%2F%2Fapp.test%2Fa%3Fb%3Dc%26d"


TEXTS = st.text(st.sampled_from("ab"), max_size=3)
ASKED = st.builds(Asked, TEXTS, TEXTS, st.lists(st.tuples(TEXTS, TEXTS), max_size=3).map(tuple), TEXTS.map(str.encode))


@given(ASKED, ASKED)
def test_only_requests_that_are_the_same_have_one_key(first: Asked, second: Asked) -> None:
    assert (first.key == second.key) == (first == second)
