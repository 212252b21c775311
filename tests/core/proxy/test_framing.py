"""Requests that could be read in two ways: one reading, or a refusal and a closed connection (RFC 9112)."""

from __future__ import annotations

import pytest

from tests.core.proxy.kit import Proxied

pytestmark = pytest.mark.one_protocol(reason="connections of HTTP/1")

H = b"Host: x\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"


def post(fields: bytes, body: bytes = b"") -> bytes:
    return b"POST / HTTP/1.1\r\n" + H + fields + b"\r\n" + body


BAD = {
    "length and coding": post(b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    "coding and length": post(b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", b"0\r\n\r\n"),
    "two lengths": post(b"Content-Length: 4\r\nContent-Length: 5\r\n", b"abcde"),
    "two equal lengths": post(b"Content-Length: 4\r\nContent-Length: 4\r\n", b"abcd"),
    "listed length": post(b"Content-Length: 4, 4\r\n", b"abcd"),
    "signed length": post(b"Content-Length: +4\r\n", b"abcd"),
    "negative length": post(b"Content-Length: -4\r\n"),
    "hexadecimal length": post(b"Content-Length: 0x4\r\n", b"abcd"),
    "length with a space": post(b"Content-Length: 4 4\r\n", b"abcd"),
    "overflowing length": post(b"Content-Length: 99999999999999999999999\r\n"),
    "te gzip, chunked": post(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"),
    "te chunked, gzip": post(b"Transfer-Encoding: chunked, gzip\r\n", b"0\r\n\r\n"),
    "te xchunked": post(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"),
    "te identity": post(b"Transfer-Encoding: identity\r\n"),
    "te twice": post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    "te with a tab in the name": post(b"Transfer-Encoding\t: chunked\r\n", b"0\r\n\r\n"),
    "te with a space in the name": post(b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n"),
    "te folded": post(b"Transfer-Encoding:\r\n chunked\r\n", b"0\r\n\r\n"),
    "te with a vertical tab": post(b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n"),
    "te quoted": post(b'Transfer-Encoding: "chunked"\r\n', b"0\r\n\r\n"),
    "te in http 1.0": b"POST / HTTP/1.0\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunk size with a prefix": post(b"Transfer-Encoding: chunked\r\n", b"0x1\r\na\r\n0\r\n\r\n"),
    "chunk size with a sign": post(b"Transfer-Encoding: chunked\r\n", b"+1\r\na\r\n0\r\n\r\n"),
    "chunk size overflow": post(b"Transfer-Encoding: chunked\r\n", b"1ffffffffffffffff\r\na\r\n0\r\n\r\n"),
    "chunk size with a bare lf": post(b"Transfer-Encoding: chunked\r\n", b"1\na\r\n0\r\n\r\n"),
    "chunk without its end": post(b"Transfer-Encoding: chunked\r\n", b"1\r\nab\r\n0\r\n\r\n"),
    "folded field": b"GET / HTTP/1.1\r\n" + H + b"A: b\r\n c: d\r\n\r\n",
    "bare lf in a field": b"GET / HTTP/1.1\r\n" + H + b"A: b\nC: d\r\n\r\n",
    "bare cr in a field": b"GET / HTTP/1.1\r\n" + H + b"A: b\rC: d\r\n\r\n",
    "nul in a value": b"GET / HTTP/1.1\r\n" + H + b"A: \0\r\n\r\n",
    "space before the colon": b"GET / HTTP/1.1\r\n" + H + b"A : b\r\n\r\n",
    "space before the name": b"GET / HTTP/1.1\r\n" + b" A: b\r\n" + H + b"\r\n",
    "no token": b"GET / HTTP/1.1\r\n" + H + b"A(b): c\r\n\r\n",
    "no name": b"GET / HTTP/1.1\r\n" + H + b": c\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\nA: b\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\n" + H + H + b"\r\n",
    "bad host": b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "host with user information": b"GET / HTTP/1.1\r\nHost: u@x\r\n\r\n",
    "bare lf everywhere": b"GET / HTTP/1.1\nHost: x\n\n",
    "raw space in the path": b"GET /a b HTTP/1.1\r\n" + H + b"\r\n",
    "tab instead of a space": b"GET\t/ HTTP/1.1\r\n" + H + b"\r\n",
    "no path": b"GET HTTP/1.1\r\n" + H + b"\r\n",
    "no version": b"GET /\r\n\r\n",
    "lower-case protocol": b"GET / http/1.1\r\n" + H + b"\r\n",
    "high byte in the path": b"GET /\xff HTTP/1.1\r\n" + H + b"\r\n",
    "dot segment": b"GET /a/../b HTTP/1.1\r\n" + H + b"\r\n",
    "encoded dot segment": b"GET /a/%2e%2E/b HTTP/1.1\r\n" + H + b"\r\n",
    "backslash": b"GET /a\\b HTTP/1.1\r\n" + H + b"\r\n",
    "bad escape": b"GET /%zz HTTP/1.1\r\n" + H + b"\r\n",
    "encoded nul": b"GET /%00 HTTP/1.1\r\n" + H + b"\r\n",
    "asterisk": b"GET * HTTP/1.1\r\n" + H + b"\r\n",
    "another scheme": b"GET ftp://x/ HTTP/1.1\r\n" + H + b"\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 50 + b"\r\n\r\n",
}


@pytest.mark.parametrize("request_bytes", BAD.values(), ids=list(BAD))
async def test_a_request_that_is_not_valid_is_refused_and_nothing_behind_it_is_read(
    proxied: Proxied, request_bytes: bytes
) -> None:
    gateway, upstream = await proxied()

    response = await gateway.send(request_bytes + SMUGGLED)

    assert response.startswith(b"HTTP/1.1 4"), response[:100]
    assert response.count(b"HTTP/1.1 ") == 1
    assert b"Connection: close\r\n" in response
    assert b"\r\nX-Request-Id: " in response
    assert b'"request_id": "' in response
    assert not any(b"smuggled" in head for head in upstream.heads)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"HEAD /?a#b HTTP/1.1\r\n" + H + b"\r\n",
        b"HEAD /\xff HTTP/1.1\r\n" + H + b"\r\n",
        b"HEAD / HTTP/1.1\r\nHost: x:0\r\n\r\n",
        b"HEAD / HTTP/1.1\r\n\r\n",
        b"HEAD / HTTP/1.1\r\n" + H + b"A: b\x00\r\n\r\n",
    ],
)
async def test_a_head_that_is_refused_gets_no_body(proxied: Proxied, request_bytes: bytes) -> None:
    gateway, _ = await proxied()

    response = await gateway.send(request_bytes)

    assert response.startswith(b"HTTP/1.1 400 "), response[:100]
    assert response.endswith(b"\r\n\r\n")


OTHER = {
    "http 2.0": (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", b"505"),
    "http 1.2": (b"GET / HTTP/1.2\r\nHost: x\r\n\r\n", b"505"),
    "http 3": (b"GET / HTTP/3.0\r\nHost: x\r\n\r\n", b"505"),
    "connect": (b"CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n", b"405"),
    "trace": (b"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n", b"405"),
    "huge field": (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 70000 + b"\r\n\r\n", b"431"),
    "huge target": (b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"414"),
    "huge target without an end": (b"GET /" + b"a" * 70000, b"414"),
    "huge head without an end": (b"GET / HTTP/1.1\r\nA: " + b"a" * 70000, b"431"),
    "many fields": (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 300 + b"\r\n", b"431"),
}


@pytest.mark.parametrize(("request_bytes", "status"), OTHER.values(), ids=list(OTHER))
async def test_what_is_not_served_is_refused_and_closed(proxied: Proxied, request_bytes: bytes, status: bytes) -> None:
    gateway, upstream = await proxied()

    response = await gateway.send(request_bytes)

    assert response.startswith(b"HTTP/1.1 " + status), response[:100]
    assert b"Connection: close\r\n" in response
    assert upstream.heads == []


async def test_the_authority_of_an_absolute_target_wins(proxied: Proxied) -> None:
    gateway, upstream = await proxied()
    client = await gateway.connect()

    await client.send(b"GET http://other.example:81/a?b HTTP/1.1\r\nHost: x\r\n\r\n")

    assert (await client.response())[0] == 200
    assert upstream.heads[0].startswith(b"GET /a?b HTTP/1.1\r\n")
    assert b"\r\nX-Forwarded-Host: other.example:81\r\n" in upstream.heads[0]


@pytest.mark.parametrize(
    "target", [b"/a%2561%61?x=%zz&y", b"/a//b/", b"/a;b=c,d", b"/~a!$&'()*+,=:@", b"/a?b?c/../d", b"/a?", b"/caf%C3%A9"]
)
async def test_targets_go_upstream_byte_for_byte(proxied: Proxied, target: bytes) -> None:
    gateway, upstream = await proxied()
    client = await gateway.connect()

    await client.send(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")

    assert (await client.response())[0] == 200
    assert upstream.heads[0].startswith(b"GET " + target + b" HTTP/1.1\r\n")


async def test_empty_lines_before_a_request_are_ignored(proxied: Proxied) -> None:
    gateway, _ = await proxied()
    client = await gateway.connect()

    await client.send(b"\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")

    assert (await client.response())[0] == 200


async def test_no_response_echoes_what_it_refuses(proxied: Proxied) -> None:
    gateway, _ = await proxied()

    response = await gateway.send(b"GET /<script>alert(1)</script>\x01 HTTP/1.1\r\nHost: x\r\n\r\n")

    assert b"script" not in response
