"""Responses of HTTP/2 on their way to a client: a malformed response reaches no client, over either protocol."""

from __future__ import annotations

import asyncio

import pytest
from gateway_core.proxy.upstream.response_handler import MOST_INTERIM

from tests.core.proxy.downstream.http2_client import http2
from tests.core.proxy.downstream.http2_conformance import END_HEADERS, END_STREAM, headers, literal, raw
from tests.core.proxy.kit import Peer, counts, field, until
from tests.core.proxy.upstream.http2_endpoint import Asked, StartHttp2

OK = b"\x88"
INTERNAL_ERROR = 2
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"

BAD_HEADS = {
    "CRLF in a value": OK + literal(b"x", b"a\r\nset-cookie: b"),
    "LF in a value": OK + literal(b"x", b"a\nb"),
    "NUL in a value": OK + literal(b"x", b"a\0b"),
    "CRLF in a name": OK + literal(b"x\r\ny", b"1"),
    "a space in a name": OK + literal(b"x y", b"1"),
    "a colon in a name": OK + literal(b"x:y", b"1"),
    "no name": OK + literal(b"", b"1"),
    "an upper-case name": OK + literal(b"X", b"1"),
    "a space before a value": OK + literal(b"x", b" 1"),
    "connection": OK + literal(b"connection", b"close"),
    "keep-alive": OK + literal(b"keep-alive", b"timeout=5"),
    "transfer-encoding": OK + literal(b"transfer-encoding", b"chunked"),
    "upgrade": OK + literal(b"upgrade", b"h2c"),
    "no :status": literal(b"x", b"y"),
    "two of :status": OK + OK,
    ":status behind a field": literal(b"x", b"y") + OK,
    "a :status of two digits": literal(b":status", b"20"),
    "a :status of letters": literal(b":status", b"2OO"),
    "a :status with words": literal(b":status", b"200 OK"),
    "a :status of 0": literal(b":status", b"000"),
    "a :status with CRLF": literal(b":status", b"200\r\nx: y"),
    "a pseudo-header field of requests": OK + literal(b":path", b"/"),
    "lengths that differ": OK + literal(b"content-length", b"2") + literal(b"content-length", b"3"),
    "a length that is no number": OK + literal(b"content-length", b"+2"),
    "a change of the protocol": literal(b":status", b"101"),
    "nothing": b"",
}


@pytest.mark.parametrize("block", BAD_HEADS.values(), ids=[name.replace(" ", "-") for name in BAD_HEADS])
async def test_a_head_that_is_malformed_is_a_bad_gateway_for_both_protocols(
    start_http2: StartHttp2, block: bytes
) -> None:
    async def script(asked: Asked) -> None:
        await asked.connection.send(headers(block, asked.stream, END_HEADERS), raw(0, END_STREAM, asked.stream, b"ok"))

    gateway, _ = await start_http2(script, upstream_extra="retries: {attempts: 0}")
    assert (await gateway.ask(GET))[0] == 502
    async with http2(gateway) as client:
        assert (await client.ask()).status == 502
    assert not counts(gateway)


@pytest.mark.parametrize(
    ("block", "data"),
    [
        (OK + literal(b"content-length", b"5"), b"abc"),
        (OK + literal(b"content-length", b"5"), b"abcdefg"),
        (OK + literal(b"content-length", b"0"), b"HTTP/1.1 200 OK\r\n\r\n"),
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
async def test_a_body_of_another_length_than_announced_is_cut_off(
    start_http2: StartHttp2, block: bytes, data: bytes, at_once: bool
) -> None:
    """A client of HTTP/1 would take what is too much, or what comes next, for something else (section 8.1.1)."""

    async def script(asked: Asked) -> None:
        head, body = headers(block, asked.stream, END_HEADERS), raw(0, END_STREAM, asked.stream, data)
        if at_once:
            await asked.connection.send(head, body)
        else:
            await asked.connection.send(head)
            await asked.connection.send(body)

    gateway, _ = await start_http2(script, upstream_extra="retries: {attempts: 0}")
    got = await over_http_1(await gateway.connect(), GET + GET)
    assert got.count(b"HTTP/1.1 ") <= 1 or b"HTTP/1.1 502" in got
    assert b"HTTP/1.1 200 OK\r\n\r\n" not in got
    assert b"abcdef" not in got
    async with http2(gateway) as client:
        answer = await client.ask()
        assert answer.status == 502 or answer.reset is not None
    await until(lambda: not counts(gateway))


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
@pytest.mark.parametrize("status", [b"204", b"205", b"304"])
async def test_a_body_with_a_response_that_has_none_is_a_bad_gateway(
    start_http2: StartHttp2, status: bytes, method: bytes
) -> None:
    async def script(asked: Asked) -> None:
        if asked.headers[":path"] == "/":
            head = headers(literal(b":status", status), asked.stream, END_HEADERS)
            await asked.connection.send(head + raw(0, END_STREAM, asked.stream, b"HTTP/1.1 200 OK\r\n\r\n"))
        else:
            await asked.respond(b"next" if asked.headers[":method"] == "GET" else b"")

    has_body = status == b"205" and method == b"GET"  # a 205 has one by its framing
    gateway, endpoint = await start_http2(script, upstream_extra="retries: {attempts: 0}")
    request = GET.replace(b"GET", method)
    got = await over_http_1(
        await gateway.connect(), request + request.replace(b" / ", b" /next ")[:-2] + b"Connection: close\r\n\r\n"
    )
    assert got.startswith(b"HTTP/1.1 205" if has_body else b"HTTP/1.1 502")
    assert (b"HTTP/1.1 200 OK" in got) is has_body
    assert got.count(b"HTTP/1.1 200 \r\n") == 1
    async with http2(gateway) as client:
        assert (await client.ask(method=method.decode())).status == (205 if has_body else 502)
        assert (await client.ask(path="/next", method=method.decode())).status == 200
    assert len(endpoint.connections) == 1
    await until(lambda: not counts(gateway))


async def test_a_body_that_comes_later_than_a_response_without_one_ends_the_stream(start_http2: StartHttp2) -> None:
    passed = asyncio.Event()

    async def script(asked: Asked) -> None:
        if asked.headers[":path"] == "/next":
            await asked.respond()
            return
        await asked.head(204)
        await asyncio.wait_for(passed.wait(), 20)
        await asked.data(b"body", ends=True)

    gateway, endpoint = await start_http2(script)
    async with http2(gateway) as client:
        head = client.head()
        await client.send(head)
        got = client.expect(head.stream_id)
        await client.until(lambda: got.status == 204)
        passed.set()
        await client.until(lambda: got.ended or got.reset is not None)
        assert (got.body, got.reset) == (b"", INTERNAL_ERROR)
        await asyncio.wait_for(endpoint.asked[0].reset, 20)
        assert (await client.ask(path="/next")).status == 200
    assert len(endpoint.connections) == 1
    await until(lambda: not counts(gateway))


@pytest.mark.parametrize("ending", [b"", b"\r\nLink: </a>"])
@pytest.mark.parametrize("status", [102, 103])
async def test_more_interim_responses_than_any_client_needs_are_a_bad_gateway(
    start_http2: StartHttp2, status: int, ending: bytes
) -> None:
    async def script(asked: Asked) -> None:
        for _ in range(MOST_INTERIM + (asked.headers[":path"] == "/more")):
            await asked.head(status, *([("link", "</a>")] if ending else []))
        await asked.respond()

    gateway, endpoint = await start_http2(script)
    async with http2(gateway) as client:
        for path, expected in (("/more", 502), ("/", 200)):
            got = await client.ask(path=path)
            assert (got.status, len(got.heads)) == (expected, MOST_INTERIM + 1)
    assert len(endpoint.connections) == 1


async def over_http_1(peer: Peer, request: bytes) -> bytes:
    await peer.send(request[:-2] + b"Connection: close\r\n\r\n" if b"close" not in request else request)
    return await peer.rest()


@pytest.mark.parametrize(
    "block",
    [
        literal(b"x", b"a\r\nb: c"), literal(b"X", b"y"), literal(b"x y", b"1"), literal(b":status", b"200"),
        literal(b"transfer-encoding", b"chunked"), literal(b"x", b"\0"),
    ],
)  # fmt: skip
async def test_trailers_that_are_no_fields_cut_the_response_off(start_http2: StartHttp2, block: bytes) -> None:
    async def script(asked: Asked) -> None:
        await asked.connection.send(headers(OK, asked.stream, END_HEADERS), raw(0, 0, asked.stream, b"ok"))
        await asked.connection.send(headers(block, asked.stream))

    gateway, _ = await start_http2(script, upstream_extra="retries: {attempts: 0}")
    async with http2(gateway) as client:
        got = await client.ask()
        assert (got.status, got.reset) == (200, 2)
    await until(lambda: not counts(gateway))


async def test_trailers_change_nothing_that_the_head_says(start_http2: StartHttp2) -> None:
    async def script(asked: Asked) -> None:
        await asked.head(200)
        await asked.data(b"ok")
        await asked.end(("content-length", "9"), ("set-cookie", "a=b"), ("x-sum", "1"))

    gateway, _ = await start_http2(script)
    async with http2(gateway) as client:
        assert (await client.ask()).trailers == {"x-sum": "1"}


async def test_cookies_of_a_response_stay_apart(start_http2: StartHttp2) -> None:
    async def script(asked: Asked) -> None:
        await asked.respond(b"ok", ("set-cookie", "a=1"), ("set-cookie", "b=2"))

    gateway, _ = await start_http2(script)
    _, head, _ = await gateway.ask(GET)
    assert head.lower().count(b"\r\nset-cookie: ") == 2
    assert field(head, b"connection") is None
