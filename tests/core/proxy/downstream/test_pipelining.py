"""Clients that pipeline delay only themselves, and hold no more memory than is stated."""

from __future__ import annotations

import asyncio
import ssl
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import uvloop
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Request, Response
from gateway_core.proxy.downstream.connections import LARGE_HEAD, REQUESTS_PER_TURN, SECONDS_PER_TURN
from gateway_core.proxy.request_body import HIGH_WATER
from gateway_core.proxy.socket_options import READ_SIZE
from gateway_core.tasks import spawn

from tests.core.process.certificates import make, trusting_all
from tests.core.proxy.kit import MovedClock, Peer, Proxied, RunningProxy, run_proxy, until

pytestmark = pytest.mark.one_protocol(reason="connections of HTTP/1")

OTHER = b"GET /other HTTP/1.1\r\nHost: x\r\n\r\n"
OWN = """
routes:
  - {id: redirect, path: /redirect, redirect: {path: /elsewhere}}
  - {id: "405", path: "/405", methods: [POST], target: "http://127.0.0.1:1"}
  - {id: plugin, path: /plugin, target: "http://127.0.0.1:1"}
  - {id: other, path: /other, target: "http://127.0.0.1:1"}
plugins: [{name: p}]
"""
TURNS_OF_ONE_REQUEST = 12
"""Turns of the loop that the other client's request takes, which runs in the same loop; a generous bound."""


class Order(Plugin[object]):
    """Notes the order in which requests are served; responses some of them."""

    name = "p"
    paths: list[str] = []

    @hookimpl
    def gateway_request(self, request: Request) -> None:
        self.paths.append(request.path)

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> Response | None:
        return Response(200, b"ok") if request.path in {"/plugin", "/other"} else None


class Costly(Order):
    """Each request takes as long as a turn may."""

    name = "costly"
    clock: MovedClock

    @hookimpl
    def gateway_request(self, request: Request) -> None:
        self.paths.append(request.path)
        self.clock.move(SECONDS_PER_TURN)


@pytest.fixture(autouse=True)
def _forget() -> None:
    Order.paths.clear()


def longest_run(paths: list[str]) -> int:
    """Return how many requests of the flood were served between two of the other client at most."""
    runs, run = [], 0
    for path in paths[paths.index("/other") :]:
        if path == "/other":
            runs.append(run)
            run = 0
        else:
            run += 1
    return max(runs)


async def drop(peer: Peer) -> None:
    while await peer.reader.read(65536):
        pass


async def beside_floods(gateway: RunningProxy, target: str, floods: int, tls: ssl.SSLContext | None = None) -> None:
    """Send requests one after the other beside connections that pipeline, and see that they are served in between."""
    data = b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % target.encode() * (24_000 // floods)
    peers = [Peer(*await asyncio.open_connection("127.0.0.1", gateway.port, ssl=tls)) for _ in range(floods)]
    other = Peer(*await asyncio.open_connection("127.0.0.1", gateway.port, ssl=tls))
    reading = [spawn(drop(peer), name="read", on_error=lambda _: None) for peer in peers]
    for peer in peers:
        peer.writer.write(data)
    await until(lambda: target in Order.paths)
    for _ in range(10):
        await other.send(OTHER)
        assert (await other.response())[0] == 200
    for peer in [*peers, other]:
        peer.reset()
    await asyncio.gather(*reading, return_exceptions=True)

    # The first request of what was read is served at once, for each connection.
    assert longest_run(Order.paths) <= (REQUESTS_PER_TURN + floods) * TURNS_OF_ONE_REQUEST
    assert Order.paths.count(target) > 10


@pytest.mark.parametrize("floods", [1, 40])
@pytest.mark.parametrize("target", ["/404", "/redirect", "/405", "/plugin"])
async def test_requests_that_get_their_responses_at_once_hold_up_no_other_client(
    start_proxy: Any, target: str, floods: int
) -> None:
    await beside_floods(await start_proxy(OWN, plugins=[Order]), target, floods)


@pytest.mark.parametrize("floods", [1, 20])
async def test_tls_changes_nothing(start_proxy: Any, tmp_path: Path, floods: int) -> None:
    pair = make(tmp_path, "a")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)

    await beside_floods(await start_proxy(OWN, plugins=[Order], tls=context), "/plugin", floods, trusting_all())


@pytest.mark.parametrize(
    ("connections", "data"),
    [
        (20, b"GET /plugin?%b HTTP/1.1\r\nHost: x\r\n\r\n" % (b"q=a&" * LARGE_HEAD)),
        (1, b"GET /plugin HTTP/1.1\r\nHost: x\r\n\r\n" * 20),
    ],
    ids=["large heads of many connections", "one connection"],
)
async def test_requests_that_are_costly_are_served_one_a_turn(start_proxy: Any, connections: int, data: bytes) -> None:
    gateway = await start_proxy(OWN.replace("name: p", "name: costly"), plugins=[Costly])
    Costly.clock = gateway.clock
    peers = [await gateway.connect() for _ in range(connections)]
    await until(lambda: len(gateway.proxy.connections.open) == connections)
    served = [0]

    for peer in peers:
        peer.writer.write(data)
    while served[-1] < 20:
        await asyncio.sleep(0)
        served.append(len(Costly.paths))

    # One is the first of its connection, which is served as it is read, the other one that had waited.
    assert max(after - before for before, after in pairwise(served)) <= 2


async def test_a_large_head_that_comes_in_parts_is_served_and_one_that_does_not_end_is_late(start_proxy: Any) -> None:
    gateway = await start_proxy(OWN.replace("name: p", "name: costly"), plugins=[Costly])
    Costly.clock = gateway.clock
    peer = await gateway.connect()
    head = b"GET /plugin HTTP/1.1\r\nHost: x\r\n" + b"X: %b\r\n" % (b"y" * 1000) * 10
    for part in (head[:5000], head[5000:], b"\r\n"):
        await peer.send(part)
    assert (await peer.response())[0] == 200

    await peer.send(head)
    await until(lambda: held_by(gateway) == len(head))
    await gateway.pass_time(3600)

    assert (await peer.response())[0] == 408


async def test_requests_that_go_upstream_hold_up_no_other_client(proxied: Proxied) -> None:
    async def upstream(peer: Peer) -> None:
        while True:
            await peer.head()
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    gateway, _ = await proxied(upstream, extra="plugins: [{name: p}]", plugins=[Order])
    await beside_floods(gateway, "/flood", 20)


def held_by(gateway: RunningProxy) -> int:
    """Return the bytes of requests that the gateway holds for its only client."""
    (connection,) = gateway.proxy.connections.open
    part: Any = connection
    return int(part._input.size)


async def send_what_is_taken(gateway: RunningProxy, first: bytes) -> int:
    """Send requests and read nothing until the gateway takes no more; return the most that it held meanwhile."""
    request = b"GET /plugin HTTP/1.1\r\nHost: x\r\n\r\n"
    peer = await gateway.connect()
    peer.writer.write(first)
    await until(lambda: gateway.proxy.connections)
    most, sent = 0, 0
    writer = peer.writer
    while sent < 24_000_000 and (writer.transport.get_write_buffer_size() < 1_000_000 or held_by(gateway) != most):
        writer.write(request * 2000)
        sent += len(request) * 2000
        for _ in range(3):
            await asyncio.sleep(0)
            most = max(most, held_by(gateway))
    return most


@pytest.mark.parametrize("first", [b"", b"ODD /x HTTP/1.1\r\nHost: x\r\n\r\n"])
async def test_a_client_that_pipelines_holds_a_bounded_number_of_bytes(start_proxy: Any, first: bytes) -> None:
    gateway = await start_proxy(OWN, plugins=[Order])

    assert 0 < await send_what_is_taken(gateway, first) <= HIGH_WATER + READ_SIZE


async def _flood_on_uvloop(folder: Path) -> None:
    async with run_proxy(OWN, folder, [Order]) as gateway:
        await beside_floods(gateway, "/plugin", 20)
        await until(lambda: not gateway.proxy.connections)
        # One read of uvloop brings 250 KiB, unless the connection reads through a buffer of ours.
        assert await send_what_is_taken(gateway, b"") <= HIGH_WATER + 4 * READ_SIZE


def test_uvloop_changes_nothing(tmp_path: Path) -> None:
    uvloop.run(_flood_on_uvloop(tmp_path))


async def test_every_pipelined_request_gets_its_response_in_order(start_proxy: Any) -> None:
    gateway = await start_proxy(OWN, plugins=[Order])
    data = b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(500))
    data = data.replace(b"GET /250 ", b"ODD /250 ").replace(
        b"GET /499 HTTP/1.1\r\n", b"GET /499 HTTP/1.1\r\nConnection: close\r\n"
    )

    received = await gateway.send(data)

    assert received.count(b"HTTP/1.1 ") == 500
    assert Order.paths == [f"/{number}" for number in range(500)]


async def test_a_client_that_says_its_end_behind_pipelined_requests_gets_its_response(start_proxy: Any) -> None:
    gateway = await start_proxy(OWN, plugins=[Order])
    peer = await gateway.connect()

    await peer.send(b"GET /plugin HTTP/1.1\r\nHost: x\r\n\r\n" * 200)
    peer.writer.write_eof()

    assert (await asyncio.wait_for(peer.rest(), 20)).count(b"HTTP/1.1 200 ") == 200


async def test_bodies_among_pipelined_requests_stay_where_they_belong(proxied: Proxied) -> None:
    gateway, upstream = await proxied()
    body = b"b" * 100_000
    data = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n" * 20
    data += b"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    data += b"GET /c HTTP/1.1\r\nHost: x\r\n\r\n" * 5000
    peer = await gateway.connect()
    reading = spawn(drop(peer), name="read")

    peer.writer.write(data)
    await until(lambda: len(upstream.heads) == 5021, 30)
    reading.cancel()

    assert [each for each in upstream.bodies if each] == [body]
    assert [head[:6] for head in upstream.heads[19:22]] == [b"GET /a", b"POST /", b"GET /c"]
