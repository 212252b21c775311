"""What clients of HTTP/2 may do that costs the gateway more than them: each has a budget, and every other client goes
on. Clients who do the same for a good reason stay within it.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import hyperframe.frame as hf
import pytest
from gateway_core.metrics.samples import Samples
from gateway_core.proxy.http2.frame_turns import FIELD_BYTES_AT_ONCE

from tests.core.proxy.downstream.http2_client import CANCEL, ENHANCE_YOUR_CALM, NO_ERROR, OK, Http2Client, http2
from tests.core.proxy.downstream.http2_conformance import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GET,
    GOAWAY,
    PADDED,
    PING,
    POST,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    headers,
    literal,
    open_post,
    raw,
)
from tests.core.proxy.kit import Peer, Proxied, RunningProxy, counts, settled, until

LARGE = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + bytes(1_000_000)
NOTHING = b"HTTP/1.1 204 No Content\r\n\r\n"

EMPTY_PIECES = [headers(GET, 1, END_STREAM), *[raw(CONTINUATION, 0, 1)] * 1000]
LARGE_PIECES = [headers(GET, 1, END_STREAM), *[raw(CONTINUATION, 0, 1, literal(b"x", b"y") * 2000)] * 10]
RESETS = [headers(GET, 1), *[raw(RST_STREAM, 0, 1, struct.pack(">I", CANCEL))] * 5000]

FLOODS = {
    "PING": [raw(PING, 0, 0, bytes(8))] * 5000,
    "acknowledgements of PING": [raw(PING, ACK, 0, bytes(8))] * 5000,
    "SETTINGS": [raw(SETTINGS, 0, 0)] * 1000,
    "acknowledgements of SETTINGS": [raw(SETTINGS, ACK, 0)] * 5000,
    "PRIORITY": [raw(PRIORITY, 0, 1, bytes(4) + b"\1")] * 5000,
    "PRIORITY_UPDATE": [raw(16, 0, 0, b"\0\0\0\1u=1")] * 5000,
    "small windows": [raw(WINDOW_UPDATE, 0, 0, b"\0\0\0\1")] * 5000,
    "large windows": [headers(GET, 1), *[raw(WINDOW_UPDATE, 0, 1, struct.pack(">I", 2000))] * 50_000],
    "empty DATA": [open_post(), *[raw(DATA, 0, 1)] * 5000],
    "DATA of padding": [open_post(), *[raw(DATA, PADDED, 1, b"\x08" + bytes(8))] * 5000],
    "empty DATA of a stream that is reset": [
        open_post(), raw(WINDOW_UPDATE, 0, 1, struct.pack(">I", 2**31 - 1)), *[raw(DATA, 0, 1)] * 5000
    ],
    "HEADERS of a stream that is reset": [
        open_post(), raw(WINDOW_UPDATE, 0, 1, struct.pack(">I", 2**31 - 1)), *[headers(GET, 1)] * 5000
    ],
    "RST_STREAM of a stream that is gone": RESETS,
    "GOAWAY": [raw(GOAWAY, 0, 0, bytes(8))] * 5000,
    "frames of an extension": [raw(0xF0, 0, 0)] * 5000,
    "pieces of a block": EMPTY_PIECES,
    "a block without an end": LARGE_PIECES,
    "streams that are reset": [
        each for stream in range(1, 4000, 2) for each in (headers(GET, stream), raw(RST_STREAM, 0, stream, bytes(4)))
    ],
    "malformed heads": [headers(GET + literal(b"X", b"y"), stream) for stream in range(1, 4000, 2)],
    "streams beyond the limit": [open_post(stream) for stream in range(1, 4000, 2)],
    "resets that are provoked by windows": [
        each
        for stream in range(1, 4000, 2)
        for each in (headers(GET, stream), raw(WINDOW_UPDATE, 0, stream, struct.pack(">I", 2**31 - 1)))
    ],
    "resets that are provoked by no window": [
        each for stream in range(1, 4000, 2) for each in (headers(GET, stream), raw(WINDOW_UPDATE, 0, stream, bytes(4)))
    ],
    "resets that are provoked by DATA": [
        each for stream in range(1, 4000, 2) for each in (headers(GET, stream), raw(DATA, 0, stream, b"x"))
    ],
    "resets that are provoked by HEADERS": [
        each for stream in range(1, 4000, 2) for each in (headers(GET, stream), headers(GET, stream))
    ],
    "resets that are provoked by a length": [
        each
        for stream in range(1, 4000, 2)
        for each in (
            headers(POST + literal(b"content-length", b"1"), stream, END_HEADERS),
            raw(DATA, END_STREAM, stream, b"xy"),
        )
    ],
}  # fmt: skip


@pytest.fixture
async def other(proxied: Proxied) -> AsyncIterator[tuple[RunningProxy, Http2Client]]:
    """A gateway and a client that does nothing wrong."""

    async def script(peer: Peer) -> None:
        while True:
            await peer.head()
            await peer.send(OK)

    gateway, _ = await proxied(script)
    async with http2(gateway) as client:
        yield gateway, client


@pytest.mark.parametrize("flood", FLOODS.values(), ids=[name.replace(" ", "-") for name in FLOODS])
async def test_a_flood_ends_its_connection_and_no_other(
    other: tuple[RunningProxy, Http2Client], flood: list[bytes]
) -> None:
    gateway, client = other
    async with http2(gateway) as hostile:
        hostile.peer.writer.write(b"".join(flood))
        assert (await client.ask()).status == 200
        await hostile.end()
        assert hostile.goaways[-1][1] == ENHANCE_YOUR_CALM
        assert (await client.ask()).status == 200
    await until(lambda: not counts(gateway))


async def test_many_frames_of_one_read_are_acted_upon_in_turns(other: tuple[RunningProxy, Http2Client]) -> None:
    gateway, client = other
    async with http2(gateway) as busy:
        # Each is legitimate: DATA of one byte.
        await busy.send(open_post(), raw(DATA, 0, 1, b"x") * 30_000)
        got = [asyncio.ensure_future(client.ask()) for _ in range(1)]  # noqa: TID251 - awaited below
        assert (await got[0]).status == 200
        await busy.send(raw(DATA, END_STREAM, 1))
        assert (await busy.response(1)).status == 200
        assert not busy.goaways


async def test_blocks_of_many_fields_in_one_read_are_decoded_in_turns(other: tuple[RunningProxy, Http2Client]) -> None:
    """A byte of a block stands for a field: a read of a quarter of a mebibyte may hold 200,000 of them."""
    gateway, _ = other
    block = GET + b"\x90" * 1000 + literal(b"X", b"y")
    malformed = b"".join(headers(block, stream) for stream in range(1, 400, 2))
    seen: list[Any] = [0]

    async with http2(gateway) as hostile:
        hostile.peer.writer.write(malformed)
        while seen[-1] < 200:
            await asyncio.sleep(0)
            samples = Samples()
            gateway.proxy.http2_counts.put(samples, "client")
            seen.append(samples.value("gateway_http2_resets", "client", "gateway", "PROTOCOL_ERROR") or 0)

    assert max(after - before for before, after in pairwise(seen)) <= FIELD_BYTES_AT_ONCE // len(block) + 1


# -- clients that take nothing


async def test_responses_that_nobody_takes_are_not_read_from_the_upstream(proxied: Proxied) -> None:
    sent = 0

    async def script(peer: Peer) -> None:
        nonlocal sent
        while True:
            await peer.head()
            peer.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n")
            for _ in range(500):
                await peer.send(bytes(100_000))
                sent += 100_000

    gateway, _ = await proxied(script)
    async with http2(gateway, {4: 0}) as slow:
        slow.gives_credit = False
        await slow.send(slow.head())
        before = -1
        while before != sent:
            before = sent
            for _ in range(5):
                await slow.settle()
        assert sent < 20_000_000  # what sockets and one window hold
        assert (await gateway.passing(30, slow.response(1))).reset is not None
    await until(lambda: not counts(gateway))


def deaf(peer: Peer) -> None:
    """Have a client take nothing from its socket, of which little fits in."""
    sock: socket.socket = peer.writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    peer.writer.transport.pause_reading()  # type: ignore[attr-defined]


async def test_a_client_that_takes_no_responses_is_not_read_and_loses_its_connection(proxied: Proxied) -> None:
    fields = b"".join(b"X-%d: %b\r\n" % (number, b"v" * 1000) for number in range(10))
    response = b"HTTP/1.1 204 No Content\r\n%b\r\n" % fields
    gateway, upstream = await proxied(response)
    async with http2(gateway) as client:
        deaf(client.peer)
        served = -1
        for first in range(0, 5000, 100):  # the heads of the responses to all of them would be 50 MB
            if served == (served := len(upstream.heads)):
                break
            await client.send(*[headers(GET, 1 + 2 * number) for number in range(first, first + 100)])
            await settled(lambda: len(upstream.heads))
        assert served < 3000
        await gateway.passing(30, until(lambda: not len(gateway.proxy.connections)))
    await until(lambda: not counts(gateway))


async def test_a_client_that_is_slow_to_take_responses_gets_them_all(proxied: Proxied) -> None:
    fields = b"".join(b"X-%d: %b\r\n" % (number, b"v" * 1000) for number in range(10))
    gateway, upstream = await proxied(b"HTTP/1.1 204 No Content\r\n%b\r\n" % fields, "limits: {max_streams: 1000}")
    async with http2(gateway) as client:
        deaf(client.peer)
        await client.send(*[headers(GET, 1 + 2 * number) for number in range(200)])
        await settled(lambda: len(upstream.heads))
        client.peer.writer.transport.resume_reading()  # type: ignore[attr-defined]
        for number in range(200):
            assert (await client.response(1 + 2 * number)).status == 204


# -- clients that have a good reason


async def test_grpc_may_measure_round_trips_by_ping(proxied: Proxied) -> None:
    gateway, _ = await proxied(OK)
    async with http2(gateway) as client:
        for number in range(300):  # one for each window of DATA
            await client.send(raw(PING, 0, 0, bytes(8)), headers(GET, 1 + 2 * number))
            assert (await client.response(1 + 2 * number)).status == 200
        assert not client.goaways


async def test_small_windows_may_be_returned_for_what_was_sent(proxied: Proxied) -> None:
    gateway, _ = await proxied(LARGE)
    async with http2(gateway, {4: 2**20}) as client:
        client.gives_credit = False
        await client.send(raw(WINDOW_UPDATE, 0, 0, struct.pack(">I", 2**20)), headers(GET, 1))
        assert len((await client.response(1)).body) == 1_000_000
        await client.send(*[raw(WINDOW_UPDATE, 0, 0, struct.pack(">I", 100))] * 2500)  # 2,000 points, and 976 earned
        client.gives_credit = True
        client.skip_to(3)
        assert (await client.ask()).status == 200
        assert not client.goaways


async def test_a_fast_download_may_be_acknowledged_by_each_kibibyte(proxied: Proxied) -> None:
    """Clients of Go return both windows with each read of their programs, which are of 4 to 16 KiB."""
    size = 64 << 20

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size >> 20):
            await peer.send(bytes(1 << 20))

    gateway, _ = await proxied(script)
    async with http2(gateway, {4: 2**30}) as client:
        client.gives_credit = False
        await client.send(raw(WINDOW_UPDATE, 0, 0, struct.pack(">I", 2**30)), headers(GET, 1))
        got = client.expect(1)
        taken = 0
        while taken < size and await client.read():
            if len(got.body) >= 65_536 or taken + len(got.body) == size:
                await client.send(raw(WINDOW_UPDATE, 0, 1, struct.pack(">I", 1024)) * (len(got.body) >> 10))
                taken, got.body = taken + len(got.body), b""
        assert taken == size
        assert not client.goaways


async def test_a_browser_may_leave_a_page_of_200_images(proxied: Proxied) -> None:
    gate = asyncio.Event()

    async def script(peer: Peer) -> None:
        while True:
            await peer.head()
            await gate.wait()
            await peer.send(OK)

    gateway, _ = await proxied(script, "limits: {max_streams: 256}")
    async with http2(gateway) as client:
        heads = [client.head(path=f"/{number}.png") for number in range(200)]
        await client.send(*heads)
        await client.settle()
        await client.send(*[hf.RstStreamFrame(head.stream_id, error_code=CANCEL) for head in heads])
        gate.set()
        assert (await client.ask(path="/next")).status == 200
        assert not client.goaways
    await until(lambda: not counts(gateway))


async def test_a_hundred_streams_a_second_may_be_cancelled_for_ever(proxied: Proxied) -> None:
    async def script(peer: Peer) -> None:
        while True:
            if b"/slow" not in await peer.head():
                await peer.send(OK)

    gateway, _ = await proxied(script)
    async with http2(gateway) as client:
        for _ in range(20):  # seconds
            for _ in range(5):
                heads = [client.head(path="/slow") for _ in range(20)]
                await client.send(*heads)
                await client.settle()
                await client.send(*[hf.RstStreamFrame(head.stream_id, error_code=CANCEL) for head in heads])
            assert (await client.ask()).status == 200
            await gateway.pass_time(1)
        assert not client.goaways


async def test_an_upload_in_frames_that_reads_cut_goes_on_as_long_as_it_moves(proxied: Proxied) -> None:
    """No read ends where a frame does, for longer than the rest of one frame may take."""

    received = 0

    async def script(peer: Peer) -> None:
        nonlocal received
        await peer.head()
        while data := await peer.reader.read(100_000):
            received += len(data)

    gateway, _ = await proxied(script, "limits: {header_timeout: 10s}")
    async with http2(gateway) as client:
        frame = raw(DATA, 0, 1, bytes(1000))
        await client.send(open_post(), frame[:500])
        for number in range(1, 11):
            await client.send(frame[500:] + frame[:500])
            await until(lambda: received > 1000 * number)  # noqa: B023 - awaited here
            await gateway.pass_time(4)
        await client.send(frame[500:])
        await client.settle()
        assert not client.goaways


async def test_streams_that_are_begun_behind_the_last_goaway_break_nothing(proxied: Proxied) -> None:
    gate, reached = asyncio.Event(), asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        reached.set()
        await gate.wait()
        await peer.send(OK)

    gateway, upstream = await proxied(script)
    async with http2(gateway) as client:
        await client.send(headers(GET, 1))
        await asyncio.wait_for(reached.wait(), 20)
        gateway.proxy.connections.close_idle()
        await client.until(lambda: bool(client.goaways))
        await gateway.pass_time(2)  # the PING is not acknowledged
        await client.until(lambda: len(client.goaways) == 2)
        late = [open_post(3), raw(DATA, 0, 3, b"x"), raw(WINDOW_UPDATE, 0, 3, b"\0\0\1\0")]
        await client.send(*late, raw(RST_STREAM, 0, 3, bytes(4)))
        await client.settle()
        gate.set()
        assert (await client.response(1)).status == 200
        await client.end()
    assert [code for _, code in client.goaways] == [NO_ERROR, NO_ERROR]
    assert upstream.connections == 1


async def test_a_flood_of_streams_behind_the_last_goaway_ends_the_connection(proxied: Proxied) -> None:
    reached = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        reached.set()
        await peer.rest()

    gateway, _ = await proxied(script)
    async with http2(gateway) as client:
        await client.send(headers(GET, 1))
        await asyncio.wait_for(reached.wait(), 20)
        gateway.proxy.connections.close_idle()
        await client.until(lambda: bool(client.goaways))
        await gateway.pass_time(2)  # the PING is not acknowledged
        await client.until(lambda: len(client.goaways) == 2)
        client.peer.writer.write(headers(GET, 3) * 5000)
        await client.end()
        assert client.goaways[-1][1] == ENHANCE_YOUR_CALM
    await until(lambda: not counts(gateway))
