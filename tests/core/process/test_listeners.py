from __future__ import annotations

import asyncio
import gc
import socket
import sys
import weakref
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from gateway_core.config import (
    ListenConfig,
)
from gateway_core.hooks import Certificate
from gateway_core.process.listeners import Listeners, open_site
from gateway_core.process.socket_table import SocketTable
from gateway_core.tasks import spawn

from tests.core.process.certificates import Pair, make
from tests.core.process.conftest import ask
from tests.core.proxy.kit import until
from tests.ports import free_port


async def answer(_request: web.BaseRequest) -> web.Response:
    return web.Response(text="hello")


def listen(*addresses: str) -> list[ListenConfig]:
    return [ListenConfig(address=address) for address in addresses]


@pytest.fixture
async def table() -> AsyncIterator[SocketTable]:
    table = SocketTable()
    yield table
    table.keep_only(())


@pytest.fixture
async def listeners(table: SocketTable) -> AsyncIterator[Listeners]:
    listeners = Listeners(table, lambda _address: web.Server(answer))
    yield listeners
    await listeners.aclose()


async def use(listeners: Listeners, table: SocketTable, configs: list[ListenConfig]) -> None:
    table.bind(configs)
    await listeners.apply(configs, await listeners.load(configs))
    listeners.take_waiting()
    table.keep_only(configs)


async def test_opens_what_is_new_and_closes_what_is_gone(
    listeners: Listeners, table: SocketTable, tmp_path: Path
) -> None:
    await use(listeners, table, listen("127.0.0.1:0"))
    (first,) = listeners.urls()
    assert await ask(first, "/") == (200, "hello")

    await use(listeners, table, listen("127.0.0.1:0", "[::1]:0", f"unix:{tmp_path}/s"))
    assert listeners.urls()[0] == first
    assert await ask(listeners.urls()[1], "/") == (200, "hello")
    assert (tmp_path / "s").exists()

    await use(listeners, table, listen("[::1]:0"))
    assert len(listeners.urls()) == 1
    assert not (tmp_path / "s").exists()
    with pytest.raises(OSError, match=r"refused|Cannot connect"):
        await ask(first, "/")


async def test_a_unix_socket_takes_connections(listeners: Listeners, table: SocketTable, tmp_path: Path) -> None:
    await use(listeners, table, listen(f"unix:{tmp_path}/s"))

    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"{tmp_path}/s")


async def test_clients_that_connect_while_listeners_are_closed_are_served(
    listeners: Listeners, table: SocketTable, tmp_path: Path
) -> None:
    addresses = ["127.0.0.1:0", f"unix:{tmp_path}/s"]
    await use(listeners, table, listen(*addresses))
    urls = listeners.urls()
    await listeners.stop_accepting()

    with socket.socket() as late, socket.socket(socket.AF_UNIX) as late_unix:
        late.connect(("127.0.0.1", int(urls[0].rpartition(":")[2])))
        late_unix.connect(f"{tmp_path}/s")
        listeners.take_waiting()
        table.keep_only(())

        for client in (late, late_unix):
            client.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(client, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            async with asyncio.timeout(20):
                assert (await loop.sock_recv(client, 100)).startswith(b"HTTP/1.1 200")


async def test_a_client_that_connects_before_the_socket_of_a_closed_listener_is_closed_is_served(
    table: SocketTable,
) -> None:
    listeners = Listeners(table, lambda _address: web.Server(answer))
    await use(listeners, table, listen("127.0.0.1:0"))
    port = int(listeners.urls()[0].rpartition(":")[2])
    configs = listen("[::1]:0")
    table.bind(configs)
    await listeners.apply(configs, await listeners.load(configs))
    with socket.socket() as late:
        late.connect(("127.0.0.1", port))
        for _ in range(10):  # the rest of putting a configuration in force takes some rounds of the loop
            await asyncio.sleep(0)
        listeners.take_waiting()
        table.keep_only(configs)

        late.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(late, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        async with asyncio.timeout(20):
            assert (await loop.sock_recv(late, 100)).startswith(b"HTTP/1.1 200")
    await listeners.aclose()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such filter of sockets")
async def test_who_connects_while_a_socket_is_closed_reaches_what_listens_there_then(table: SocketTable) -> None:
    before = listen("127.0.0.1:0")
    table.bind(before)
    port = table[before[0].address].getsockname()[1]
    after = listen(f":{port}")
    table.bind(after)
    table.drop_new(but=after)
    loop = asyncio.get_running_loop()
    with socket.socket() as late:
        late.setblocking(False)
        connecting = spawn(loop.sock_connect(late, ("127.0.0.1", port)), name="connect")
        await asyncio.sleep(0)  # its first segment is sent
        with pytest.raises(BlockingIOError):
            table[before[0].address].accept()

        table.keep_only(after)

        async with asyncio.timeout(20):
            await connecting
            accepted, _ = await loop.sock_accept(table[after[0].address])
        accepted.close()


class Silent:
    """A server whose connections refer to it as little as those of a `GatewayServer` do."""

    def __call__(self) -> asyncio.Protocol:
        return asyncio.Protocol()


async def test_listeners_that_are_gone_are_kept_no_longer_than_what_they_accepted_waits(table: SocketTable) -> None:
    listeners = Listeners(table, lambda _address: Silent())
    await use(listeners, table, listen("127.0.0.1:0", "[::1]:0"))
    servers = [weakref.ref(each.server) for each in listeners._open.values()]
    with socket.create_connection(("::1", int(listeners.urls()[1].rpartition(":")[2]))):
        await use(listeners, table, listen("127.0.0.2:0"))

        await until(lambda: not listeners._retired)

    gc.collect()
    assert [each() for each in servers] == [None, None]
    await listeners.aclose()


@pytest.mark.parametrize(
    "addresses", [("127.0.0.1:{}", ":{}"), (":{}", "127.0.0.1:{}"), ("127.0.0.1:{}", "0.0.0.0:{}")]
)
async def test_a_listener_moves_between_addresses_that_overlap(
    listeners: Listeners, table: SocketTable, addresses: tuple[str, str]
) -> None:
    before, after = (address.format(free_port()) for address in addresses)
    after = after.rpartition(":")[0] + ":" + before.rpartition(":")[2]
    await use(listeners, table, listen(before))

    await use(listeners, table, listen(after))

    assert await ask(f"http://127.0.0.1:{after.rpartition(':')[2]}", "/") == (200, "hello")
    assert after in table
    assert before not in table


async def test_a_site_gives_its_address_up(tmp_path: Path) -> None:
    give_up = await open_site(web.Server(answer), f"unix:{tmp_path}/s")
    give_up()

    assert not (tmp_path / "s").exists()


def provided(*pairs: Pair) -> list[Certificate]:
    return [Certificate([pair.cert.stem], pair.cert.read_bytes(), pair.key.read_bytes()) for pair in pairs]


def in_force(listeners: Listeners) -> list[str]:
    return [validity.name for _, validity in listeners.validities()]


@pytest.fixture
async def yielded(table: SocketTable, tmp_path: Path) -> AsyncIterator[tuple[Listeners, list[Certificate]]]:
    """A listener with TLS, and what an extension has yielded for it, which a test changes."""
    certificates = provided(make(tmp_path, "first"))
    listeners = Listeners(table, lambda _address: web.Server(answer), lambda _config: list(certificates))
    yield listeners, certificates
    await listeners.aclose()


SECURE = [ListenConfig.model_validate({"address": "127.0.0.1:0", "tls": {"certificates": [{"name": "some"}]}})]


async def test_certificates_that_come_while_a_listener_is_opened_are_in_force_soon(
    yielded: tuple[Listeners, list[Certificate]], table: SocketTable, tmp_path: Path
) -> None:
    listeners, certificates = yielded
    table.bind(SECURE)
    loaded = await listeners.load(SECURE)
    certificates[:] = provided(make(tmp_path, "second"))
    await listeners.refresh(SECURE[0].address)  # which is not open yet

    await listeners.apply(SECURE, loaded)

    await until(lambda: in_force(listeners) == ["second"], 60)


async def test_of_certificates_that_change_while_they_are_read_the_last_ones_are_in_force(
    yielded: tuple[Listeners, list[Certificate]], table: SocketTable, tmp_path: Path
) -> None:
    listeners, certificates = yielded
    await use(listeners, table, SECURE)
    many, last = provided(*(make(tmp_path, f"{number}") for number in range(4))), provided(make(tmp_path, "last"))

    certificates[:] = many * 50  # which takes longer to read than the last one
    refreshing = [spawn(listeners.refresh(SECURE[0].address), name="first")]
    await asyncio.sleep(0)
    certificates[:] = last
    refreshing += [spawn(listeners.refresh(SECURE[0].address), name="later") for _ in range(3)]
    await asyncio.gather(*refreshing)

    assert in_force(listeners) == ["last"]
