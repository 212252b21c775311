"""How streams and connections of HTTP/2 to an endpoint end."""

from __future__ import annotations

import asyncio

import hyperframe.frame as hf
import pytest

from tests.core.proxy.downstream.http2_client import http2
from tests.core.proxy.kit import StartProxy, counts, until
from tests.core.proxy.upstream.http2_endpoint import Asked, StartHttp2

CANCEL, REFUSED_STREAM, NO_ERROR, INTERNAL_ERROR = 8, 7, 0, 2
GET = b"GET /x?y=1 HTTP/1.1\r\nHost: a.example\r\nX-Own: 1\r\n\r\n"


async def ok(asked: Asked) -> None:
    await asked.respond()


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_refused_stream_is_sent_again_whatever_its_method(start_http2: StartHttp2, method: str) -> None:
    tries = 0

    async def script(asked: Asked) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            await asked.send_reset(REFUSED_STREAM)
        else:
            await asked.complete.wait()
            await asked.respond(asked.body or b"none")

    gateway, endpoint = await start_http2(script)
    async with http2(gateway) as client:
        got = await client.ask(method=method, body=b"body" if method == "POST" else None)
    assert (got.status, got.body) == (200, b"body" if method == "POST" else b"none")
    assert len(endpoint.asked) == 2


async def test_streams_that_are_refused_are_sent_where_there_is_room(start_http2: StartHttp2) -> None:
    taken: dict[object, int] = {}
    gate = asyncio.Event()

    async def script(asked: Asked) -> None:
        if taken.get(asked.connection, 0) == 10:  # although it announces no limit
            await asked.send_reset(REFUSED_STREAM)
            return
        taken[asked.connection] = taken.get(asked.connection, 0) + 1
        if sum(taken.values()) == 20:
            gate.set()
        await gate.wait()
        await asked.respond()

    gateway, _ = await start_http2(script)
    async with http2(gateway) as client:
        heads = [client.head(method="POST") for _ in range(20)]
        await client.send(*heads)
        assert [(await client.response(head.stream_id)).status for head in heads] == [200] * 20
    assert list(taken.values()) == [10, 10]


async def test_streams_that_are_refused_again_and_again_are_a_failure(start_http2: StartHttp2) -> None:
    async def script(asked: Asked) -> None:
        await asked.send_reset(REFUSED_STREAM)

    gateway, endpoint = await start_http2(script, upstream_extra="retries: {attempts: 1}")
    async with http2(gateway) as client:
        assert (await client.ask()).status == 502
    assert len(endpoint.asked) <= 4
    assert counts(gateway) == {}


async def test_goaway_sends_what_the_endpoint_has_not_seen_over_another_connection(start_http2: StartHttp2) -> None:
    async def script(asked: Asked) -> None:
        connection = asked.connection
        if connection is endpoint.connections[0] and asked.stream > 1:
            await connection.send(hf.GoAwayFrame(0, last_stream_id=1, error_code=NO_ERROR))
        elif connection is endpoint.connections[0]:
            await asyncio.wait_for(again.wait(), 20)
            await asked.respond(b"first")
        else:
            await asked.respond(b"second")
            again.set()

    again = asyncio.Event()
    gateway, endpoint = await start_http2(script)
    async with http2(gateway) as client:
        first, second = client.head(), client.head()
        await client.send(first)
        await until(lambda: len(endpoint.asked) == 1)
        await client.send(second)
        assert (await client.response(second.stream_id)).body == b"second"
        assert (await client.response(first.stream_id)).body == b"first"
        await asyncio.wait_for(endpoint.connections[0].ended.wait(), 20)
    assert len(endpoint.connections) == 2


@pytest.mark.parametrize(("closing", "status"), [(5, 200), (100, 502)])
async def test_a_request_that_no_connection_has_seen_is_sent_again_a_few_times(
    start_http2: StartHttp2, closing: int, status: int
) -> None:
    async def script(asked: Asked) -> None:
        if len(endpoint.connections) <= closing:
            await asked.connection.send(hf.GoAwayFrame(0, last_stream_id=0, error_code=NO_ERROR))
        else:
            await asked.complete.wait()
            await asked.respond(asked.body)

    gateway, endpoint = await start_http2(script)
    async with http2(gateway) as client:
        got = await client.ask(method="POST", body=b"body")
    assert got.status == status
    assert got.body == b"body" or status == 502
    assert len(endpoint.asked) == 6
    assert counts(gateway) == {}


async def test_the_limit_of_streams_is_obeyed(start_http2: StartHttp2) -> None:
    gate = asyncio.Event()

    async def script(asked: Asked) -> None:
        await gate.wait()
        await asked.respond()

    gateway, endpoint = await start_http2(script, settings={3: 2})
    async with http2(gateway) as client:
        await client.send(client.head(path="/first"))
        await until(lambda: len(endpoint.asked) == 1)
        heads = [client.head() for _ in range(5)]
        await client.send(*heads)
        await until(lambda: len(endpoint.asked) == 6)
        assert all(len(connection.streams) <= 2 for connection in endpoint.connections)
        gate.set()
        for head in heads:
            assert (await client.response(head.stream_id)).status == 200


async def test_reset_with_no_error_behind_a_response_leaves_it_complete(start_http2: StartHttp2) -> None:
    async def script(asked: Asked) -> None:
        await asked.respond(b"enough")
        await asked.send_reset(NO_ERROR)

    gateway, _ = await start_http2(script)
    async with http2(gateway) as client:
        head = client.head(method="POST", ends=False)
        await client.send(head, *client.data(head.stream_id, b"part", ends=False))
        await client.until(lambda: client.streams[head.stream_id].reset is not None)
        got = client.streams[head.stream_id]
        assert (got.status, got.body, got.reset) == (200, b"enough", NO_ERROR)


@pytest.mark.parametrize("code", [INTERNAL_ERROR, CANCEL, 99])
async def test_a_stream_that_is_reset_before_its_response_is_a_bad_gateway(start_http2: StartHttp2, code: int) -> None:
    async def script(asked: Asked) -> None:
        await asked.send_reset(code)

    gateway, _ = await start_http2(script)
    async with http2(gateway) as client:
        assert (await client.ask(method="POST", body=b"x")).status == 502


async def test_a_stream_that_is_reset_within_its_response_is_cut_off(start_http2: StartHttp2) -> None:
    async def script(asked: Asked) -> None:
        await asked.head(200, ("content-length", "10"))
        await asked.data(b"half")
        await asked.send_reset(INTERNAL_ERROR)

    gateway, _ = await start_http2(script)
    async with http2(gateway) as client:
        got = await client.ask()
        assert (got.status, got.reset) == (200, INTERNAL_ERROR)


@pytest.mark.parametrize(
    "wrong",
    [
        hf.DataFrame(1, data=b"no head"),
        hf.HeadersFrame(1, data=b"\x82", flags=["END_HEADERS"]),
        hf.HeadersFrame(1, data=b"\x88\x00\x0aconnection\x05close", flags=["END_HEADERS"]),
        hf.HeadersFrame(1, data=b"\xff\xff\xff\xff\xff\x0f", flags=["END_HEADERS"]),
        hf.DataFrame(7, data=b"never begun"),
        hf.PushPromiseFrame(1, promised_stream_id=2, data=b"\x82", flags=["END_HEADERS"]),
        b"\xff\0\0\0\0\0\0\0\1",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
)
async def test_what_breaks_the_protocol_is_a_bad_gateway(start_http2: StartHttp2, wrong: hf.Frame | bytes) -> None:
    async def script(asked: Asked) -> None:
        if asked.headers[":path"] == "/wrong":
            await asked.connection.send(wrong)
        else:
            await asked.respond()

    gateway, _ = await start_http2(script)
    async with http2(gateway) as client:
        assert (await client.ask(path="/wrong", method="POST", body=b"x")).status == 502
        assert (await client.ask()).status == 200
    assert counts(gateway) == {}


IDLE_FRAMES = {
    "SETTINGS": hf.SettingsFrame(0, settings={4: 65535}),
    "acknowledgements of SETTINGS": hf.SettingsFrame(0, flags=["ACK"]),
    "PING": hf.PingFrame(0, opaque_data=b"12345678"),
    "acknowledgements of PING": hf.PingFrame(0, opaque_data=b"12345678", flags=["ACK"]),
    "PRIORITY": hf.PriorityFrame(1, depends_on=3),
    "unknown frames": b"\0\0\0\x55\0\0\0\0\1",
    "empty DATA": hf.DataFrame(1, data=b""),
}


@pytest.mark.parametrize("idle", IDLE_FRAMES.values(), ids=[name.replace(" ", "-") for name in IDLE_FRAMES])
async def test_an_endpoint_has_a_budget_for_frames_that_do_nothing(
    start_http2: StartHttp2, idle: hf.Frame | bytes, caplog: pytest.LogCaptureFixture
) -> None:
    frame = idle if isinstance(idle, bytes) else bytes(idle.serialize())

    async def script(asked: Asked) -> None:
        if asked.headers[":path"] == "/flood":
            await asked.head(200)
            await asked.connection.send(frame * 30_000)
        elif asked.headers[":path"] == "/some":
            await asked.head(200)
            await asked.connection.send(frame * 150)
            await asked.data(b"ok", ends=True)
        else:
            await asked.respond()

    gateway, endpoint = await start_http2(script)
    async with http2(gateway) as client:
        assert (await client.ask(path="/some")).body == b"ok"
        got = await client.ask(path="/flood")
        assert got.status == 502 or got.reset == INTERNAL_ERROR  # by how much came with the head
        assert (await client.ask()).status == 200
    assert len(endpoint.connections) == 2
    assert "too many of its frames do nothing" in caplog.text
    assert counts(gateway) == {}


async def test_small_frames_of_one_response_do_not_hold_up_other_responses(start_http2: StartHttp2) -> None:
    async def script(asked: Asked) -> None:
        await asked.head(200)
        for _ in range(20):
            await asked.connection.send(bytes(hf.DataFrame(asked.stream, data=b"x").serialize()) * 1000)
        await asked.data(b"y", ends=True)

    gateway, _ = await start_http2(script)
    async with http2(gateway) as client:
        heads = [client.head() for _ in range(3)]
        await client.send(*heads)
        for head in heads:
            assert (await client.response(head.stream_id)).body == b"x" * 20_000 + b"y"


async def test_an_endpoint_that_speaks_http_1_is_a_bad_gateway(start_proxy: StartProxy) -> None:
    async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(b"HTTP/1.1 505 HTTP Version Not Supported\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(on_connection, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    gateway = await start_proxy(
        f"upstreams: [{{name: u, protocol: http2, endpoints: [{{url: 'http://127.0.0.1:{port}'}}]}}]\n"
        "routes: [{id: all, path_prefix: /, target: u}]\n"
    )
    assert (await gateway.ask(GET))[0] == 502
    server.close()


async def test_a_connection_that_went_silent_is_replaced(start_http2: StartHttp2) -> None:
    async def script(asked: Asked) -> None:
        if asked.connection is not endpoint.connections[0]:
            await asked.respond()

    gateway, endpoint = await start_http2(script)
    async with http2(gateway) as client:
        head = client.head()
        await client.send(head)
        await until(lambda: bool(endpoint.asked))
        endpoint.connections[0].acknowledges_ping = False
        await client.send(hf.RstStreamFrame(head.stream_id, error_code=CANCEL))
        await asyncio.wait_for(endpoint.asked[0].reset, 20)
        # Suspected: the next request does not wait on it.
        assert (await client.ask()).status == 200
        await gateway.passing(6, endpoint.connections[0].ended.wait())
    assert len(endpoint.connections) == 2


async def test_an_idle_connection_is_closed(start_http2: StartHttp2) -> None:
    gateway, endpoint = await start_http2(ok, upstream_extra="keepalive: {idle_timeout: 10s}")
    await gateway.ask(GET)
    await gateway.passing(6, endpoint.connections[0].ended.wait())


async def test_a_connection_is_replaced_at_its_age(start_http2: StartHttp2) -> None:
    gateway, endpoint = await start_http2(ok, upstream_extra="keepalive: {max_age: 60s}")
    await gateway.ask(GET)
    await gateway.passing(30, endpoint.connections[0].ended.wait())
    await gateway.ask(GET)
    assert len(endpoint.connections) == 2


async def test_an_endpoint_that_is_not_there_is_a_bad_gateway_for_all_who_wait(start_http2: StartHttp2) -> None:
    gateway, endpoint = await start_http2(ok)
    port, endpoint.port = endpoint.port, 1
    await gateway.reload(
        "listen: 127.0.0.1:0\nupstreams: [{name: v, protocol: http2, endpoints: [{url: 'http://127.0.0.1:1'}]}]\n"
        "routes: [{id: all, path_prefix: /, target: v}]\n"
    )
    async with http2(gateway) as client:
        heads = [client.head() for _ in range(5)]
        await client.send(*heads)
        for head in heads:
            assert (await client.response(head.stream_id)).status == 502
    assert port
    assert counts(gateway) == {}


async def test_an_endpoint_that_closes_within_responses_cuts_them_off(start_http2: StartHttp2) -> None:
    async def script(asked: Asked) -> None:
        await asked.head(200)
        await asked.data(b"part")

    gateway, endpoint = await start_http2(script)
    async with http2(gateway) as client:
        heads = [client.head() for _ in range(3)]
        await client.send(*heads)
        await client.until(lambda: all(client.streams[head.stream_id].body for head in heads))
        endpoint.connections[0].writer.transport.abort()
        for head in heads:
            assert (await client.response(head.stream_id)).reset == INTERNAL_ERROR
    assert counts(gateway) == {}


async def test_a_request_to_change_the_protocol_gets_502(start_http2: StartHttp2) -> None:
    gateway, endpoint = await start_http2(ok)

    for _ in range(2):  # over a new connection, and over the one that is there
        upgrade = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        assert (await gateway.ask(upgrade))[0] == 502
        assert (await gateway.ask(GET))[0] == 200

    assert counts(gateway) == {}
    assert len(endpoint.connections) == 1
