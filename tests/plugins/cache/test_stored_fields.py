"""Fields of stored responses: what a 304 changes, what is left out, what counts on (RFC 9111 sections 3 and 4)."""

from __future__ import annotations

import pytest

from tests.plugins.cache.cases import BRIEF, ETAG, FRESH, date
from tests.plugins.cache.conftest import CachedRoute

UPDATED: list[tuple[str, str, str]] = [
    ("Test-Header", "a", "b"),
    ("X-Test-Header", "a", "b"),
    ("Content-Foo", "a", "b"),
    ("Content-MD5", "rL0Y20zC+Fzt72VPzMSk2A==", "N7UdGUp1E+RbVvZSTy1R8g=="),
    ("Content-Location", "/foo", "/bar"),
    ("Content-Security-Policy", "default-src 'self'", "default-src 'self' cdn.example.com"),
    ("X-Frame-Options", "deny", "sameorigin"),
    ("Expires", date(1), date(3600)),
    ("Clear-Site-Data", "cache", "cookies"),
]


@pytest.mark.parametrize("validator", [ETAG, ("Last-Modified", date(-86_400))], ids=["ETag", "Last-Modified"])
def test_a_304_changes_the_fields_of_what_is_stored(cached: CachedRoute, validator: tuple[str, str]) -> None:
    route = cached()
    first = [(name, before) for name, before, _ in UPDATED]
    second = [(name, after) for name, _, after in UPDATED]

    route.upstream.answer_with(200, "one", [BRIEF, validator, ("Content-Type", "text/plain"), ("Kept", "1"), *first])
    route.get("/")
    route.pass_time(3)
    route.upstream.answer_with(304, headers=[FRESH, validator, ("Content-Type", "text/html"), *second])
    answers = [route.get("/"), route.get("/")]

    assert len(route.upstream.requests) == 2
    for answer in answers:
        assert (answer.status, answer.body, answer.headers["Kept"]) == (200, b"one", "1")
        assert [(name, answer.headers[name]) for name, _ in second] == second
        assert answer.headers["Content-Type"] == "text/plain", "it is about the body, which did not change"


def test_fields_of_one_connection_are_not_stored(cached: CachedRoute) -> None:
    route = cached()
    listed = [("Connection", "a, b"), ("A", "1"), ("B", "2"), ("C", "3")]
    route.upstream.answer_with(200, "one", [FRESH, *listed, ("Proxy-Authenticate", "Basic")])

    route.get("/")
    answer = route.get("/")

    assert len(route.upstream.requests) == 1
    assert answer.headers["C"] == "3"
    assert not {"connection", "a", "b", "proxy-authenticate"} & {name.lower() for name in answer.headers}


STORED = (
    "Test-Header", "X-Test-Header", "Content-Foo", "Content-Encoding", "Content-Language", "Content-Location",
    "Content-MD5", "Content-Range", "Content-Security-Policy", "Content-Type", "Clear-Site-Data", "ETag", "Link",
    "Public-Key-Pins", "Set-Cookie2", "X-Frame-Options", "X-XSS-Protection",
)  # fmt: skip
NOT_STORED = (
    "Keep-Alive", "Proxy-Authenticate", "Proxy-Authentication-Info", "Proxy-Authorization", "Proxy-Connection",
    "Upgrade", "Set-Cookie",
)  # fmt: skip


@pytest.mark.parametrize("part", [(), [("Range", "bytes=0-1")]], ids=["whole", "part"])
def test_all_fields_are_stored_but_those_of_a_connection_and_of_a_client(
    cached: CachedRoute, part: list[tuple[str, str]]
) -> None:
    route = cached(set_cookie="remove")
    sent = {name: f'"{name}"' for name in (*STORED, *NOT_STORED)}
    route.upstream.answer_with(200, "one", [FRESH, *sent.items()])

    route.get("/")
    found = route.get("/", part)

    assert len(route.upstream.requests) == 1
    kept = {name.lower() for name in STORED} - ({"content-range"} if part else set())
    assert {name: found.headers[name] for name in STORED if name.lower() in kept} == {
        name: f'"{name}"' for name in STORED if name.lower() in kept
    }
    assert not {name.lower() for name in NOT_STORED} & {name.lower() for name in found.headers}


def test_a_304_changes_no_length(cached: CachedRoute) -> None:
    route = cached()
    route.upstream.answer_with(200, "one", [BRIEF, ETAG])
    route.get("/")
    route.pass_time(3)
    head = b"HTTP/1.1 304 Not Modified\r\nCache-Control: max-age=60\r\nContent-Length: 10\r\n"
    route.upstream.answer_with(raw=head + b'ETag: "one"\r\n\r\n')

    answers = [route.get("/"), route.get("/")]

    assert len(route.upstream.requests) == 2
    assert [(each.status, each.body, each.headers["Content-Length"]) for each in answers] == [(200, b"one", "3")] * 2


def test_age_counts_on_and_date_stays(cached: CachedRoute) -> None:
    route = cached()
    sent = [("Cache-Control", "max-age=600"), ("Date", date(0)), ("Age", "30"), ("CDN-Cache-Control", "max-age=700")]
    route.upstream.answer_with(200, "one", sent)

    route.get("/")
    route.pass_time(3)
    answer = route.get("/")

    assert (answer.headers["Age"], answer.headers["Date"]) == ("33", date(0))
    assert answer.headers["CDN-Cache-Control"] == "max-age=700", "caches in front of this one may go by it"


@pytest.mark.parametrize("interim", [b"HTTP/1.1 102 Processing", b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>"])
@pytest.mark.one_protocol(reason="clients of HTTP/2 show the final response alone")
def test_an_interim_response_is_passed_on_and_the_final_one_stored(cached: CachedRoute, interim: bytes) -> None:
    route = cached()
    final = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 3\r\n\r\none"
    route.upstream.answer_with(raw=interim + b"\r\n\r\n" + final)

    first, second = route.get("/"), route.get("/")

    assert first.status in (102, 103)
    assert (second.status, second.body) == (200, b"one")
    assert len(route.upstream.requests) == 1
