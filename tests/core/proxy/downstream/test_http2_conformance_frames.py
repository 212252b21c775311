"""RFC 9113 sections 3 to 6: the beginning, frames and their limits, states of streams."""

from __future__ import annotations

import hyperframe.frame as hf
import pytest

from tests.core.proxy.downstream.http2_client import (
    CANCEL,
    COMPRESSION_ERROR,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    OK,
    PREFACE,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    STREAM_CLOSED,
    Http2Client,
)
from tests.core.proxy.downstream.http2_conformance import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GET,
    GOAWAY,
    HAS_PRIORITY,
    PADDED,
    PING,
    POST,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Case,
    frame,
    goaway,
    headers,
    literal,
    open_post,
    passed_over,
    raw,
    reset,
    response,
    table,
)
from tests.core.proxy.kit import Proxied

LARGEST = 2**31 - 1


def number(value: int) -> bytes:
    return value.to_bytes(4, "big")


def setting(identifier: int, value: int) -> bytes:
    return raw(SETTINGS, 0, 0, identifier.to_bytes(2, "big") + number(value))


def window(stream: int, size: int) -> bytes:
    return raw(WINDOW_UPDATE, 0, stream, number(size))


# -- section 3.4


async def test_3_4_the_first_frame_of_the_gateway_is_settings(proxied: Proxied) -> None:
    gateway, _ = await proxied(OK)
    peer = await gateway.connect()
    await peer.send(PREFACE + raw(SETTINGS, 0, 0))
    assert (await peer.exactly(9))[3:5] == bytes((SETTINGS, 0))


@pytest.mark.parametrize(
    "begun",
    [
        PREFACE[:18] + b"XX\r\n\r\n" + raw(SETTINGS, 0, 0),
        PREFACE + raw(PING, 0, 0, bytes(8)),
        PREFACE + headers(),
        PREFACE + raw(SETTINGS, ACK, 0),
        PREFACE + raw(0x42, 0, 0, b"unknown"),
        PREFACE + b"GET / HTTP/1.1\r\n\r\n",
    ],
    ids=["other-words", "ping", "headers", "acknowledgement", "unknown", "http-1"],
)
async def test_3_4_a_connection_that_begins_otherwise_gets_goaway(proxied: Proxied, begun: bytes) -> None:
    gateway, upstream = await proxied(OK)
    client = Http2Client(await gateway.connect())
    await client.peer.send(begun)
    await client.end()
    assert client.goaways[-1][1] in {PROTOCOL_ERROR, FRAME_SIZE_ERROR}
    assert not upstream.heads


# -- sections 4 and 5


@table(
    # 4.1
    Case("4.1 a frame of an unknown type", [raw(0x16, 0, 0, bytes(8))], passed_over),
    Case("RFC 9218 7.1 PRIORITY_UPDATE for no stream", [raw(16, 0, 0, number(0) + b"u=1")], goaway(PROTOCOL_ERROR)),
    Case("RFC 9218 7.1 PRIORITY_UPDATE on a stream", [raw(16, 0, 1, number(1) + b"u=1")], goaway(PROTOCOL_ERROR)),
    Case("4.1 flags that mean nothing", [raw(PING, 0x16, 0, bytes(8))], frame(hf.PingFrame, "ACK")),
    Case("4.1 the reserved bit of a stream", [raw(PING, 0, 2**31, bytes(8))], frame(hf.PingFrame, "ACK")),
    # 4.2
    Case("4.2 DATA of the largest size", [open_post(), raw(DATA, END_STREAM, 1, bytes(16384))], response()),
    Case("4.2 DATA that is larger", [open_post(), raw(DATA, END_STREAM, 1, bytes(16385))], goaway(FRAME_SIZE_ERROR)),
    Case("4.2 HEADERS that is larger", [headers(GET + bytes(16400))], goaway(FRAME_SIZE_ERROR)),
    Case("4.2 SETTINGS that is larger", [raw(SETTINGS, 0, 0, bytes(16386))], goaway(FRAME_SIZE_ERROR)),
    Case("4.2 an unknown frame that is larger", [raw(0x16, 0, 0, bytes(16385))], goaway(FRAME_SIZE_ERROR)),
    # 4.3
    Case("4.3 a block that is no HPACK", [headers(b"\xff\xff\xff\xff\xff")], goaway(COMPRESSION_ERROR)),
    Case(
        "4.3 PRIORITY within a block",
        [headers(GET, 1, END_STREAM), raw(PRIORITY, 0, 1, bytes(4) + b"\xff"), raw(CONTINUATION, END_HEADERS, 1)],
        goaway(PROTOCOL_ERROR),
    ),
    Case(
        "4.3 HEADERS of another stream within a block",
        [headers(GET, 1, END_STREAM), headers(GET, 3)],
        goaway(PROTOCOL_ERROR),
    ),
    Case(
        "4.3 a block that is not served is decoded",
        [headers(b"\x83" + GET[1:] + b"\x40\x01a\x01b\x40\x02te\x01b"), headers(GET + b"\xbf", 3)],
        response(200, 3),
    ),
    # 5.1
    Case("5.1 idle DATA", [raw(DATA, END_STREAM, 1, b"x")], goaway(PROTOCOL_ERROR)),
    Case("5.1 idle RST_STREAM", [raw(RST_STREAM, 0, 1, number(CANCEL))], goaway(PROTOCOL_ERROR)),
    Case("5.1 idle WINDOW_UPDATE", [window(1, 100)], goaway(PROTOCOL_ERROR)),
    Case("5.1 idle CONTINUATION", [raw(CONTINUATION, END_HEADERS, 1, GET)], goaway(PROTOCOL_ERROR)),
    Case("5.1 idle PRIORITY", [raw(PRIORITY, 0, 1, bytes(4) + b"\xff"), headers()], response()),
    Case("5.1 half closed DATA", [headers(), raw(DATA, END_STREAM, 1, b"x")], reset(STREAM_CLOSED)),
    Case("5.1 half closed HEADERS", [headers(), headers()], reset(STREAM_CLOSED)),
    Case("5.1 half closed trailers", [headers(), headers(literal(b"x", b"y"))], reset(STREAM_CLOSED)),
    Case(
        "5.1 half closed CONTINUATION",
        [headers(), raw(CONTINUATION, END_HEADERS, 1, GET)],
        goaway(PROTOCOL_ERROR, STREAM_CLOSED),
    ),
    Case("5.1 half closed WINDOW_UPDATE", [headers(), window(1, 100)], response()),
    Case("5.1 half closed PRIORITY", [headers(), raw(PRIORITY, 0, 1, bytes(4) + b"\xff")], response()),
    Case("5.1 half closed RST_STREAM", [headers(), raw(RST_STREAM, 0, 1, number(CANCEL))], passed_over),
    Case(
        "5.1 DATA behind RST_STREAM",
        [open_post(), raw(RST_STREAM, 0, 1, number(CANCEL)), raw(DATA, END_STREAM, 1, b"x")],
        goaway(STREAM_CLOSED),
    ),
    Case(
        "5.1 HEADERS behind RST_STREAM",
        [open_post(), raw(RST_STREAM, 0, 1, number(CANCEL)), headers()],
        goaway(STREAM_CLOSED),
    ),
    Case(
        "5.1 CONTINUATION behind RST_STREAM",
        [open_post(), raw(RST_STREAM, 0, 1, number(CANCEL)), raw(CONTINUATION, END_HEADERS, 1, GET)],
        goaway(STREAM_CLOSED, PROTOCOL_ERROR),
    ),
    Case(
        "5.1 RST_STREAM behind RST_STREAM",
        [open_post(), *[raw(RST_STREAM, 0, 1, number(CANCEL))] * 2],
        passed_over,
    ),
    Case("5.1 closed DATA", [raw(DATA, END_STREAM, 1, b"x")], goaway(STREAM_CLOSED), served=True),
    Case("5.1 closed HEADERS", [headers()], goaway(STREAM_CLOSED), served=True),
    Case(
        "5.1 closed CONTINUATION",
        [raw(CONTINUATION, END_HEADERS, 1, GET)],
        goaway(STREAM_CLOSED, PROTOCOL_ERROR),
        served=True,
    ),
    Case("5.1 closed WINDOW_UPDATE", [window(1, 100)], passed_over, served=True),
    Case("5.1 closed PRIORITY", [raw(PRIORITY, 0, 1, bytes(4) + b"\xff")], passed_over, served=True),
    Case("5.1 closed RST_STREAM", [raw(RST_STREAM, 0, 1, number(CANCEL))], passed_over, served=True),
    # 5.1.1
    Case("5.1.1 an even stream", [headers(GET, 2)], goaway(PROTOCOL_ERROR)),
    Case("5.1.1 a lower stream", [headers(GET, 5), headers(GET, 3)], goaway(PROTOCOL_ERROR, STREAM_CLOSED)),
    Case("5.1.1 streams that are left out", [headers(GET, 51)], response(200, 51)),
    Case("5.1.1 stream 0", [headers(GET, 0)], goaway(PROTOCOL_ERROR)),
    # 5.3 (obsolete, and still checked)
    Case("5.3.1 HEADERS that depends on itself", [
        headers(number(1) + b"\xff" + GET, 1, END_HEADERS | END_STREAM | HAS_PRIORITY)
    ], goaway(PROTOCOL_ERROR)),
    Case("5.3.1 PRIORITY that depends on itself", [raw(PRIORITY, 0, 3, number(3) + b"\0")], goaway(PROTOCOL_ERROR)),
    # 5.4 and 5.5
    Case("5.4.1 an error of the connection ends it", [raw(PING, 0, 3, bytes(8))], goaway(PROTOCOL_ERROR)),
    Case("5.5 an unknown frame of a stream", [raw(0x77, 0xFF, 3, b"x" * 100)], passed_over),
    Case(
        "5.5 an unknown frame within a block",
        [headers(GET, 1, END_STREAM), raw(0x16, 0, 1, bytes(8)), raw(CONTINUATION, END_HEADERS, 1)],
        goaway(PROTOCOL_ERROR),
    ),
    Case("5.5 an unknown setting", [setting(0xFF, 1)], frame(hf.SettingsFrame, "ACK")),
)  # fmt: skip
async def test_4_and_5_frames_and_states(proxied: Proxied, case: Case) -> None:
    await case.judge(proxied)


async def test_5_1_2_a_stream_beyond_the_announced_number_is_refused(proxied: Proxied) -> None:
    gateway, _ = await proxied(OK, "limits: {max_streams: 3}")
    client = Http2Client(await gateway.connect())
    await client.begin()
    assert client.settings[3] == 3
    await client.send(*[open_post(stream) for stream in (1, 3, 5, 7)])
    assert (await client.response(7)).reset == REFUSED_STREAM
    assert not client.goaways


# -- section 6


@table(
    # 6.1
    Case("6.1 DATA on stream 0", [raw(DATA, END_STREAM, 0, b"x")], goaway(PROTOCOL_ERROR)),
    Case(
        "6.1 DATA with padding",
        [open_post(), raw(DATA, END_STREAM | PADDED, 1, b"\x06test" + bytes(6))],
        response(),
    ),
    Case(
        "6.1 DATA of padding only",
        [open_post(), raw(DATA, END_STREAM | PADDED, 1, b"\x06" + bytes(6))],
        response(),
    ),
    Case(
        "6.1 padding as long as DATA",
        [open_post(), raw(DATA, END_STREAM | PADDED, 1, b"\x05test")],
        goaway(PROTOCOL_ERROR),
    ),
    Case("6.1 padded DATA without its length", [open_post(), raw(DATA, PADDED, 1)], goaway(FRAME_SIZE_ERROR)),
    # 6.2
    Case("6.2 HEADERS on stream 0", [headers(GET, 0)], goaway(PROTOCOL_ERROR)),
    Case(
        "6.2 HEADERS with padding",
        [headers(b"\x06" + GET + bytes(6), 1, END_HEADERS | END_STREAM | PADDED)],
        response(),
    ),
    Case(
        "6.2 HEADERS with a priority",
        [headers(number(0x80000003) + b"\xff" + GET, 1, END_HEADERS | END_STREAM | HAS_PRIORITY)],
        response(),
    ),
    Case(
        "6.2 HEADERS with padding and a priority",
        [headers(b"\x02" + number(3) + b"\xff" + GET + b"\0\0", 1, END_HEADERS | END_STREAM | HAS_PRIORITY | PADDED)],
        response(),
    ),
    Case(
        "6.2 padding as long as HEADERS",
        [headers(b"\x0e" + GET, 1, END_HEADERS | END_STREAM | PADDED)],
        goaway(PROTOCOL_ERROR),
    ),
    Case(
        "6.2 HEADERS too short for its priority",
        [headers(b"\0\0\0", 1, END_HEADERS | END_STREAM | HAS_PRIORITY)],
        goaway(FRAME_SIZE_ERROR, PROTOCOL_ERROR),
    ),
    Case(
        "6.2 another frame than CONTINUATION behind HEADERS",
        [headers(POST, 1, 0), raw(DATA, END_STREAM, 1, b"x")],
        goaway(PROTOCOL_ERROR),
    ),
    # 6.3
    Case("6.3 PRIORITY on stream 0", [raw(PRIORITY, 0, 0, number(3) + b"\0")], goaway(PROTOCOL_ERROR)),
    Case("6.3 PRIORITY of another length", [raw(PRIORITY, 0, 1, bytes(4))], goaway(FRAME_SIZE_ERROR)),
    # 6.4
    Case("6.4 RST_STREAM on stream 0", [raw(RST_STREAM, 0, 0, number(CANCEL))], goaway(PROTOCOL_ERROR)),
    Case("6.4 RST_STREAM of an idle stream", [raw(RST_STREAM, 0, 1, number(CANCEL))], goaway(PROTOCOL_ERROR)),
    Case("6.4 RST_STREAM of another length", [headers(), raw(RST_STREAM, 0, 1, bytes(3))], goaway(FRAME_SIZE_ERROR)),
    Case("6.4 RST_STREAM with an unknown code", [open_post(), raw(RST_STREAM, 0, 1, number(0xFF))], passed_over),
    # 6.5
    Case("6.5 SETTINGS is acknowledged", [setting(4, 100)], frame(hf.SettingsFrame, "ACK")),
    Case("6.5 SETTINGS that acknowledges with a payload", [raw(SETTINGS, ACK, 0, b"\0")], goaway(FRAME_SIZE_ERROR)),
    Case("6.5 SETTINGS on a stream", [raw(SETTINGS, 0, 1, setting(4, 100)[9:])], goaway(PROTOCOL_ERROR)),
    Case("6.5 SETTINGS of another length", [raw(SETTINGS, 0, 0, bytes(3))], goaway(FRAME_SIZE_ERROR)),
    # 6.5.2
    Case("6.5.2 ENABLE_PUSH of 2", [setting(2, 2)], goaway(PROTOCOL_ERROR)),
    Case("6.5.2 INITIAL_WINDOW_SIZE too large", [setting(4, 2**31)], goaway(FLOW_CONTROL_ERROR)),
    Case("6.5.2 MAX_FRAME_SIZE too small", [setting(5, 16383)], goaway(PROTOCOL_ERROR)),
    Case("6.5.2 MAX_FRAME_SIZE too large", [setting(5, 2**24)], goaway(PROTOCOL_ERROR)),
    Case("6.5.2 an unknown setting of any value", [setting(0xF0F0, 2**32 - 1)], passed_over),
    Case("6.5.2 HEADER_TABLE_SIZE of any value", [setting(1, 2**32 - 1)], passed_over),
    Case("6.5.2 ENABLE_CONNECT_PROTOCOL of 2", [setting(8, 2)], goaway(PROTOCOL_ERROR)),
    Case("RFC 9218 2.1 NO_RFC7540_PRIORITIES of 2", [setting(9, 2)], goaway(PROTOCOL_ERROR)),
    # 6.6 and 8.4
    Case("6.6 PUSH_PROMISE of a client", [open_post(), raw(PUSH_PROMISE, END_HEADERS, 1, number(2) + GET)],
         goaway(PROTOCOL_ERROR)),
    # 6.7
    Case("6.7 PING", [raw(PING, 0, 0, b"h2conf-1")], frame(hf.PingFrame, "ACK", opaque_data=b"h2conf-1")),
    Case("6.7 PING that acknowledges", [raw(PING, ACK, 0, b"h2conf-2")], passed_over),
    Case("6.7 PING on a stream", [raw(PING, 0, 1, bytes(8))], goaway(PROTOCOL_ERROR)),
    Case("6.7 PING of another length", [raw(PING, 0, 0, bytes(6))], goaway(FRAME_SIZE_ERROR)),
    # 6.8
    Case("6.8 GOAWAY on a stream", [raw(GOAWAY, 0, 1, bytes(8))], goaway(PROTOCOL_ERROR)),
    Case("6.8 GOAWAY that is too short", [raw(GOAWAY, 0, 0, bytes(7))], goaway(FRAME_SIZE_ERROR)),
    # 6.9
    Case("6.9 WINDOW_UPDATE of 0", [window(0, 0)], goaway(PROTOCOL_ERROR)),
    Case("6.9 WINDOW_UPDATE of 0 on a stream", [open_post(), window(1, 0)], reset(PROTOCOL_ERROR)),
    Case("6.9 WINDOW_UPDATE of another length", [raw(WINDOW_UPDATE, 0, 0, bytes(3))], goaway(FRAME_SIZE_ERROR)),
    Case("6.9 WINDOW_UPDATE of the connection", [window(0, 1), headers()], response()),
    Case("6.9 WINDOW_UPDATE of a stream", [headers(), window(1, 1)], response()),
    Case("6.9.1 a window that is too large", [window(0, LARGEST)], goaway(FLOW_CONTROL_ERROR)),
    Case("6.9.1 a window that becomes too large", [window(0, LARGEST - 65535), window(0, 1)],
         goaway(FLOW_CONTROL_ERROR)),
    Case("6.9.1 the largest window", [window(0, LARGEST - 65535), headers()], response()),
    Case("6.9.1 a stream's window that is too large", [open_post(), window(1, LARGEST)], reset(FLOW_CONTROL_ERROR)),
    # 6.9.2
    Case(
        "6.9.2 a stream's window that SETTINGS makes too large",
        [open_post(), window(1, LARGEST - 65535), setting(4, 65536)],
        goaway(FLOW_CONTROL_ERROR),
    ),
    # 6.10
    Case(
        "6.10 a block in many pieces",
        [headers(GET[:1], 1, END_STREAM), raw(CONTINUATION, 0, 1, GET[1:3]),
         raw(CONTINUATION, END_HEADERS, 1, GET[3:])],
        response(),
    ),
    Case(
        "6.10 DATA behind CONTINUATION",
        [headers(POST, 1, 0), raw(CONTINUATION, 0, 1, literal(b"x", b"y")), raw(DATA, END_STREAM, 1, b"x")],
        goaway(PROTOCOL_ERROR),
    ),
    Case("6.10 CONTINUATION on stream 0", [headers(GET, 1, END_STREAM), raw(CONTINUATION, END_HEADERS, 0)],
         goaway(PROTOCOL_ERROR)),
    Case("6.10 CONTINUATION of another stream", [headers(GET, 1, END_STREAM), raw(CONTINUATION, END_HEADERS, 3)],
         goaway(PROTOCOL_ERROR)),
    Case("6.10 CONTINUATION behind a complete block", [open_post(), raw(CONTINUATION, END_HEADERS, 1)],
         goaway(PROTOCOL_ERROR)),
    Case(
        "6.10 CONTINUATION behind the last one",
        [headers(POST, 1, 0), raw(CONTINUATION, END_HEADERS, 1), raw(CONTINUATION, END_HEADERS, 1)],
        goaway(PROTOCOL_ERROR),
    ),
    Case(
        "6.10 CONTINUATION behind DATA",
        [open_post(), raw(DATA, 0, 1, b"x"), raw(CONTINUATION, END_HEADERS, 1)],
        goaway(PROTOCOL_ERROR),
    ),
    # 7
    Case("7 GOAWAY with an unknown code", [raw(GOAWAY, 0, 0, number(0) + number(0xFF))], passed_over),
)  # fmt: skip
async def test_6_and_7_the_frames_one_by_one(proxied: Proxied, case: Case) -> None:
    await case.judge(proxied)


# -- sections 6.9.1 and 6.9.2, with a response that waits


async def test_6_9_1_a_window_of_one_byte_gets_one_byte(proxied: Proxied) -> None:
    gateway, _ = await proxied(OK)
    client = Http2Client(await gateway.connect())
    client.gives_credit = False
    await client.begin({4: 1})
    await client.send(headers())
    await client.until(lambda: bool(client.expect(1).body))
    await client.settle()
    assert client.expect(1).body == b"o"
    await client.send(window(1, 1))
    assert (await client.response(1)).body == b"ok"


async def test_6_9_2_settings_that_come_behind_headers_change_the_stream(proxied: Proxied) -> None:
    gateway, _ = await proxied(OK)
    client = Http2Client(await gateway.connect())
    await client.begin({4: 0})
    await client.send(headers())
    await client.until(lambda: bool(client.expect(1).heads))
    await client.settle()
    assert client.expect(1).body == b""
    await client.send(setting(4, 1))
    await client.until(lambda: bool(client.expect(1).body))
    assert client.expect(1).body == b"o"


async def test_6_9_2_a_window_may_be_negative(proxied: Proxied) -> None:
    gateway, _ = await proxied(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789")
    client = Http2Client(await gateway.connect())
    client.gives_credit = False
    await client.begin({4: 3})
    await client.send(headers())
    await client.until(lambda: len(client.expect(1).body) == 3)
    await client.send(setting(4, 2), window(1, 2))  # 3 - 1 - 3 + 2
    await client.until(lambda: len(client.expect(1).body) == 4)
    await client.settle()
    assert client.expect(1).body == b"0123"


async def test_6_9_2_the_last_of_several_values_holds(proxied: Proxied) -> None:
    gateway, _ = await proxied(OK)
    client = Http2Client(await gateway.connect())
    await client.begin({4: 0})
    pair = (4).to_bytes(2, "big")
    await client.send(raw(SETTINGS, 0, 0, pair + number(100) + pair + number(1)), headers())
    await client.until(lambda: bool(client.expect(1).body))
    assert client.expect(1).body == b"o"
