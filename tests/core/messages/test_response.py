from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from gateway_core.errors import BodyTooLargeError, ClientGoneError
from gateway_core.messages import BodyFilter, FieldBlock, FieldNames, HeaderError, Headers, Response
from gateway_core.messages.headers import block_of
from gateway_core.messages.response import close_bodies, reason_phrase
from gateway_core.tasks import spawn
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize("status", [99, 100, 101, 199, 1000, 0, -200])
def test_what_is_no_status_is_refused(status: int) -> None:
    with pytest.raises(ValueError, match=f"{status} is not the status of a response: use 200 to 999"):
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

    assert json.loads(response.body) == {  # type: ignore[arg-type]  # bytes
        "type": "about:blank",
        "title": "Too Many Requests",
        "status": 429,
        "detail": "too many requests",
        "limit": 10,
    }
    assert response.headers["retry-after"] == "3"
    assert response.headers["content-type"] == "application/problem+json"


def test_a_problem_without_detail_has_none() -> None:
    assert "detail" not in json.loads(Response.problem(404).body)  # type: ignore[arg-type]  # bytes


def test_only_what_was_made_here_is_a_problem_of_ours() -> None:
    block = b"\r\nContent-Type: application/problem+json"

    assert Response.problem(404).is_problem
    assert not Response(404).is_problem
    assert not Response.streamed(404, "Not Found", block).is_problem


def test_an_upstreams_answer_keeps_its_block_and_its_words() -> None:
    block = b"\r\nServer: x"

    response = Response.streamed(200, "Fine", block)

    assert block_of(response.headers) is block
    assert (response.status, response.reason, response.is_streamed) == (200, "Fine", True)
    assert (response.body, response.produced_by) == (b"", "upstream")


async def test_an_observer_changes_nothing_whatever_it_returns() -> None:
    class Observer(BodyFilter):
        def feed(self, data: bytes) -> bytes:
            seen.append(data)
            return b"other"

    seen: list[bytes] = []
    response = Response(body=b"ab")

    response.add_body_filter(Observer, observe=True)

    assert not response.is_filtered
    assert await response.read() == b"ab"
    assert seen == [b"ab"]


def test_filters_are_kept_in_order() -> None:
    response = Response()

    response.add_body_filter(BodyFilter)
    response.add_body_filter(BodyFilter, observe=True)

    assert [spec.observe for spec in response.body_filters] == [False, True]
    assert response.is_filtered
    assert Response().body_filters == ()


def test_a_text_is_plain_utf_8_unless_its_headers_say_otherwise() -> None:
    response = Response.text("caf\u00e9", 404)

    assert (response.status, response.body) == (404, "caf\u00e9".encode())
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert Response.text("<p>", headers={"content-type": "text/html"}).headers.get_all("content-type") == ["text/html"]


def test_a_redirect_names_its_target_in_characters_of_a_uri() -> None:
    response = Response.redirect("https://example.com/caf\u00e9 au%20lait?a=b&c#d", 308)

    assert (response.status, response.body) == (308, b"")
    assert response.headers["location"] == "https://example.com/caf%C3%A9%20au%20lait?a=b&c#d"
    assert Response.redirect("/x").status == 302
    assert Response.redirect("/x\r\ny: z").headers.items() == [("Location", "/x%0D%0Ay:%20z")]


@pytest.mark.parametrize("status", [200, 300, 304, 399, 404])
def test_a_redirect_has_a_status_of_redirects(status: int) -> None:
    with pytest.raises(ValueError, match="use 301, 302, 303, 307 or 308"):
        Response.redirect("/x", status)


class Upper(BodyFilter):
    def feed(self, data: bytes) -> bytes:
        return data.upper()


@pytest.mark.parametrize(("status", "is_for_head"), [(200, True), (204, False), (304, False), (200, False)])
def test_some_responses_have_no_body(status: int, is_for_head: bool) -> None:
    response = Response.streamed(status, "", b"")
    response.is_for_head = is_for_head

    assert response.has_body is (status == 200 and not is_for_head)


async def test_read_runs_the_filters_so_far_and_is_the_body_from_then_on() -> None:
    response = Response(200, b"abc")
    response.add_body_filter(Upper)

    assert await response.read() == b"ABC"
    response.add_body_filter(Upper)
    assert (response.body, len(response.body_filters)) == (b"ABC", 1)


async def test_a_stream_over_the_limit_goes_on_from_its_first_byte() -> None:
    async def stream() -> AsyncIterator[bytes]:
        for piece in (b"ab", b"cd", b"ef"):
            yield piece

    response = Response(200, stream())
    with pytest.raises(BodyTooLargeError) as caught:
        await response.read(3)

    assert (caught.value.source, caught.value.status) == ("response", 502)
    assert await response.read() == b"abcdef"


@pytest.mark.parametrize("observe", [False, True])
def test_a_filter_removes_what_is_true_of_the_old_body_unless_it_observes(observe: bool) -> None:
    fields = {"Content-Length": "3", "Content-Digest": "sha-256=:x:", "ETag": '"a"'}
    response = Response(200, b"abc", fields)

    response.add_body_filter(Upper, observe=observe)

    assert response.headers.items() == ([*fields.items()] if observe else [("ETag", 'W/"a"')])


@pytest.mark.parametrize("observe", [False, True])
def test_an_empty_body_keeps_its_head(observe: bool) -> None:
    response = Response(200, b"", {"ETag": '"a"'})
    response.add_body_filter(Upper, observe=observe)
    assert response.headers["ETag"] == '"a"'

    response.set_body(b"abc")
    assert response.headers["ETag"] == 'W/"a"'


@pytest.mark.parametrize(("status", "is_for_head"), [(304, False), (200, True)])
def test_a_response_that_has_no_body_gets_the_changes_of_the_head(status: int, is_for_head: bool) -> None:
    response = Response(status, b"", {"ETag": '"a"', "Content-Length": "0"})
    response.is_for_head = is_for_head
    response.add_body_filter(Upper)

    assert list(response.headers.items()) == [("ETag", 'W/"a"')]


def test_a_content_length_of_0_is_no_body() -> None:
    response = Response.streamed(200, "OK", b"\r\nContent-Length: 0")

    response.add_body_filter(Upper)

    assert response.headers["content-length"] == "0"


def test_set_body_replaces_body_and_filters_and_removes_digests() -> None:
    response = Response(200, b"abc", {"Digest": "x", "Content-Encoding": "gzip"})
    response.add_body_filter(Upper)

    response.set_body(b"other")

    assert (response.body, response.body_filters, response.is_filtered) == (b"other", (), False)
    assert response.headers.items() == [("Content-Encoding", "gzip")]


class Ended(BodyFilter):
    def __init__(self, ends: list[Exception | None]) -> None:
        self._ends = ends

    def close(self, error: Exception | None) -> None:
        self._ends.append(error)


async def test_a_body_that_failed_while_it_was_read_does_not_go_on_as_a_shorter_one() -> None:
    async def numbers() -> AsyncIterator[bytes]:
        yield b"1"
        raise LookupError("boom")

    response = Response(200, numbers())

    for _ in range(2):
        with pytest.raises(LookupError, match="boom"):
            await response.read()


async def test_a_read_that_is_cancelled_leaves_no_shorter_body() -> None:
    started, closed = asyncio.Event(), []

    async def numbers() -> AsyncIterator[bytes]:
        try:
            yield b"1"
            started.set()
            await asyncio.Event().wait()
        finally:
            closed.append(True)

    response = Response(200, numbers())
    reading = spawn(response.read(), name="a read")
    await started.wait()
    reading.cancel()
    await asyncio.wait({reading})

    with pytest.raises(RuntimeError, match="cancelled"):
        await response.read()
    assert closed == [True]


async def test_what_is_left_behind_a_read_is_closed_with_a_reason_though_nothing_of_it_was_read_again() -> None:
    closed: list[bool] = []
    ends: list[Exception | None] = []

    async def numbers() -> AsyncIterator[bytes]:
        try:
            for _ in range(3):
                yield b"123"
        finally:
            closed.append(True)

    response = Response(200, numbers())
    response.add_body_filter(lambda: Ended(ends))
    with pytest.raises(BodyTooLargeError):
        await response.read(4)
    assert (closed, ends) == ([], [])

    await close_bodies(response)

    assert closed == [True]
    assert isinstance(ends[0], ClientGoneError)
    assert len(ends) == 1


NAMES = ("RateLimit", "x-ratelimit-limit", "Via", "X-Request-Id", "A")


@given(
    st.lists(st.sampled_from(NAMES), max_size=3),
    st.lists(st.tuples(st.sampled_from([*NAMES, "Content-Length"]), st.booleans(), st.booleans()), max_size=4),
    st.sets(st.sampled_from(NAMES), min_size=1).map(sorted),
)
def test_added_fields_are_those_that_extend_would_add(
    came: list[str], steps: list[tuple[str, bool, bool]], unless: list[str]
) -> None:
    block = b"".join(b"\r\n%b: 1" % name.encode() for name in came)
    more = b"\r\nVia: 1.1 gw", b"\r\nX-Request-Id: 7\r\n\r\n"
    quick, general = Response.streamed(200, "OK", block, more, block.lower()), Response.streamed(200, "OK", block, more)
    names = FieldNames(unless)

    for name, is_conditional, looks in steps:
        fields = FieldBlock({name: "2"})
        is_there = is_conditional and general.headers.has_any(names)
        if not is_there:
            general.headers.extend(fields)
        assert quick.add_fields(fields, names if is_conditional else None) is not is_there
        if looks:
            assert quick.headers == general.headers

    assert quick.headers.items() == general.headers.items()
    assert quick.copy_head().headers.items() == general.headers.items()


def test_fields_that_a_plugin_assigns_replace_those_that_another_one_added() -> None:
    response = Response.streamed(200, "OK", b"\r\nA: 1", (), b"\r\na: 1")
    response.add_fields(FieldBlock({"B": "2"}))

    response.headers = Headers({"C": "3"})

    assert response.headers.items() == [("C", "3")]


@pytest.mark.parametrize("name", ["A", "b", "Via", "Gone"])
def test_a_first_value_is_the_one_that_headers_have(name: str) -> None:
    block, more = b"\r\nA: 1\r\nB:\t2 \r\nb: 3", (b"\r\nVia: 1.1 gw", b"\r\nX-Request-Id: 7\r\n\r\n")
    untouched, changed = (Response.streamed(200, "OK", block, more, block.lower()) for _ in range(2))
    made = Response(headers={"A": "1", "B": "2"})
    assert made.first_value(name) == made.headers.get_bytes(name)

    assert untouched.first_value(name) == Response.streamed(200, "OK", block, more).headers.get_bytes(name)
    changed.headers["A"] = "9"
    assert changed.first_value(name) == changed.headers.get_bytes(name)


def test_what_an_upstream_sent_is_told_apart_from_what_was_added() -> None:
    response = Response.streamed(200, "OK", b"\r\nA: 1\r\nDate: now", (b"\r\nVia: g", b"\r\n\r\n"), b"", b"\r\nA: 1")
    response.headers["B"] = "2"
    response.headers.remove("A")

    received = response.copy_head().received_headers

    assert received is not None
    assert received.items() == [("A", "1")]
    with pytest.raises(TypeError, match="read-only"):
        received["A"] = "2"
    assert Response(200).received_headers is None
