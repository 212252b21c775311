"""RFC 9113 section 8, the exchange of messages, and HPACK (RFC 7541) as a whole connection has it."""

from __future__ import annotations

import hpack
import pytest
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH

from tests.core.proxy.downstream.http2_client import COMPRESSION_ERROR, OK, PROTOCOL_ERROR, Http2Client
from tests.core.proxy.downstream.http2_conformance import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GET,
    HAS_PRIORITY,
    PADDED,
    POST,
    PRIORITY,
    Case,
    goaway,
    headers,
    literal,
    open_post,
    raw,
    reset,
    response,
    table,
)
from tests.core.proxy.kit import Proxied

METHOD, SCHEME, PATH, AUTHORITY = GET[:1], GET[1:2], GET[2:3], GET[3:]


def dependency(stream: int, weight: int, *, exclusive: bool = False) -> bytes:
    return (stream | (2**31 if exclusive else 0)).to_bytes(4, "big") + bytes((weight,))


@table(
    Case("GET", [headers()], response()),
    Case("POST with one DATA", [open_post(), raw(DATA, END_STREAM, 1, b"test")], response()),
    Case("POST with several DATA", [open_post(), raw(DATA, 0, 1, b"te"), raw(DATA, END_STREAM, 1, b"st")], response()),
    Case("POST that ends with an empty DATA", [open_post(), raw(DATA, 0, 1, b"x"), raw(DATA, END_STREAM, 1)],
         response()),
    Case("POST with padding", [open_post(), raw(DATA, END_STREAM | PADDED, 1, b"\2test\0\0")], response()),
    Case(
        "POST with trailers",
        [open_post(), raw(DATA, 0, 1, b"test"), headers(literal(b"x-test", b"ok"))],
        response(),
    ),
    Case("POST with a length", [
        headers(POST + literal(b"content-length", b"4"), 1, END_HEADERS), raw(DATA, END_STREAM, 1, b"test")
    ], response()),
    Case("OPTIONS of everything", [headers(b"\x02\x07OPTIONS" + SCHEME + b"\x04\x01*" + AUTHORITY)], response()),
    Case("two requests at once", [headers(), headers(GET, 3)], response(200, 3)),
    Case("a head in one CONTINUATION", [headers(b"", 1, END_STREAM), raw(CONTINUATION, END_HEADERS, 1, GET)],
         response()),
    Case(
        "a head in several CONTINUATION",
        [headers(b"", 1, END_STREAM), *[raw(CONTINUATION, 0, 1, GET[at : at + 1]) for at in range(6)],
         raw(CONTINUATION, END_HEADERS, 1)],
        response(),
    ),
    Case("PRIORITY of weight 1", [raw(PRIORITY, 0, 1, dependency(0, 0)), headers()], response()),
    Case("PRIORITY of weight 256", [raw(PRIORITY, 0, 1, dependency(0, 255)), headers()], response()),
    Case("PRIORITY with a dependency", [headers(), raw(PRIORITY, 0, 3, dependency(1, 255)), headers(GET, 3)],
         response(200, 3)),
    Case("PRIORITY that is exclusive", [headers(), raw(PRIORITY, 0, 3, dependency(1, 255, exclusive=True))],
         response()),
    Case("PRIORITY of a stream beyond the next one", [raw(PRIORITY, 0, 5, dependency(0, 255)), headers(GET, 3)],
         response(200, 3)),
    Case(
        "HEADERS that depends on a stream that is to come",
        [headers(dependency(3, 15) + GET, 1, END_HEADERS | END_STREAM | HAS_PRIORITY)],
        response(),
    ),
)  # fmt: skip
async def test_messages_are_served(proxied: Proxied, case: Case) -> None:
    await case.judge(proxied)


async def test_a_response_to_head_has_no_body(proxied: Proxied) -> None:
    gateway, _ = await proxied(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
    client = Http2Client(await gateway.connect())
    await client.begin()
    await client.send(headers(b"\x02\x04HEAD" + GET[1:]))
    got = await client.response(1)
    assert (got.status, got.body) == (200, b"")


BAD_FIELDS = {
    # 8.2.1
    "8.2.1 upper case": literal(b"X-Test", b"ok"),
    "8.2.1 no name": literal(b"", b"ok"),
    "8.2.1 space in a name": literal(b"x test", b"ok"),
    "8.2.1 colon in a name": literal(b"x:test", b"ok"),
    "8.2.1 NUL in a name": literal(b"x\0", b"ok"),
    "8.2.1 high byte in a name": literal(b"x\xe9", b"ok"),
    "8.2.1 CR in a value": literal(b"x", b"a\rb"),
    "8.2.1 LF in a value": literal(b"x", b"a\nb"),
    "8.2.1 NUL in a value": literal(b"x", b"a\0b"),
    "8.2.1 space before a value": literal(b"x", b" a"),
    "8.2.1 tab behind a value": literal(b"x", b"a\t"),
    # 8.2.2
    "8.2.2 connection": literal(b"connection", b"keep-alive"),
    "8.2.2 keep-alive": literal(b"keep-alive", b"timeout=5"),
    "8.2.2 proxy-connection": literal(b"proxy-connection", b"keep-alive"),
    "8.2.2 transfer-encoding": literal(b"transfer-encoding", b"chunked"),
    "8.2.2 upgrade": literal(b"upgrade", b"h2c"),
    "8.2.2 te of something else": literal(b"te", b"trailers, deflate"),
    # 8.3
    "8.3 an unknown pseudo-header field": literal(b":test", b"ok"),
    "8.3 one of responses": literal(b":status", b"200"),
    "8.3 :method twice": METHOD,
    "8.3 :scheme twice": SCHEME,
    "8.3 :path twice": PATH,
    "8.3 :authority twice": AUTHORITY,
    "8.3 one behind another field": literal(b"x", b"y") + literal(b":protocol", b"websocket"),
    "8.3.1 another host": literal(b"host", b"y"),
    # 8.1.1
    "8.1.1 a length without a body": literal(b"content-length", b"1"),
}


@pytest.mark.parametrize("block", BAD_FIELDS.values(), ids=[name.replace(" ", "-") for name in BAD_FIELDS])
async def test_8_a_request_with_a_bad_field_is_malformed(proxied: Proxied, block: bytes) -> None:
    await Case("", [headers(GET + block)], reset(PROTOCOL_ERROR)).judge(proxied)


@table(
    Case("8.3 one behind another field", [headers(METHOD + SCHEME + AUTHORITY + literal(b"x", b"y") + PATH)],
         reset(PROTOCOL_ERROR)),
    Case("8.3.1 an empty :path", [headers(METHOD + SCHEME + AUTHORITY + b"\x04\0")], reset(PROTOCOL_ERROR)),
    Case("8.3.1 a :path without a slash", [headers(METHOD + SCHEME + AUTHORITY + b"\x04\x01x")], reset(PROTOCOL_ERROR)),
    Case("8.3.1 no :method", [headers(SCHEME + PATH + AUTHORITY)], reset(PROTOCOL_ERROR)),
    Case("8.3.1 no :scheme", [headers(METHOD + PATH + AUTHORITY)], reset(PROTOCOL_ERROR)),
    Case("8.3.1 no :path", [headers(METHOD + SCHEME + AUTHORITY)], reset(PROTOCOL_ERROR)),
    Case("8.1 no field at all", [headers(b"")], reset(PROTOCOL_ERROR)),
    Case("8.1 a second head that does not end the stream", [open_post(), headers(literal(b"x", b"y"), 1, END_HEADERS)],
         reset(PROTOCOL_ERROR)),
    Case("8.1 pseudo-header fields in trailers", [open_post(), headers(METHOD)], reset(PROTOCOL_ERROR)),
    Case("8.1 fields of the connection in trailers", [open_post(), headers(literal(b"connection", b"x"))],
         reset(PROTOCOL_ERROR)),
    Case("8.2.1 upper case in trailers", [open_post(), headers(literal(b"X", b"y"))], reset(PROTOCOL_ERROR)),
    Case("8.1.1 a body that is too long", [
        headers(POST + literal(b"content-length", b"1"), 1, END_HEADERS), raw(DATA, END_STREAM, 1, b"test")
    ], reset(PROTOCOL_ERROR)),
    Case("8.1.1 a body that is too short", [
        headers(POST + literal(b"content-length", b"5"), 1, END_HEADERS), raw(DATA, END_STREAM, 1, b"test")
    ], reset(PROTOCOL_ERROR)),
    Case("8.1.1 several DATA that are too long", [
        headers(POST + literal(b"content-length", b"5"), 1, END_HEADERS),
        raw(DATA, 0, 1, b"test"), raw(DATA, END_STREAM, 1, b"test")
    ], reset(PROTOCOL_ERROR)),
    Case("8.1.1 a body that trailers end too early", [
        headers(POST + literal(b"content-length", b"5"), 1, END_HEADERS),
        raw(DATA, 0, 1, b"test"), headers(literal(b"x", b"y"))
    ], reset(PROTOCOL_ERROR)),
    Case("8.1.1 padding is no body", [
        headers(POST + literal(b"content-length", b"4"), 1, END_HEADERS), raw(DATA, END_STREAM | PADDED, 1, b"\2te\0\0")
    ], reset(PROTOCOL_ERROR)),
    Case("8.2.2 te: trailers", [headers(GET + literal(b"te", b"trailers"))], response()),
    Case("8.2.3 cookies in crumbs", [headers(GET + literal(b"cookie", b"a=1") + literal(b"cookie", b"b=2"))],
         response()),
    Case("8.3.1 host without :authority", [headers(METHOD + SCHEME + PATH + literal(b"host", b"x"))], response()),
    Case("8.3.1 the same host as :authority", [headers(GET + literal(b"host", b"x"))], response()),
    Case("8.3.1 CONNECT with a :path", [headers(b"\x02\x07CONNECT" + PATH + AUTHORITY)], reset(PROTOCOL_ERROR)),
    Case("8.3.1 CONNECT without :authority", [headers(b"\x02\x07CONNECT")], reset(PROTOCOL_ERROR)),
)  # fmt: skip
async def test_8_heads_and_lengths(proxied: Proxied, case: Case) -> None:
    await case.judge(proxied)


# -- HPACK


def huffman(text: bytes) -> bytes:
    encoded = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH).encode(text)
    return bytes((0x80 | len(encoded),)) + encoded


def plain(text: bytes) -> bytes:
    return bytes((len(text),)) + text


@table(
    Case("2.3.3 an index beyond the tables", [headers(GET + b"\xff\x80\x01")], goaway(COMPRESSION_ERROR)),
    Case("2.3.3 a name beyond the tables", [headers(GET + b"\x7f\x80\x01\x01x")], goaway(COMPRESSION_ERROR)),
    Case("2.3.3 the first dynamic entry while there is none", [headers(GET + b"\xbe")], goaway(COMPRESSION_ERROR)),
    Case("4.2 a size of the table behind fields", [headers(GET + b"\x20")], goaway(COMPRESSION_ERROR)),
    Case("5.1 an integer without an end", [headers(GET + b"\xff" + b"\xff" * 10)], goaway(COMPRESSION_ERROR)),
    Case("5.1 an integer that is cut off", [headers(GET + b"\xff\x80")], goaway(COMPRESSION_ERROR)),
    Case("5.2 a string that is cut off", [headers(GET + b"\0\x05ab")], goaway(COMPRESSION_ERROR)),
    Case("5.2 padding of more than 7 bits", [headers(GET + b"\0\x01x\x84\x49\x50\x9f\xff")], goaway(COMPRESSION_ERROR)),
    Case("5.2 padding of zeros", [headers(GET + b"\0\x01x\x83\x49\x50\x90")], goaway(COMPRESSION_ERROR)),
    Case("5.2 EOS in a string", [headers(GET + b"\0\x01x\x87\x49\x50\x9f" + b"\xff" * 4)], goaway(COMPRESSION_ERROR)),
    Case("6.1 index 0", [headers(GET + b"\x80")], goaway(COMPRESSION_ERROR)),
    Case("6.1 an indexed field", [headers(GET + b"\x90")], response()),
    *[
        Case(f"6.2 a literal {kind} with {how}", [headers(GET + first + value)], response())
        for kind, indexed, new in (
            ("with indexing", b"\x7a", b"\x40"), ("without indexing", b"\x0f\x2b", b"\0"),
            ("that is never indexed", b"\x1f\x2b", b"\x10"),
        )
        for how, first, value in (
            ("an indexed name", indexed, plain(b"agent")), ("an indexed name and Huffman", indexed, huffman(b"agent")),
            ("a new name", new + plain(b"x-new"), plain(b"1")),
            ("a new name and Huffman", new + huffman(b"x-new"), huffman(b"1")),
        )
    ],
    Case("6.2.1 an entry is used again", [headers(GET + b"\x40\x01a\x01b"), headers(GET + b"\xbe", 3)],
         response(200, 3)),
    Case("6.3 a size of the table", [headers(b"\x3f\xe1\x1f" + GET)], response()),
    Case("6.3 several sizes of the table", [headers(b"\x20\x3f\xe1\x1f" + GET)], response()),
    Case("6.3 a size larger than ours", [headers(b"\x3f\xe2\x1f" + GET)], goaway(COMPRESSION_ERROR)),
    Case("6.3 a size of 0 empties the table",
         [headers(GET + b"\x40\x01a\x01b"), headers(b"\x20" + GET + b"\xbe", 3)], goaway(COMPRESSION_ERROR)),
)  # fmt: skip
async def test_hpack_as_a_connection_has_it(proxied: Proxied, case: Case) -> None:
    await case.judge(proxied)


async def test_the_gateways_blocks_are_hpack_that_others_decode(proxied: Proxied) -> None:
    gateway, _ = await proxied(OK[:-6] + b"\r\nX-A: \xc3\xa9\r\nSet-Cookie: a=b\r\n\r\nok")
    client = Http2Client(await gateway.connect())
    client.decoder = hpack.Decoder()
    await client.begin({1: 0})  # a table of no size at all
    await client.send(headers())
    got = await client.response(1)
    assert got.headers["set-cookie"] == "a=b"
