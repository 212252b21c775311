"""How long connections of HTTP/2 to an endpoint serve, and what becomes of those that are slow, silent or hostile."""

from __future__ import annotations

import asyncio
import socket

import hyperframe.frame as hf
import pytest
from gateway_core.proxy.upstream import http2_connection

from tests.core.proxy.downstream.http2_client import CANCEL, ENHANCE_YOUR_CALM, Http2Client, http2
from tests.core.proxy.downstream.http2_conformance import PING, SETTINGS, raw
from tests.core.proxy.kit import counts, until
from tests.core.proxy.upstream.http2_endpoint import Asked, Connection, StartHttp2


async def slow_or_not(asked: Asked) -> None:
    if asked.headers[":path"] != "/slow":
        await asked.respond()


def pings(connection: Connection) -> int:
    return sum(isinstance(frame, hf.PingFrame) for frame in connection.frames)


async def give_up(client: Http2Client, asked: list[Asked]) -> None:
    """Send a request that gets no response, and cancel it."""
    count = len(asked)
    head = client.head(path="/slow")
    await client.send(head)
    await until(lambda: len(asked) > count)
    await client.send(hf.RstStreamFrame(head.stream_id, error_code=CANCEL))
    await asyncio.wait_for(asked[-1].reset, 20)


async def test_a_request_that_is_given_up_while_others_are_responded_to_sends_no_ping(start_http2: StartHttp2) -> None:
    gateway, endpoint = await start_http2(slow_or_not)
    async with http2(gateway) as client:
        for _ in range(20):
            slow = client.head(path="/slow")
            await client.send(slow)
            assert (await client.ask()).status == 200
            await client.send(hf.RstStreamFrame(slow.stream_id, error_code=CANCEL))
        assert (await client.ask()).status == 200
    assert [pings(connection) for connection in endpoint.connections] == [0]


async def test_no_more_than_two_pings_go_out_without_a_response_between_them(start_http2: StartHttp2) -> None:
    gateway, endpoint = await start_http2(slow_or_not)
    async with http2(gateway) as client:
        for _ in range(6):
            await give_up(client, endpoint.asked)
            await client.settle()
        assert (await client.ask()).status == 200
        assert [pings(connection) for connection in endpoint.connections] == [2]
        await give_up(client, endpoint.asked)
        await until(lambda: pings(endpoint.connections[0]) == 3)


async def test_an_endpoint_that_had_too_many_pings_gets_none_over_the_next_connection(start_http2: StartHttp2) -> None:
    gateway, endpoint = await start_http2(slow_or_not)
    async with http2(gateway) as client:
        assert (await client.ask()).status == 200
        first = endpoint.connections[0]
        await first.send(
            hf.GoAwayFrame(0, last_stream_id=1, error_code=ENHANCE_YOUR_CALM, additional_data=b"too_many_pings")
        )
        await asyncio.wait_for(first.ended.wait(), 20)
        for _ in range(3):
            await give_up(client, endpoint.asked)
        assert (await client.ask()).status == 200
        assert pings(endpoint.connections[1]) == 1  # the first one of all
        await gateway.pass_time(601)


async def test_a_silent_connection_is_closed_for_all_requests_once_a_ping_is_not_acknowledged(
    start_http2: StartHttp2,
) -> None:
    async def script(asked: Asked) -> None:
        if asked.connection is not endpoint.connections[0]:
            await asked.respond()

    gateway, endpoint = await start_http2(script, upstream_extra="retries: {attempts: 0}")
    async with http2(gateway) as client:
        held = [client.head(method="POST", path="/held") for _ in range(3)]
        await client.send(*held)
        await until(lambda: len(endpoint.asked) == 3)
        endpoint.connections[0].acknowledges_ping = False
        await give_up(client, endpoint.asked)
        assert (await client.ask()).status == 200  # over another connection
        await gateway.passing(6, endpoint.connections[0].ended.wait())
        for head in held:
            assert (await client.response(head.stream_id)).status in {502, 504}
    assert not counts(gateway)


# -- numbers of streams


async def test_a_connection_whose_stream_numbers_are_used_up_is_replaced(
    start_http2: StartHttp2, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http2_connection, "_LAST_STREAM", 5)
    gateway, endpoint = await start_http2(slow_or_not)
    async with http2(gateway) as client:
        for _ in range(7):
            assert (await client.ask()).status == 200
    assert [sorted(connection.streams) for connection in endpoint.connections] == [[1, 3, 5], [1, 3, 5], [1]]


async def test_a_limit_of_streams_that_is_lowered_is_obeyed_from_then_on(start_http2: StartHttp2) -> None:
    gate = asyncio.Event()

    async def script(asked: Asked) -> None:
        if asked.headers[":path"] == "/held":
            await gate.wait()
        await asked.respond()

    gateway, endpoint = await start_http2(script)
    async with http2(gateway) as client:
        assert (await client.ask()).status == 200
        first = endpoint.connections[0]
        await first.send(hf.SettingsFrame(0, settings={3: 1}))
        await until(lambda: sum(isinstance(each, hf.SettingsFrame) for each in first.frames) == 3)
        heads = [client.head(path="/held") for _ in range(4)]
        await client.send(*heads)
        await until(lambda: len(endpoint.asked) == 5)
        assert sum(not asked.complete.is_set() or asked.stream > 1 for asked in first.streams.values()) == 1
        gate.set()
        for head in heads:
            assert (await client.response(head.stream_id)).status == 200


async def test_who_waits_for_an_endpoint_that_never_says_its_settings_waits_no_longer_than_for_a_connection(
    start_http2: StartHttp2,
) -> None:
    gateway, endpoint = await start_http2(slow_or_not, upstream_extra="retries: {attempts: 0}")
    endpoint.says_settings = False
    async with http2(gateway) as client:
        first = client.head(path="/slow")
        await client.send(first)
        await until(lambda: bool(endpoint.asked))
        waiting = client.head()
        await client.send(waiting)
        got = await asyncio.wait_for(client.response(waiting.stream_id), 30)
        assert got.status in {502, 503, 504}
    await until(lambda: not counts(gateway))


# -- hostile endpoints


@pytest.mark.parametrize("frame", [raw(PING, 0, 0, bytes(8)), raw(SETTINGS, 0, 0)], ids=["PING", "SETTINGS"])
async def test_an_endpoint_that_takes_no_acknowledgements_of_its_frames_loses_its_connection(
    start_http2: StartHttp2, frame: bytes
) -> None:
    async def script(asked: Asked) -> None:
        connection = asked.connection
        sock: socket.socket = connection.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.writer.transport.pause_reading()  # type: ignore[attr-defined]
        while not connection.writer.transport.is_closing():
            await connection.send(frame * 10_000)

    gateway, _ = await start_http2(script, upstream_extra="retries: {attempts: 0}")
    async with http2(gateway) as client:
        assert (await client.ask()).status == 502
    await until(lambda: not counts(gateway))


@pytest.mark.parametrize("settings", [{2: 1}, {4: 2**31}, {5: 1}])
async def test_settings_that_no_endpoint_may_say_end_the_connection(
    start_http2: StartHttp2, settings: dict[int, int]
) -> None:
    async def script(asked: Asked) -> None:
        await asked.connection.send(hf.SettingsFrame(0, settings=settings))

    gateway, endpoint = await start_http2(script, upstream_extra="retries: {attempts: 0}")
    async with http2(gateway) as client:
        assert (await client.ask()).status == 502
        goaway = [frame for frame in endpoint.connections[0].frames if isinstance(frame, hf.GoAwayFrame)]
        assert goaway
        assert goaway[0].error_code in {1, 3}


async def test_a_window_that_an_endpoint_makes_too_large_ends_the_connection(start_http2: StartHttp2) -> None:
    async def script(asked: Asked) -> None:
        await asked.connection.send(
            hf.WindowUpdateFrame(asked.stream, window_increment=2**31 - 1 - 65535),
            hf.SettingsFrame(0, settings={4: 65536}),
        )

    gateway, _ = await start_http2(script, upstream_extra="retries: {attempts: 0}")
    async with http2(gateway) as client:
        head = client.head(method="POST", ends=False)
        await client.send(head)
        assert (await client.response(head.stream_id)).status == 502


async def test_a_reload_changes_the_limit_for_heads_of_connections_that_are_there(start_http2: StartHttp2) -> None:
    async def script(asked: Asked) -> None:
        await asked.respond(b"ok", ("x", "a" * 3000))

    gateway, endpoint = await start_http2(script)
    config = (
        f"listen: 127.0.0.1:0\nupstreams: [{{name: u, protocol: http2, endpoints: [{{url: '{endpoint.url}'}}]}}]\n"
        "routes: [{id: all, path_prefix: /, target: u}]\n"
    )
    async with http2(gateway) as client:
        assert (await client.ask()).status == 200
        for limit, status in ((2000, 502), (4000, 200)):
            await gateway.reload(f"{config}limits: {{max_head_bytes: {limit}}}")
            assert (await client.ask()).status == status
    [connection] = endpoint.connections
    settings = [frame.settings for frame in connection.frames if isinstance(frame, hf.SettingsFrame) and frame.settings]
    assert [each[hf.SettingsFrame.MAX_HEADER_LIST_SIZE] for each in settings] == [65536, 2000, 4000]
