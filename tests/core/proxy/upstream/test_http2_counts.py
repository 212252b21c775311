"""What a gateway counts of HTTP/2 on both sides."""

from __future__ import annotations

import asyncio

import hyperframe.frame as hf
from gateway_core.metrics.samples import Distribution, Value
from hyperframe.frame import GoAwayFrame, RstStreamFrame

from tests.core.proxy.downstream.http2_client import CANCEL, OK, PROTOCOL_ERROR, http2
from tests.core.proxy.kit import Proxied, RunningProxy, until
from tests.core.proxy.upstream.http2_endpoint import Asked, StartHttp2


def value(gateway: RunningProxy, name: str, *labels: str) -> Value | None:
    return gateway.environment.metrics.collect().value(f"gateway_{name}", *labels)


async def test_what_a_client_resets_and_ends_is_counted(proxied: Proxied) -> None:
    gateway, _ = await proxied(OK)
    async with http2(gateway) as client:
        frame = client.head(method="POST", ends=False)
        await client.send(frame, RstStreamFrame(frame.stream_id, error_code=CANCEL))
        await client.send(GoAwayFrame(0, last_stream_id=0, error_code=2))
        await client.settle()
    assert value(gateway, "http2_resets", "client", "peer", "CANCEL") == 1
    assert value(gateway, "http2_goaways", "client", "peer", "INTERNAL_ERROR") == 1


async def test_bad_input_is_counted_by_its_code(proxied: Proxied) -> None:
    gateway, _ = await proxied(OK)
    async with http2(gateway) as client:
        assert (await client.ask(path=None)).reset == PROTOCOL_ERROR
        await client.send(b"\0\0\1\0\0\0\0\0\0x")  # DATA without a stream
        await client.end()
    assert value(gateway, "http2_resets", "client", "gateway", "PROTOCOL_ERROR") == 1
    assert value(gateway, "http2_goaways", "client", "gateway", "PROTOCOL_ERROR") == 1
    await until(lambda: isinstance(ages := value(gateway, "http2_connection_age_seconds", "client"), Distribution)
                and sum(ages.counts) == 1)  # fmt: skip


async def test_time_that_a_client_takes_nothing_is_counted(proxied: Proxied) -> None:
    gateway, _ = await proxied(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b"x" * 100)
    async with http2(gateway, {4: 10}) as client:
        client.gives_credit = False
        frame = client.head()
        await client.send(frame)
        await client.until(lambda: len(client.streams[frame.stream_id].body) == 10)
        await asyncio.sleep(0.01)  # what is measured
        await client.send(hf.WindowUpdateFrame(frame.stream_id, window_increment=1000))
        assert (await client.response(frame.stream_id)).body == b"x" * 100
    stalled = value(gateway, "http2_stalled_seconds", "client")
    assert isinstance(stalled, float)
    assert stalled >= 0.005


async def test_a_stream_that_is_left_waiting_is_counted_when_it_ends(proxied: Proxied) -> None:
    gateway, _ = await proxied(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b"x" * 100)
    async with http2(gateway, {4: 0}) as client:
        frame = client.head()
        await client.send(frame)
        await client.until(lambda: bool(client.streams[frame.stream_id].heads))
        await client.settle()
        await client.send(RstStreamFrame(frame.stream_id, error_code=CANCEL))
        await client.settle()
    assert value(gateway, "http2_stalled_seconds", "client")


async def test_what_an_endpoint_resets_and_ends_is_counted(start_http2: StartHttp2) -> None:
    async def script(asked: Asked) -> None:
        await asked.send_reset(2)
        await asked.connection.send(GoAwayFrame(0, last_stream_id=1, error_code=11))

    gateway, _ = await start_http2(script)
    async with http2(gateway) as client:
        assert (await client.ask(method="POST", body=b"x")).status == 502
    assert value(gateway, "http2_resets", "upstream", "peer", "INTERNAL_ERROR") == 1
    await until(lambda: value(gateway, "http2_goaways", "upstream", "peer", "ENHANCE_YOUR_CALM") == 1)


async def test_a_connection_of_http2_without_requests_is_an_idle_one(start_http2: StartHttp2) -> None:
    gate = asyncio.Event()

    async def script(asked: Asked) -> None:
        await gate.wait()
        await asked.respond()

    gateway, endpoint = await start_http2(script)
    pools = gateway.proxy.upstreams.pools
    async with http2(gateway) as client:
        frame = client.head()
        await client.send(frame)
        await until(lambda: endpoint.asked)
        assert [pool.idle_connections for pool in pools] == [0]
        gate.set()
        await client.response(frame.stream_id)
    assert [pool.idle_connections for pool in pools] == [1]
