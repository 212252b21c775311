from __future__ import annotations

import asyncio
import socket
import ssl

import pytest

from tests.core.process.certificates import Pair, make


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return make(tmp_path_factory.mktemp("tls"), "localhost")


@pytest.mark.parametrize("has_tls", [False, True])
@pytest.mark.parametrize("turns", range(4))
async def test_a_server_that_is_closed_while_it_accepts_leaves_no_connection_behind(
    turns: int, has_tls: bool, pair: Pair
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH) if has_tls else None
    if context is not None:
        context.load_cert_chain(pair.cert, pair.key)
    server = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0, ssl=context)
    with socket.create_connection(server.sockets[0].getsockname()) as client:
        for _ in range(turns):
            await asyncio.sleep(0)

        server.close()

        assert await asyncio.to_thread(ends, client)


class GatewaysOwn(asyncio.Protocol):
    __module__ = "gateway_core.test"


@pytest.mark.parametrize(("protocol", "ends_with_it"), [(asyncio.Protocol, True), (GatewaysOwn, False)])
def test_a_connection_ends_with_its_loop_unless_it_is_the_gateways(
    protocol: type[asyncio.Protocol], ends_with_it: bool
) -> None:
    loop = asyncio.SelectorEventLoop()
    with socket.create_server(("127.0.0.1", 0)) as server:
        transport, _ = loop.run_until_complete(loop.create_connection(protocol, *server.getsockname()))
        left: socket.socket = transport._sock  # type: ignore[attr-defined]
        accepted, _ = server.accept()
        with accepted:
            loop.close()

            assert (left.fileno() == -1) is ends_with_it
            transport._sock = None  # type: ignore[attr-defined]
            left.close()


def ends(client: socket.socket) -> bool:
    """Wait for the end of a connection, on which nothing comes."""
    client.settimeout(30)
    try:
        client.shutdown(socket.SHUT_WR)
        return client.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True  # it was reset
