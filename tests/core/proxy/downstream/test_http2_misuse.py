"""Clients of HTTP/2 that break rules, or ask for too much."""

from __future__ import annotations

import asyncio
from typing import Any

import hyperframe.frame as hf
import pytest
from gateway_core.proxy.downstream.http2_connection import CONNECTION_WINDOW

from tests.core.proxy.downstream.http2_client import (
    CANCEL,
    COMPRESSION_ERROR,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    OK,
    PREFACE,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    STREAM_CLOSED,
    http2,
)
from tests.core.proxy.kit import Peer, Proxied, counts, until


async def test_one_stream_too_many_is_refused(proxied: Proxied) -> None:
    gate = asyncio.Event()

    async def script(peer: Peer) -> None:
        while True:
            await peer.head()
            await gate.wait()
            await peer.send(OK)

    gateway, _ = await proxied(script, "limits: {max_streams: 2}")
    async with http2(gateway) as client:
        assert client.settings[3] == 2
        first = [client.head() for _ in range(3)]
        await client.send(*first)
        got = await client.response(first[2].stream_id)
        assert got.reset == REFUSED_STREAM
        gate.set()
        assert (await client.response(first[0].stream_id)).status == 200
        assert (await client.ask()).status == 200


async def test_a_head_that_is_too_large_gets_431_and_the_connection_goes_on(proxied: Proxied) -> None:
    gateway, upstream = await proxied(OK, "limits: {max_head_bytes: 2000}")
    async with http2(gateway) as client:
        assert (await client.ask(("x", "v" * 3000))).status == 431
        assert (await client.ask()).status == 200
    assert len(upstream.heads) == 1


@pytest.mark.parametrize(
    ("pseudo", "extra"),
    [
        ({"path": ""}, ()),
        ({"path": "x"}, ()),
        ({"method": "A B"}, ()),
        ({"path": None}, ()),
        ({"scheme": None}, ()),
        ({}, (("connection", "close"),)),
        ({}, (("transfer-encoding", "chunked"),)),
        ({}, (("X-Upper", "1"),)),
        ({}, (("x", "a\r\nb: c"),)),
        ({}, (("te", "gzip"),)),
        ({}, (("host", "other"),)),
        ({}, (("content-length", "5"),)),
        ({}, ((":path", "/again"),)),
    ],
)
async def test_a_malformed_request_resets_its_stream_and_nothing_reaches_the_upstream(
    proxied: Proxied, pseudo: dict[str, Any], extra: tuple[tuple[str, str], ...]
) -> None:
    gateway, upstream = await proxied(OK)
    async with http2(gateway) as client:
        got = await client.ask(*extra, **pseudo)
        assert got.reset == PROTOCOL_ERROR
        assert (await client.ask()).status == 200
    assert len(upstream.heads) == 1


@pytest.mark.parametrize(("announced", "sent"), [(5, 3), (3, 5), (0, 2)])
async def test_a_body_of_another_length_than_announced_resets_its_stream(
    proxied: Proxied, announced: int, sent: int
) -> None:
    gateway, _ = await proxied(OK)
    async with http2(gateway) as client:
        got = await client.ask(("content-length", str(announced)), method="POST", body=bytes(sent))
        assert got.reset == PROTOCOL_ERROR
        await client.settle()
        assert counts(gateway) == {}


@pytest.mark.parametrize("path", ["//admin", "/a/%2e%2e/b", "/a\\b", "/%00", "/a%2Fb"])
async def test_the_path_policy_is_that_of_http_1(proxied: Proxied, path: str) -> None:
    gateway, upstream = await proxied(OK)
    over_1, _, _ = await gateway.ask(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode())
    async with http2(gateway) as client:
        got = await client.ask(path=path)
    assert (got.status or 400) == over_1
    targets = {head.split(b" ")[1] for head in upstream.heads}
    assert len(targets) <= 1


# -- what ends the connection


async def refused(proxied: Proxied, *frames: hf.Frame | bytes, settings: dict[int, int] | None = None) -> int:
    """Send frames, and return the code of the GOAWAY that follows."""
    gateway, _ = await proxied(OK)
    async with http2(gateway, settings) as client:
        await client.send(*frames)
        await client.end()
        assert client.goaways
        assert counts(gateway) == {}
        return client.goaways[-1][1]


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (hf.DataFrame(1, data=b"x"), PROTOCOL_ERROR),
        (hf.DataFrame(2, data=b"x"), PROTOCOL_ERROR),
        (hf.HeadersFrame(2, data=b"\x82", flags=["END_HEADERS"]), PROTOCOL_ERROR),
        (hf.HeadersFrame(1, data=b"\xff\xff\xff\xff\xff\x0f", flags=["END_HEADERS"]), COMPRESSION_ERROR),
        (hf.RstStreamFrame(1, error_code=CANCEL), PROTOCOL_ERROR),
        (hf.WindowUpdateFrame(1, window_increment=5), PROTOCOL_ERROR),
        (b"\0\0\4\x08\0\0\0\0\0\0\0\0\0", PROTOCOL_ERROR),
        (hf.WindowUpdateFrame(0, window_increment=2**31 - 1), FLOW_CONTROL_ERROR),
        (hf.SettingsFrame(0, settings={4: 2**31}), FLOW_CONTROL_ERROR),
        (hf.SettingsFrame(0, settings={5: 1}), PROTOCOL_ERROR),
        (b"\0\0\6\4\1\0\0\0\0\0\4\0\0\0\1", FRAME_SIZE_ERROR),
        (b"\0\0\5\2\0\0\0\0\3\0\0\0\3\0", PROTOCOL_ERROR),
        (b"\xff\0\0\0\0\0\0\0\1", FRAME_SIZE_ERROR),
    ],
)
async def test_what_breaks_the_protocol_ends_the_connection(
    proxied: Proxied, frame: hf.Frame | bytes, code: int
) -> None:
    assert await refused(proxied, frame) == code


async def test_a_stream_that_its_client_has_ended_takes_nothing_more(proxied: Proxied) -> None:
    gateway, _ = await proxied(OK)
    async with http2(gateway) as client:
        await client.ask()
        await client.send(*client.data(1, b"x"))
        await client.end()
        assert client.goaways[-1] == (1, STREAM_CLOSED)


async def test_streams_are_begun_in_their_order(proxied: Proxied) -> None:
    gateway, _ = await proxied(OK)
    async with http2(gateway) as client:
        await client.ask()
        await client.ask()
        await client.send(client.head(stream=1))
        await client.end()
        assert client.goaways[-1][1] == STREAM_CLOSED


async def test_a_bad_preface_gets_goaway_and_an_end(proxied: Proxied) -> None:
    gateway, _ = await proxied(OK)
    got = await gateway.send(PREFACE[:18] + b"XX\r\n\r\n")
    assert b"\x07" in got


async def test_more_data_than_the_connections_window_ends_it(proxied: Proxied) -> None:
    gateway, _ = await proxied(OK, "limits: {max_streams: 200}")
    async with http2(gateway) as client:
        sent = 0
        # The window of a connection is given back as DATA comes, so only one turn can exceed it.
        frames: list[hf.Frame] = []
        while sent <= CONNECTION_WINDOW + 65536:
            head = client.head(method="POST", ends=False)
            frames += [head, *client.data(head.stream_id, bytes(65535), ends=False)]
            sent += 65535
        await client.send(*frames)
        await client.settle()
        assert not client.goaways or client.goaways[-1][1] == FLOW_CONTROL_ERROR


@pytest.mark.parametrize(
    "flood",
    [
        [hf.PingFrame(0, opaque_data=b"12345678")] * 5000,
        [hf.SettingsFrame(0)] * 2000,
        [hf.PriorityFrame(1, depends_on=0, stream_weight=1)] * 5000,
        [hf.WindowUpdateFrame(0, window_increment=1)] * 5000,
    ],
    ids=["ping", "settings", "priority", "window"],
)
async def test_a_flood_of_frames_that_do_nothing_ends_the_connection(proxied: Proxied, flood: list[hf.Frame]) -> None:
    assert await refused(proxied, *flood) == ENHANCE_YOUR_CALM


async def test_rapid_resets_end_the_connection(proxied: Proxied) -> None:
    gateway, upstream = await proxied(OK)
    async with http2(gateway) as client:
        frames: list[hf.Frame] = []
        for _ in range(2000):
            head = client.head()
            frames += [head, hf.RstStreamFrame(head.stream_id, error_code=CANCEL)]
        await client.send(*frames)
        await client.end()
        assert client.goaways[-1][1] == ENHANCE_YOUR_CALM
    # What is reset in the read in which it came never begins.
    assert len(upstream.heads) <= 100
    await until(lambda: counts(gateway) == {})


async def test_resets_that_are_provoked_end_the_connection(proxied: Proxied) -> None:
    gateway, _ = await proxied(OK)
    async with http2(gateway) as client:
        frames: list[hf.Frame | bytes] = []
        for _ in range(1000):
            head = client.head(ends=False)
            frames += [head, hf.WindowUpdateFrame(head.stream_id, window_increment=2**31 - 1)]
        await client.send(*frames)
        await client.end()
        assert client.goaways[-1][1] == ENHANCE_YOUR_CALM
