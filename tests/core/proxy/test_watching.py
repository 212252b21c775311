"""What plugins see of bodies that pass by, and of where a request came from and went to."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import BodyFilter, Record, Request, Response

from tests.core.proxy.kit import Peer, Proxied, StartProxy, field, fields, turns

BINDING = "plugins: [{name: p}]"


class Appends(BodyFilter):
    def __init__(self, seen: list[bytes]) -> None:
        self._seen = seen

    def feed(self, data: bytes) -> bytes:
        self._seen.append(data)
        return data


class Watches(Plugin[Any]):
    name = "p"
    received: ClassVar[list[bytes]] = []
    sent: ClassVar[list[bytes]] = []

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> None:
        request.add_body_filter(lambda: Appends(self.received), observe=True)

    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> None:
        response.add_body_filter(lambda: Appends(self.sent), observe=True)


@pytest.fixture(autouse=True)
def forget() -> None:
    Watches.received.clear()
    Watches.sent.clear()


async def test_a_watched_response_passes_as_it_is(proxied: Proxied) -> None:
    response = b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + b"x" * 300_000
    gateway, _ = await proxied(response, extra=BINDING, plugins=[Watches])
    client = await gateway.connect()

    await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    _, head, body = await client.response()

    assert fields(head, b"content-length") == [b"300000"]
    assert fields(head, b"transfer-encoding") == []
    assert b"".join(Watches.sent) == body == b"x" * 300_000
    assert Watches.received == []


async def test_a_watched_stream_is_not_held_up(proxied: Proxied) -> None:
    seen = asyncio.Event()

    async def stream(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for n in range(3):
            await peer.send(b"1\r\n%d\r\n" % n)
            await asyncio.wait_for(seen.wait(), 30)
            seen.clear()
        await peer.send(b"0\r\n\r\n")

    gateway, _ = await proxied(stream, extra=BINDING, plugins=[Watches])
    client = await gateway.connect()

    await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await client.head()
    for n in range(3):
        assert await client.exactly(6) == b"1\r\n%d\r\n" % n
        seen.set()

    assert await client.exactly(5) == b"0\r\n\r\n"
    assert Watches.sent == [b"0", b"1", b"2"]


@pytest.mark.parametrize("pieces", [[b"0123456789"], [b"01234", b"56789"]])
async def test_a_watched_request_body_passes_as_it_is(proxied: Proxied, pieces: list[bytes]) -> None:
    gateway, upstream = await proxied(extra=BINDING, plugins=[Watches])
    client = await gateway.connect()

    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n" + pieces[0])
    for piece in pieces[1:]:
        await turns()
        await client.send(piece)
    await client.response()

    assert upstream.bodies == [b"0123456789"]
    assert b"".join(Watches.received) == b"0123456789"


async def test_a_watcher_sees_a_body_once_however_often_it_is_sent(proxied: Proxied) -> None:
    tries = 0

    async def flaky(peer: Peer) -> None:
        nonlocal tries
        await peer.head()
        await peer.exactly(3)
        tries += 1
        status = b"503 No" if tries == 1 else b"200 OK"
        await peer.send(b"HTTP/1.1 %b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % status)
        peer.close()

    retries = "    retries: {attempts: 2, on: ['503'], methods: [PUT]}\n"
    gateway, _ = await proxied(flaky, extra=BINDING, upstream_extra=retries, plugins=[Watches])

    client = await gateway.connect()

    await client.send(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
    status, _, _ = await client.response()

    assert (status, tries) == (200, 2)
    assert b"".join(Watches.received) == b"abc"


class TellsArrival(Plugin[Any]):
    name = "p"
    seen: ClassVar[list[tuple[int, int, object, str, str]]] = []
    attempts: ClassVar[list[str]] = []

    @hookimpl
    def gateway_log(self, request: Request, record: Record) -> None:
        version = request.config_version
        self.seen.append((request.peer_port, request.local_port, request.tls, version, request.sent_path))
        self.attempts.extend(attempt.url for attempt in record.attempts)


@pytest.mark.one_protocol(reason="its client speaks both")
async def test_a_request_tells_its_ports_its_configuration_and_where_it_went(
    start_proxy: StartProxy, start_upstream: Any
) -> None:
    TellsArrival.seen.clear()
    TellsArrival.attempts.clear()
    upstream = await start_upstream()
    gateway = await start_proxy(
        f"{BINDING}\nroutes: [{{id: r, path_prefix: /in, strip_path: true, target: '{upstream.url}'}}]", [TellsArrival]
    )
    client = await gateway.connect()

    await client.send(b"GET /in/side HTTP/1.1\r\nHost: x\r\n\r\n")
    await client.response()

    port = client.writer.get_extra_info("sockname")[1]
    version = gateway.proxy.holder.current.version
    assert TellsArrival.seen == [(port, gateway.port, None, version, "/side")]
    assert TellsArrival.attempts == [upstream.url]
    assert field(upstream.heads[0], b"x-forwarded-port") == b"%d" % gateway.port
