from __future__ import annotations

import json

import pytest
from gateway_core.messages import HeaderError, Headers, Response
from gateway_core.messages.response import reason_phrase


@pytest.mark.parametrize("status", [99, 1000, 0, -200])
def test_what_is_no_status_is_refused(status: int) -> None:
    with pytest.raises(ValueError, match=f"{status} is not a status"):
        Response(status)


def test_a_text_body_becomes_bytes() -> None:
    assert Response(200, "grün").body == "grün".encode()
    assert Response(200, b"\xff").body == b"\xff"


def test_reason_phrases_are_the_usual_ones_and_may_be_others() -> None:
    assert Response(404).reason == "Not Found"
    assert Response(299).reason == "" == reason_phrase(299)
    assert Response(404, reason="Nothing Here").reason == "Nothing Here"


@pytest.mark.parametrize("reason", ["a\r\nSet-Cookie: b", "a\0"])
def test_a_reason_that_would_break_the_head_is_refused(reason: str) -> None:
    with pytest.raises(HeaderError):
        Response(200, reason=reason)


def test_headers_may_be_given_in_three_shapes() -> None:
    headers = Headers([("A", "1"), ("A", "2")])

    assert Response(200, headers=headers).headers is headers
    assert Response(200, headers={"A": "1"}).headers.items() == [("A", "1")]
    assert Response(200, headers=[("A", "1"), ("A", "2")]).headers == headers


def test_json_has_its_type_unless_another_is_given() -> None:
    response = Response.json({"a": [1, None]}, 201)

    assert (response.status, response.body) == (201, b'{"a":[1,null]}')
    assert response.headers["content-type"] == "application/json"
    assert Response.json({}, headers={"content-type": "application/hal+json"}).headers.get_all("Content-Type") == [
        "application/hal+json"
    ]


def test_problem_details_have_the_members_of_rfc_9457() -> None:
    response = Response.problem(429, "too many requests", headers={"Retry-After": "3"}, limit=10)

    assert json.loads(response.body) == {
        "type": "about:blank",
        "title": "Too Many Requests",
        "status": 429,
        "detail": "too many requests",
        "limit": 10,
    }
    assert response.headers["retry-after"] == "3"
    assert response.headers["content-type"] == "application/problem+json"


def test_a_problem_without_detail_has_none() -> None:
    assert "detail" not in json.loads(Response.problem(404).body)


def test_only_what_was_made_here_is_a_problem_of_ours() -> None:
    block = b"\r\nContent-Type: application/problem+json"

    assert Response.problem(404).is_problem
    assert not Response(404).is_problem
    assert not Response.streamed(404, "Not Found", block).is_problem


def test_an_upstreams_answer_keeps_its_block_and_its_words() -> None:
    block = b"\r\nServer: x"

    response = Response.streamed(200, "Fine", block)

    assert response.headers.block is block
    assert (response.status, response.reason, response.is_streamed) == (200, "Fine", True)
    assert (response.body, response.produced_by) == (b"", "upstream")


def test_who_watches_a_body_changes_nothing_of_it() -> None:
    seen: list[bytes] = []
    response = Response()

    response.watch_body(seen.append)
    (watch,) = response.transforms

    assert (watch.feed(b"a"), watch.feed(b"b"), watch.finish()) == (b"a", b"b", b"")
    assert seen == [b"a", b"b"]
    assert not response.is_transformed


def test_transforms_are_kept_in_order() -> None:
    class Nothing:
        def feed(self, data: bytes) -> bytes:
            return data

        def finish(self) -> bytes:
            return b""

    first, second = Nothing(), Nothing()
    response = Response()

    response.transform_body(first)
    response.transform_body(second)

    assert list(response.transforms) == [first, second]
    assert response.is_transformed
    assert list(Response().transforms) == []
