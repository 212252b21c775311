"""What bounds the connections of clients, and the descriptors that they hold."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
from gateway_core.descriptors import default_max_connections
from gateway_core.proxy.downstream.connection import ClientConnection
from gateway_core.proxy.downstream.connections import MOST_TURNED_AWAY

from tests.core.proxy.kit import Proxied, StartProxy, until


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize(("limits", "is_one_too_many"), [("{}", True), ("{max_connections: 0}", False)])
async def test_connections_are_bound_by_descriptors_unless_the_configuration_says(
    start_proxy: StartProxy, limits: str, is_one_too_many: bool
) -> None:
    gateway = await start_proxy(f"limits: {limits}\nroutes: [{{id: a, path: /a, target: 'http://127.0.0.1:1'}}]\n")
    connections = gateway.proxy.connections
    assert connections._default_limit == default_max_connections()

    connections._default_limit = 1
    await gateway.connect()
    response = await gateway.send(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

    assert response.startswith(b"HTTP/1.1 503 ") is is_one_too_many


async def test_connections_that_are_turned_away_hold_few_descriptors(proxied: Proxied) -> None:
    gateway, _ = await proxied(extra="limits: {max_connections: 2}")
    admitted = [await gateway.connect() for _ in range(2)]
    await until(lambda: len(gateway.proxy.connections) == 2)
    before = descriptors()

    rejected = [await gateway.connect() for _ in range(60)]
    for peer in rejected[-MOST_TURNED_AWAY:]:
        assert (await peer.head()).startswith(b"HTTP/1.1 503 ")

    # Each of the clients has one of its own, and does not close it.
    assert descriptors() <= before + len(rejected) + MOST_TURNED_AWAY
    assert len(gateway.proxy.connections) == len(admitted)


async def test_a_connection_that_has_ended_is_freed_without_the_garbage_collector(proxied: Proxied) -> None:
    gateway, _ = await proxied()
    gc.collect()
    gc.disable()
    try:
        for head in (b"", b"Connection: close\r\n", b"Expect: nothing\r\n"):
            client = await gateway.connect()
            await client.send(b"GET / HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n")
            await client.head()
            client.writer.close()

        await until(lambda: not gateway.proxy.connections.open)
        await until(lambda: not [each for each in gc.get_objects() if isinstance(each, ClientConnection)])
    finally:
        gc.enable()
