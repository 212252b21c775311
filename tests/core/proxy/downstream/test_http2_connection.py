"""HTTP/2 from a client: requests, bodies, flow control, and what ends a stream or the connection."""

from __future__ import annotations

import asyncio

import hyperframe.frame as hf
import pytest

from tests.core.proxy.downstream.http2_client import (
    CANCEL,
    NO_ERROR,
    OK,
    PREFACE,
    Http2Client,
    http2,
)
from tests.core.proxy.kit import Peer, Proxied, StartProxy, StartUpstream, counts, field, until


async def test_a_request_is_served_like_one_of_http_1(proxied: Proxied) -> None:
    gateway, upstream = await proxied(OK)
    async with http2(gateway) as client:
        got = await client.ask(("x-a", "1"), ("cookie", "a=1"), ("cookie", "b=2"), path="/x?y=1", authority="a.example")
    assert (got.status, got.body) == (200, b"ok")
    assert got.headers["content-length"] == "2"
    assert {"date", "x-request-id", "via"} <= got.headers.keys()
    (head,) = upstream.heads
    assert head.startswith(b"GET /x?y=1 HTTP/1.1\r\n")
    assert field(head, b"cookie") == b"a=1; b=2"
    assert field(head, b"x-forwarded-host") == b"a.example"
    assert field(head, b"via") == b"2 gateway"


async def test_streams_of_a_connection_are_served_at_the_same_time(proxied: Proxied) -> None:
    gate = asyncio.Event()

    async def script(peer: Peer) -> None:
        while True:
            head = await peer.head()
            if b"/slow" in head:
                await gate.wait()
            await peer.send(OK)

    gateway, _ = await proxied(script)
    async with http2(gateway) as client:
        slow = client.head(path="/slow")
        await client.send(slow)
        assert (await client.ask(path="/quick")).status == 200
        assert not client.streams[slow.stream_id].heads
        gate.set()
        assert (await client.response(slow.stream_id)).status == 200


@pytest.mark.parametrize("length", [True, False])
async def test_a_body_goes_upstream_with_its_length_or_in_chunks(proxied: Proxied, length: bool) -> None:
    gateway, upstream = await proxied(OK)
    body = bytes(range(256)) * 100
    extra = [("content-length", str(len(body)))] if length else []
    async with http2(gateway) as client:
        got = await client.ask(*extra, method="POST", body=body)
    assert got.status == 200
    assert field(upstream.heads[0], b"content-length") == (b"25600" if length else None)
    assert field(upstream.heads[0], b"transfer-encoding") == (None if length else b"chunked")


async def test_a_head_that_comes_again_is_framed_as_its_body_is_each_time(proxied: Proxied) -> None:
    gateway, upstream = await proxied(OK)
    async with http2(gateway) as client:
        for _ in range(4):
            assert (await client.ask(("te", "trailers"), method="POST", body=b"abc")).status == 200
    found = [(field(head, b"transfer-encoding"), field(head, b"te")) for head in upstream.heads]
    assert found == [(b"chunked", b"trailers")] * 4


async def test_an_empty_body_of_unknown_length_is_none_or_empty(proxied: Proxied) -> None:
    gateway, upstream = await proxied(OK)
    async with http2(gateway) as client:
        assert (await client.ask(method="POST", body=b"")).status == 200
    assert upstream.heads


async def test_trailers_pass_both_ways(proxied: Proxied) -> None:
    seen: list[bytes] = []

    async def script(peer: Peer) -> None:
        await peer.head()
        seen.append(await peer.reader.readuntil(b"\r\n\r\n"))
        await peer.send(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n"
        )

    gateway, _ = await proxied(script)
    async with http2(gateway) as client:
        head = client.head(("trailer", "x-up"), method="POST", ends=False)
        stream = head.stream_id
        await client.send(head, *client.data(stream, b"up", ends=False))
        await client.send(client.fields([("x-up", "5")], stream=stream))
        got = await client.response(stream)
    assert got.body == b"ok"
    assert got.trailers == {"x-sum": "7"}
    assert b"x-up: 5" in seen[0]


@pytest.mark.parametrize("times", [1, 4])
async def test_trailers_are_believed_as_their_own_request_is_and_not_another_one_of_the_connection(
    start_proxy: StartProxy, start_upstream: StartUpstream, times: int
) -> None:
    seen: list[bytes] = []

    async def script(peer: Peer) -> None:
        while True:
            if b"chunked" in await peer.head():
                seen.append(await peer.reader.readuntil(b"\r\n\r\n"))
            await peer.send(OK)

    upstream = await start_upstream(script)
    gateway = await start_proxy(f"""
listen:
  - {{name: web, address: "127.0.0.1:0", hosts: [web.test], trusted_proxies: [127.0.0.1]}}
  - {{name: api, address: "127.0.0.1:0", hosts: [api.test]}}
routes: [{{id: all, path_prefix: /, target: "{upstream.url}"}}]
""")
    async with http2(gateway) as client:
        for _ in range(times):
            head = client.head(("trailer", "x-real-ip"), method="POST", authority="api.test", ends=False)
            stream = head.stream_id
            await client.send(head, *client.data(stream, b"up", ends=False))
            assert (await client.ask(authority="web.test")).status == 200
            await client.send(client.fields([("x-real-ip", "192.0.2.1")], stream=stream))
            assert (await client.response(stream)).status == 200
    assert len(seen) == times
    assert not any(b"192.0.2.1" in each for each in seen)


async def test_an_interim_response_goes_on(proxied: Proxied) -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
    gateway, _ = await proxied(hints + OK)
    async with http2(gateway) as client:
        got = await client.ask()
    assert got.heads[0][:2] == [(":status", "103"), ("link", "</a.css>")]
    assert got.status == 200


async def test_a_response_to_head_has_no_body(proxied: Proxied) -> None:
    gateway, _ = await proxied(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
    async with http2(gateway) as client:
        got = await client.ask(method="HEAD")
    assert (got.headers["content-length"], got.body, got.ended) == ("5", b"", True)


@pytest.mark.parametrize("status", [204, 304])
async def test_a_response_that_has_no_body_ends_with_its_head(proxied: Proxied, status: int) -> None:
    gateway, _ = await proxied(b"HTTP/1.1 %d x\r\n\r\n" % status)
    async with http2(gateway) as client:
        got = await client.ask()
    assert (got.status, got.body, got.ended) == (status, b"", True)


async def test_a_large_response_waits_for_windows_and_is_complete(proxied: Proxied) -> None:
    body = bytes(300_000)
    gateway, _ = await proxied(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    async with http2(gateway) as client:
        client.gives_credit = False
        await client.send(client.head())
        got = client.streams[client.last]
        await client.until(lambda: len(got.body) == 65535)
        await client.settle()
        assert len(got.body) == 65535
        client.gives_credit = True
        await client.send(
            hf.WindowUpdateFrame(0, window_increment=65535), hf.WindowUpdateFrame(client.last, window_increment=65535)
        )
        await client.response(client.last)
        assert len(got.body) == len(body)


async def test_a_stream_that_is_not_read_does_not_hold_up_others(proxied: Proxied) -> None:
    async def script(peer: Peer) -> None:
        while True:
            head = await peer.head()
            size = 400_000 if b"/large" in head else 2
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (size, bytes(size)))

    gateway, _ = await proxied(script)
    async with http2(gateway, {4: 1000}) as client:
        client.gives_credit = False
        large = client.head(path="/large")
        await client.send(large)
        await client.until(lambda: len(client.streams[large.stream_id].body) == 1000)
        assert (await client.ask(path="/small")).body == bytes(2)


async def test_a_body_that_the_upstream_does_not_read_stops_at_its_window(proxied: Proxied) -> None:
    reached, gate = asyncio.Event(), asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        peer.reader._transport.pause_reading()  # type: ignore[attr-defined]
        reached.set()
        await gate.wait()
        peer.reader._transport.resume_reading()  # type: ignore[attr-defined]
        await peer.send(OK)
        await peer.rest()

    gateway, _ = await proxied(script)
    async with http2(gateway) as client:
        head = client.head(method="POST", ends=False)
        await client.send(head)
        await asyncio.wait_for(reached.wait(), 20)
        credit, taken = 65535, 0
        while credit:
            await client.send(*client.data(head.stream_id, bytes(credit), ends=False))
            credit = 0
            for _ in range(20):  # sockets between us and the upstream may take more for a while
                await client.settle()
            for frame in client.frames[taken:]:
                if isinstance(frame, hf.WindowUpdateFrame) and frame.stream_id == head.stream_id:
                    credit += frame.window_increment
            taken = len(client.frames)
        gate.set()
        await client.send(hf.RstStreamFrame(head.stream_id, error_code=CANCEL))
        assert (await client.ask()).status in {200, 502}


async def test_windows_grow_for_a_body_that_is_taken(proxied: Proxied) -> None:
    gateway, upstream = await proxied(OK)
    async with http2(gateway) as client:
        head = client.head(("content-length", "4000000"), method="POST", ends=False)
        await client.send(head)
        credit, left, position = 65535, 4_000_000, 0
        outstanding = []
        while left:
            size = min(credit, left, 16384)
            if size:
                left -= size
                credit -= size
                await client.send(*client.data(head.stream_id, bytes(size), ends=not left))
            else:
                await client.read()
            for frame in client.frames[position:]:
                if isinstance(frame, hf.WindowUpdateFrame) and frame.stream_id == head.stream_id:
                    credit += frame.window_increment
            position = len(client.frames)
            outstanding.append(credit)
        assert (await client.response(head.stream_id)).status == 200
    assert max(outstanding) > 500_000
    assert len(upstream.bodies[0]) == 4_000_000


async def test_a_client_that_resets_its_stream_frees_the_upstream(proxied: Proxied) -> None:
    reached, closed = asyncio.Event(), asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        reached.set()
        await peer.rest()
        closed.set()

    gateway, _ = await proxied(script)
    async with http2(gateway) as client:
        await client.send(client.head())
        await asyncio.wait_for(reached.wait(), 20)
        await client.send(hf.RstStreamFrame(client.last, error_code=CANCEL))
        await asyncio.wait_for(closed.wait(), 20)
        await client.settle()
        assert counts(gateway) == {}


async def test_a_response_before_the_end_of_the_request_stops_the_client(proxied: Proxied) -> None:
    gateway, _ = await proxied(OK, "limits: {max_body_bytes: 10}")
    async with http2(gateway) as client:
        head = client.head(method="POST", ends=False)
        await client.send(head, *client.data(head.stream_id, bytes(50), ends=False))
        await client.until(lambda: client.streams[head.stream_id].reset is not None)
        got = client.streams[head.stream_id]
        assert (got.status, got.reset) == (413, NO_ERROR)
        # What the client sent before it knew is passed over.
        await client.send(*client.data(head.stream_id, bytes(50), ends=True))
        assert (await client.ask()).status == 200


async def test_a_response_that_breaks_off_resets_its_stream(proxied: Proxied) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        peer.close()

    gateway, _ = await proxied(script)
    async with http2(gateway) as client:
        got = await client.ask()
        assert got.status == 200
        assert got.reset == 2
        await client.settle()
        assert not client.closed


# -- ends


async def test_draining_says_so_in_two_steps_and_serves_what_was_begun(proxied: Proxied) -> None:
    reached, gate = asyncio.Event(), asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        reached.set()
        await gate.wait()
        await peer.send(OK)

    gateway, _ = await proxied(script)
    async with http2(gateway) as client:
        await client.send(client.head())
        await asyncio.wait_for(reached.wait(), 20)
        gateway.proxy.connections.close_idle()
        await client.until(lambda: any(isinstance(each, hf.PingFrame) for each in client.frames))
        assert client.goaways == [(2**31 - 1, NO_ERROR)]
        (ping,) = [each for each in client.frames if isinstance(each, hf.PingFrame)]
        await client.send(hf.PingFrame(0, opaque_data=ping.opaque_data, flags=["ACK"]))
        await client.until(lambda: len(client.goaways) == 2)
        assert client.goaways[1] == (1, NO_ERROR)
        gate.set()
        assert (await client.response(1)).status == 200
        await client.end()


async def test_a_client_that_does_not_acknowledge_is_told_the_last_stream_as_well(proxied: Proxied) -> None:
    gateway, _ = await proxied(OK)
    async with http2(gateway) as client:
        gateway.proxy.connections.close_idle()
        await client.until(lambda: bool(client.goaways))
        await gateway.pass_time(2)
        await client.end()
        assert client.goaways == [(2**31 - 1, NO_ERROR), (0, NO_ERROR)]


async def test_an_old_connection_is_ended_by_its_age(proxied: Proxied) -> None:
    gateway, _ = await proxied(OK, "limits: {max_connection_age: 60s}")
    async with http2(gateway) as client:
        await client.ask()
        await gateway.pass_time(30)
        await client.settle()
        assert not client.goaways
        await gateway.pass_time(40)
        await client.until(lambda: bool(client.goaways))
        assert client.goaways == [(2**31 - 1, NO_ERROR)]


async def test_an_idle_connection_is_closed(proxied: Proxied) -> None:
    gateway, _ = await proxied(OK, "limits: {idle_timeout: 20s}")
    async with http2(gateway) as client:
        await client.ask()
        await gateway.pass_time(25)
        await client.end()
        assert client.goaways == [(1, NO_ERROR)]


async def test_a_block_that_is_not_completed_ends_the_connection(proxied: Proxied) -> None:
    gateway, _ = await proxied(OK)
    async with http2(gateway) as client:
        await client.ask()
        await client.send(hf.HeadersFrame(3, data=b"\x82", flags=[]))
        await gateway.passing(5, client.end())
        assert client.goaways


async def test_a_client_that_takes_nothing_loses_its_stream(proxied: Proxied) -> None:
    gateway, _ = await proxied(b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n" + bytes(9000))
    async with http2(gateway, {4: 10}) as client:
        client.gives_credit = False
        await client.send(client.head())
        got = client.streams[client.last]
        await client.until(lambda: len(got.body) == 10)
        await gateway.passing(30, client.response(client.last))
        assert got.reset == CANCEL
        assert not client.goaways


async def test_http2_can_be_switched_off(proxied: Proxied) -> None:
    gateway, _ = await proxied(OK, "listen: [{address: '127.0.0.1:0', http2: false}]")
    assert (await gateway.send(PREFACE)).startswith(b"HTTP/1.1 400")


async def test_a_client_that_closes_leaves_nothing(proxied: Proxied) -> None:
    gateway, _ = await proxied(OK)
    async with http2(gateway) as client:
        await client.send(*[client.head() for _ in range(20)])
    await until(lambda: counts(gateway) == {} and not len(gateway.proxy.connections))


async def test_bytes_may_come_one_by_one(proxied: Proxied) -> None:
    gateway, _ = await proxied(OK)
    peer = await gateway.connect()
    client = Http2Client(peer)
    data = PREFACE + hf.SettingsFrame(0).serialize() + client.head().serialize()
    for position in range(len(data)):
        await peer.send(data[position : position + 1])
        await asyncio.sleep(0)
    assert (await client.response(1)).status == 200
