"""Requests to discovered endpoints, one of which does not respond while connecting.

The time for connecting is far longer than what tests may take, so that a response shows that nothing waited for it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from tests.core.proxy.kit import RunningProxy, StartProxy, StartUpstream, counts, until
from tests.core.proxy.upstream.kit import silent_listener, silent_port
from tests.core.upstreams.discovery.conftest import NameServer, name_server

__all__ = ["name_server"]

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"


@pytest.fixture
def silent() -> Iterator[int]:
    with silent_port() as port:
        yield port


def config(server: NameServer, connect: str = "120s", extra: str = "") -> str:
    discovery = f"{{name: dns, config: {{host: svc.test, record: srv, nameservers: ['{server.address}']}}}}"
    return f"""
upstreams:
  - {{name: u, discovery: {discovery}, timeouts: {{connect: {connect}}}, {extra}}}
routes:
  - {{id: all, path_prefix: /, target: u}}
"""


def offer(server: NameServer, *ports: int) -> None:
    server.put("svc.test", "SRV", *[f"0 1 {port} one.test." for port in ports])
    server.put("one.test", "A", "127.0.0.1")


def endpoint(gateway: RunningProxy, port: int) -> Any:
    upstream = gateway.proxy.holder.current.upstreams["u"]
    return next(each for each in upstream.endpoints if each.id.endswith(f":{port}"))


@pytest.mark.parametrize("extra", ["", "retries: {attempts: 0}"])
@pytest.mark.parametrize("data", [GET, POST])
async def test_requests_go_on_to_another_endpoint_whatever_the_policy(
    start_proxy: StartProxy,
    start_upstream: StartUpstream,
    name_server: NameServer,
    silent: int,
    data: bytes,
    extra: str,
) -> None:
    upstream = await start_upstream()
    offer(name_server, silent, upstream.port)
    gateway = await start_proxy(config(name_server, extra=extra))

    for _ in range(4):
        assert (await gateway.ask(data))[0] == 200

    assert upstream.bodies == [b"abc" if data is POST else b""] * 4
    assert endpoint(gateway, silent).active == 0
    await until(lambda: not counts(gateway))


async def test_a_body_that_is_still_to_come_goes_on_as_well(
    start_proxy: StartProxy, start_upstream: StartUpstream, name_server: NameServer, silent: int
) -> None:
    upstream = await start_upstream()
    offer(name_server, silent, upstream.port)
    gateway = await start_proxy(config(name_server))

    for _ in range(2):
        client = await gateway.connect()
        await client.send(POST[:-1])
        await until(lambda: len(gateway.proxy.exchanges) == 1)
        await until(lambda: upstream.connections or endpoint(gateway, silent).active)
        await client.send(POST[-1:])
        assert (await client.response())[0] == 200

    assert upstream.bodies == [b"abc"] * 2


async def test_an_endpoint_that_could_not_be_connected_to_is_left_out(
    start_proxy: StartProxy, start_upstream: StartUpstream, name_server: NameServer, silent: int
) -> None:
    upstream = await start_upstream()
    offer(name_server, silent, upstream.port)
    gateway = await start_proxy(config(name_server, connect="500ms"))

    for _ in range(2):
        assert (await gateway.ask(GET))[0] == 200

    await until(lambda: endpoint(gateway, silent).ejection.is_ejected(gateway.proxy.now()))
    assert endpoint(gateway, silent).last_error == "connecting took too long"


async def test_a_connection_that_comes_late_serves_the_next_request(
    start_proxy: StartProxy, start_upstream: StartUpstream, name_server: NameServer
) -> None:
    other = await start_upstream()
    heads: list[bytes] = []

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                heads.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate")
        writer.close()

    with silent_listener() as listener:
        port = listener.getsockname()[1]
        offer(name_server, port, other.port)
        gateway = await start_proxy(config(name_server))
        for _ in range(2):
            assert (await gateway.ask(GET))[2] == b"ok"
        pool = endpoint(gateway, port).pool

        server = await asyncio.start_server(respond, sock=listener)
        await until(lambda: len(pool.idle) == 1, seconds=30)
        found = {(await gateway.ask(GET))[2] for _ in range(2)}

        assert found == {b"ok", b"late"}
        assert len(pool.idle) == len(heads) == 1
        server.close()


async def test_the_last_endpoint_is_waited_for(start_proxy: StartProxy, name_server: NameServer, silent: int) -> None:
    with silent_port() as second:
        offer(name_server, silent, second)
        gateway = await start_proxy(config(name_server, connect="600ms", extra="retries: {attempts: 0}"))

        status, _, _ = await gateway.ask(GET)

        assert status == 504
        await until(lambda: not counts(gateway))


async def test_a_client_that_leaves_ends_the_connecting(
    start_proxy: StartProxy, start_upstream: StartUpstream, name_server: NameServer, silent: int
) -> None:
    with silent_port() as second:
        offer(name_server, silent, second)
        gateway = await start_proxy(config(name_server))
        client = await gateway.connect()
        await client.send(GET)
        await until(lambda: endpoint(gateway, silent).active or endpoint(gateway, second).active)

        client.reset()

        await until(lambda: not counts(gateway))
