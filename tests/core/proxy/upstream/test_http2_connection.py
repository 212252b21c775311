"""HTTP/2 to an endpoint."""

from __future__ import annotations

import asyncio

import hyperframe.frame as hf
import pytest

from tests.core.proxy.downstream.http2_client import http2
from tests.core.proxy.kit import counts, field, until
from tests.core.proxy.upstream.http2_endpoint import Asked, StartHttp2

CANCEL, REFUSED_STREAM, NO_ERROR, INTERNAL_ERROR = 8, 7, 0, 2
GET = b"GET /x?y=1 HTTP/1.1\r\nHost: a.example\r\nX-Own: 1\r\n\r\n"


async def ok(asked: Asked) -> None:
    await asked.respond()


async def test_a_request_goes_over_http_2(start_http2: StartHttp2) -> None:
    gateway, endpoint = await start_http2(ok)
    status, head, body = await gateway.ask(GET)
    assert (status, body) == (200, b"ok")
    assert field(head, b"content-length") == b"2"
    (asked,) = endpoint.asked
    assert asked.fields[:4] == [
        (":method", "GET"),
        (":scheme", "http"),
        (":path", "/x?y=1"),
        (":authority", f"127.0.0.1:{endpoint.port}"),
    ]
    assert asked.headers["x-own"] == "1"
    assert not {"connection", "host", "transfer-encoding"} & asked.headers.keys()
    assert endpoint.connections[0].settings[2] == 0


async def test_requests_share_one_connection(start_http2: StartHttp2) -> None:
    gate = asyncio.Event()

    async def script(asked: Asked) -> None:
        await gate.wait()
        await asked.respond()

    gateway, endpoint = await start_http2(script)
    async with http2(gateway) as client:
        heads = [client.head() for _ in range(20)]
        await client.send(*heads)
        await until(lambda: len(endpoint.asked) == 20)
        gate.set()
        for head in heads:
            assert (await client.response(head.stream_id)).status == 200
    assert len(endpoint.connections) == 1


async def test_bodies_and_trailers_pass_both_ways(start_http2: StartHttp2) -> None:
    async def script(asked: Asked) -> None:
        await asked.complete.wait()
        await asked.head(200, ("content-type", "application/grpc"))
        await asked.data(asked.body)
        await asked.end(("grpc-status", "0"))

    gateway, endpoint = await start_http2(script)
    body = bytes(range(256)) * 1000
    async with http2(gateway) as client:
        head = client.head(("te", "trailers"), method="POST", ends=False)
        await client.send(head, *client.data(head.stream_id, body[:60_000], ends=False))
        await client.settle()
        for at in range(60_000, len(body), 16_000):
            await client.send(*client.data(head.stream_id, body[at : at + 16_000], ends=False))
            await client.settle()
        await client.send(client.fields([("x-sum", "1")], stream=head.stream_id))
        got = await client.response(head.stream_id)
    assert got.body == body
    assert got.trailers == {"grpc-status": "0"}
    assert endpoint.asked[0].headers["te"] == "trailers"
    assert endpoint.asked[0].trailers == [("x-sum", "1")]


async def test_a_body_of_http_1_goes_on_whole(start_http2: StartHttp2) -> None:
    async def script(asked: Asked) -> None:
        await asked.complete.wait()
        await asked.respond(b"%d" % len(asked.body))

    gateway, endpoint = await start_http2(script)
    status, _, body = await gateway.ask(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello")
    assert (status, body) == (200, b"5")
    assert endpoint.asked[0].headers["content-length"] == "5"
    chunked = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    assert (await gateway.ask(chunked))[2] == b"3"


@pytest.mark.parametrize("status", [204, 304, 200])
async def test_a_response_may_have_no_body(start_http2: StartHttp2, status: int) -> None:
    async def script(asked: Asked) -> None:
        await asked.head(status, ends=True)

    gateway, _ = await start_http2(script)
    async with http2(gateway) as client:
        got = await client.ask()
        assert (got.status, got.body) == (status, b"")


async def test_interim_responses_go_on(start_http2: StartHttp2) -> None:
    async def script(asked: Asked) -> None:
        await asked.head(103, ("link", "</a>"))
        await asked.respond()

    gateway, _ = await start_http2(script)
    async with http2(gateway) as client:
        got = await client.ask()
    assert got.heads[0][1] == ("link", "</a>")


async def test_a_client_that_does_not_read_holds_up_no_other(start_http2: StartHttp2) -> None:
    async def script(asked: Asked) -> None:
        if asked.headers[":path"] == "/large":
            await asked.head(200)
            await asked.data(bytes(60_000))
        else:
            await asked.respond()

    gateway, endpoint = await start_http2(script)
    async with http2(gateway, {4: 10}) as slow, http2(gateway) as other:
        slow.gives_credit = False
        await slow.send(*[slow.head(path="/large") for _ in range(30)])
        await until(lambda: len(endpoint.asked) == 30)
        for _ in range(10):
            assert (await other.ask(path="/small")).status == 200
    assert len(endpoint.connections) == 1


async def test_a_slow_endpoint_makes_the_client_wait(start_http2: StartHttp2) -> None:
    async def script(asked: Asked) -> None:
        await asyncio.Event().wait()

    gateway, endpoint = await start_http2(script)
    endpoint.gives_credit = False
    async with http2(gateway) as client:
        head = client.head(method="POST", ends=False)
        await client.send(head)
        await until(lambda: bool(endpoint.asked))
        credit, taken, sent = 65535, 0, 0
        while credit:
            await client.send(*client.data(head.stream_id, bytes(credit), ends=False))
            sent, credit = sent + credit, 0
            for _ in range(10):
                await client.settle()
            for frame in client.frames[taken:]:
                if isinstance(frame, hf.WindowUpdateFrame) and frame.stream_id == head.stream_id:
                    credit += frame.window_increment
            taken = len(client.frames)
        assert sent < 1_000_000
        assert len(endpoint.asked[0].body) == 65535


async def test_a_request_that_is_given_up_resets_its_stream_only(start_http2: StartHttp2) -> None:
    async def script(asked: Asked) -> None:
        if asked.headers[":path"] != "/never":
            await asked.respond()

    gateway, endpoint = await start_http2(script)
    async with http2(gateway) as client:
        head = client.head(path="/never")
        await client.send(head)
        await until(lambda: bool(endpoint.asked))
        await client.send(hf.RstStreamFrame(head.stream_id, error_code=CANCEL))
        assert await asyncio.wait_for(endpoint.asked[0].reset, 20) == CANCEL
        assert (await client.ask(path="/next")).status == 200
    assert len(endpoint.connections) == 1
    assert counts(gateway) == {}


async def test_windows_grow_for_a_response_that_is_taken(start_http2: StartHttp2) -> None:
    async def script(asked: Asked) -> None:
        await asked.head(200)
        credit, left, position = 65535, 3_000_000, 0
        frames = asked.connection.frames
        while left:
            size = min(credit, left)
            if size:
                left, credit = left - size, credit - size
                await asked.data(bytes(size), ends=not left)
            await asyncio.sleep(0)
            for frame in frames[position:]:
                if isinstance(frame, hf.WindowUpdateFrame) and frame.stream_id == asked.stream:
                    credit += frame.window_increment
            position = len(frames)
            largest.append(credit)

    largest: list[int] = []
    gateway, _ = await start_http2(script)
    async with http2(gateway) as client:
        got = await client.ask()
    assert len(got.body) == 3_000_000
    assert max(largest) > 500_000


async def test_an_endpoint_that_reduces_its_table_learns_that_it_is_empty(start_http2: StartHttp2) -> None:
    """The first block behind its SETTINGS begins with a size (RFC 7541 section 4.2)."""

    async def script(asked: Asked) -> None:
        if not asked.connection.decoder.max_allowed_table_size:
            await asked.respond()
            return
        # What goes out behind the acknowledgement of this is read by a decoder without a table.
        asked.connection.decoder.max_allowed_table_size = 0
        await asked.connection.send(hf.SettingsFrame(0, settings={1: 0}))
        await asked.respond()

    gateway, endpoint = await start_http2(script)
    for _ in range(3):
        assert (await gateway.ask(GET))[0] == 200
    assert len(endpoint.connections) == 1
