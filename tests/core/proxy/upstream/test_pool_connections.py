"""How a pool connects, and which of its connections it lends again."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvloop
from gateway_core.proxy.upstream.connection import UpstreamConnection
from gateway_core.proxy.upstream.pool import AddressInfo, Lent, ProxyClient
from gateway_core.proxy.upstream.response_handler import Failure
from gateway_core.proxy_protocol import ProxyHeader, read_proxy_header

from tests.core.proxy.kit import until
from tests.core.proxy.upstream.authority import Authority
from tests.core.proxy.upstream.conftest import StartServer
from tests.core.proxy.upstream.kit import (
    GET,
    OK,
    Recorder,
    ask,
    connect,
    make_pool,
    make_sweeper,
    open_connection,
    silent_port,
)
from tests.programs import program

pytestmark = pytest.mark.one_protocol(reason="connections of HTTP/1")

ALICE = ProxyClient(("192.0.2.1", 1111), ("198.51.100.1", 443))
ALICE_AGAIN = ProxyClient(("192.0.2.1", 2222), ("198.51.100.1", 443))
BOB = ProxyClient(("192.0.2.2", 1111), ("198.51.100.1", 443))


# -- names


@dataclass
class Addresses:
    """Resolves every name to the same addresses."""

    found: Sequence[AddressInfo] | OSError

    async def resolve(self, host: str, port: int = 0) -> Sequence[AddressInfo]:
        if isinstance(self.found, OSError):
            raise self.found
        return self.found


def address(port: int, host: str = "127.0.0.1") -> AddressInfo:
    return (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port))


async def test_a_name_whose_first_address_is_silent_connects_to_the_next_one(start_server: StartServer) -> None:
    port = await start_server(OK)
    with silent_port() as silent:
        pool = make_pool(host="users.test", resolver=Addresses([address(silent), address(port)]))

        result = await connect(pool, seconds=2)

    assert result.connection is not None
    assert result.connection.transport.get_extra_info("peername")[1] == port


async def test_a_name_of_silent_addresses_is_a_timeout() -> None:
    with silent_port() as one, silent_port() as other:
        pool = make_pool(host="users.test", resolver=Addresses([address(one), address(other)]))

        assert (await connect(pool, seconds=0.6)).failure is Failure.CONNECT_TIMEOUT


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_server_that_accepts_and_says_nothing_is_a_timeout_of_the_tls_handshake(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        pool = make_pool(silent.getsockname()[1], host=host, context=ssl.create_default_context(), tls={})

        result = await connect(pool, seconds=0.3)

    assert (result.failure, result.reason) == (Failure.CONNECT_TIMEOUT, "the TLS handshake took too long")


async def test_a_name_of_closed_addresses_is_a_connect_failure() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # and does not listen
        closed = unused.getsockname()[1]
        pool = make_pool(host="users.test", resolver=Addresses([address(closed), address(closed, "127.0.0.2")]))

        assert (await connect(pool)).failure is Failure.CONNECT


async def test_without_a_resolver_the_system_is_asked(start_server: StartServer) -> None:
    assert (await ask(make_pool(await start_server(OK), host="localhost"))).body == b"ok"


# -- errors of this process


@pytest.mark.parametrize("number", ["EMFILE", "ENFILE", "EADDRNOTAVAIL", "ENOBUFS", "ENOMEM"])
async def test_errors_of_this_process_are_not_the_endpoints(number: str) -> None:
    pool = make_pool(host="users.test", resolver=Addresses(OSError(getattr(errno, number), "no more")))

    result = await connect(pool)

    assert (result.connection, result.failure) == (None, Failure.LOCAL)
    assert os.strerror(getattr(errno, number)) in result.reason


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_no_descriptor_is_an_error_of_this_process(start_server: StartServer, host: str) -> None:
    port = await start_server(OK)
    pool = make_pool(port, host=host, resolver=Addresses([address(port)]))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        result = await connect(pool)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert result.failure is Failure.LOCAL


@pytest.mark.parametrize("number", [errno.ECONNREFUSED, errno.EHOSTUNREACH, None])
async def test_other_errors_are_connect_failures(number: int | None) -> None:
    error = OSError("gone") if number is None else OSError(number, "gone")

    assert (await connect(make_pool(host="users.test", resolver=Addresses(error)))).failure is Failure.CONNECT


# -- age


async def test_an_older_connection_is_not_used_again(start_server: StartServer) -> None:
    sweeper = make_sweeper()
    pool = make_pool(await start_server(OK, OK, OK), sweeper=sweeper, keepalive={"max_age": "10s"})
    await ask(pool)
    first = next(iter(pool.idle))

    sweeper.time = 9.9
    await ask(pool)
    assert list(pool.idle) == [first]
    assert pool.deadline == 10.0
    sweeper.time = 10.0

    assert pool.take() is None
    assert not first.is_alive


async def test_idle_connections_are_closed_by_their_age_and_by_their_idle_time(start_server: StartServer) -> None:
    sweeper = make_sweeper()
    pool = make_pool(await start_server(OK), sweeper=sweeper, keepalive={"max_age": "10s", "idle_timeout": "30s"})
    connections: list[UpstreamConnection] = []
    for at in (0.0, 5.0, 25.0):
        sweeper.time = at
        connections.append(await open_connection(pool))
    for connection in connections:
        pool.give_back(connection)

    pool.expire(15.0)
    assert list(pool.idle) == [connections[2]]
    assert pool.deadline == 35.0
    pool.expire(35.0)

    assert not pool.idle


async def test_without_an_idle_timeout_connections_are_kept(start_server: StartServer) -> None:
    pool = make_pool(await start_server(OK), keepalive={"idle_timeout": 0})
    pool.give_back(await open_connection(pool))
    assert pool.deadline == float("inf")


async def test_upstream_sockets_are_kept_alive_by_the_kernel(start_server: StartServer) -> None:
    connection = await open_connection(make_pool(await start_server(OK)))
    sock = connection.transport.get_extra_info("socket")

    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) <= 120


# -- what is closed at once


async def test_an_endpoint_that_closes_at_once_got_no_request(start_server: StartServer) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Close."""

    pool = make_pool(await start_server(script))
    connection = await open_connection(pool)
    pool.give_back(connection)
    await until(lambda: not pool.idle)

    assert pool.take() is None


# -- unix sockets


async def test_an_endpoint_may_be_a_unix_socket(start_server: StartServer, tmp_path: Path) -> None:
    path = tmp_path / "users.sock"
    await start_server(OK, OK, path=path)
    pool = make_pool(path=str(path))

    for uses in (1, 2):
        assert (await ask(pool)).body == b"ok"
        assert [each.uses for each in pool.idle] == [uses]


async def test_a_unix_socket_that_is_not_there_is_a_connect_failure(tmp_path: Path) -> None:
    result = await connect(make_pool(path=str(tmp_path / "none.sock")))

    assert result.failure is Failure.CONNECT
    assert "No such file" in result.reason


# -- PROXY headers


async def serve_behind_header(start_server: StartServer, headers: list[ProxyHeader], path: Path | None = None) -> int:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = b""
        while isinstance(found := read_proxy_header(data), int):
            data += await reader.readexactly(found - len(data))
        headers.append(found)
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(OK)

    return await start_server(script, path=path)


async def ask_for(pool_take: Lent) -> Recorder:
    recorder = Recorder()
    pool_take.send(recorder, GET)
    return await recorder.wait()


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("is_unix", [False, True], ids=["tcp", "unix"])
async def test_a_connection_that_began_with_a_header_serves_that_client_only(
    start_server: StartServer, tmp_path: Path, version: str, is_unix: bool
) -> None:
    headers: list[ProxyHeader] = []
    path = tmp_path / "users.sock" if is_unix else None
    port = await serve_behind_header(start_server, headers, path)
    pool = make_pool(port, path=str(path or ""), send_proxy_protocol=version)
    assert pool.sends_proxy_header

    for client, sent in ((ALICE, 1), (BOB, 2), (ALICE_AGAIN, 2), (BOB, 2), (ProxyClient(), 3), (ProxyClient(), 3)):
        connection = pool.take(client) or await open_connection(pool, client)
        assert (await ask_for(connection)).body == b"ok"
        assert len(headers) == sent

    assert [(each.source, each.destination) for each in headers] == [ALICE, BOB, (None, None)]
    assert len(pool.idle) == 3


async def test_the_connection_of_another_client_makes_room_for_a_new_one(start_server: StartServer) -> None:
    pool = make_pool(await serve_behind_header(start_server, []), send_proxy_protocol="v2", keepalive={"max_idle": 1})

    for client in (ALICE, BOB):
        await ask_for(pool.take(client) or await open_connection(pool, client))

    assert [each.client for each in pool.idle] == ["192.0.2.2"]
    assert pool.take(ALICE) is None


async def test_without_max_idle_no_connection_is_kept(start_server: StartServer) -> None:
    for version in (None, "v1"):
        pool = make_pool(await start_server(OK), keepalive={"max_idle": 0}, send_proxy_protocol=version)
        pool.give_back(await open_connection(pool, ALICE))
        assert not pool.idle


async def test_the_header_goes_before_tls(authority: Authority) -> None:
    pair = authority.issue("127.0.0.1")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.cert, pair.key)
    expected = b"PROXY TCP4 192.0.2.1 198.51.100.1 1111 443\r\n"

    def serve(listener: socket.socket) -> bytes:
        accepted, _ = listener.accept()
        with accepted:
            accepted.settimeout(30)
            header = accepted.recv(len(expected), socket.MSG_WAITALL)
            with context.wrap_socket(accepted, server_side=True) as secure:
                secure.recv(1000)
                secure.sendall(OK)
                secure.recv(1)
        return header

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)
        served = asyncio.get_running_loop().run_in_executor(None, serve, listener)
        client_context = ssl.create_default_context(cafile=str(authority.cert))
        pool = make_pool(listener.getsockname()[1], context=client_context, send_proxy_protocol="v1")

        recorder = await ask_for(await open_connection(pool, ALICE))
        await pool.aclose()

        assert await served == expected
    assert recorder.body == b"ok"


@pytest.mark.parametrize("tolerates", [False, True])
@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_the_end_of_tls_without_close_notify_ends_a_body_only_where_it_is_tolerated(
    authority: Authority, loop_factory: Callable[[], asyncio.AbstractEventLoop], tolerates: bool
) -> None:
    pair = authority.issue("127.0.0.1")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair.cert, pair.key)

    def serve(listener: socket.socket) -> None:
        accepted, _ = listener.accept()
        accepted.settimeout(30)
        with context.wrap_socket(accepted, server_side=True) as secure:
            secure.recv(1000)
            secure.sendall(b"HTTP/1.1 200 OK\r\n\r\nsome")  # and closes the socket, not the TLS connection

    async def run(listener: socket.socket) -> Recorder:
        served = asyncio.get_running_loop().run_in_executor(None, serve, listener)
        pool = make_pool(
            listener.getsockname()[1],
            context=ssl.create_default_context(cafile=str(authority.cert)),
            tls={"tolerate_missing_close_notify": tolerates},
        )
        recorder = await ask_for(await open_connection(pool))
        await served
        return recorder

    with socket.create_server(("127.0.0.1", 0)) as listener, asyncio.Runner(loop_factory=loop_factory) as runner:
        listener.settimeout(30)
        recorder = runner.run(run(listener))

    assert (recorder.body, recorder.is_complete) == (b"some", tolerates)
    assert recorder.failure is (None if tolerates else Failure.TRUNCATED)


@pytest.fixture
async def nginx(tmp_path: Path) -> AsyncIterator[Path]:
    """Start nginx with a listener that wants PROXY headers, and one on a unix socket; return the folder of both."""
    config = tmp_path / "nginx.conf"
    config.write_text(
        f"""
        daemon off; master_process off; pid {tmp_path}/pid; error_log {tmp_path}/error.log;
        events {{}}
        http {{
            access_log off; client_body_temp_path {tmp_path}/a; proxy_temp_path {tmp_path}/b;
            fastcgi_temp_path {tmp_path}/c; uwsgi_temp_path {tmp_path}/d; scgi_temp_path {tmp_path}/e;
            server {{
                listen unix:{tmp_path}/proxied.sock proxy_protocol;
                location / {{ return 200 "$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr"; }}
            }}
            server {{ listen unix:{tmp_path}/plain.sock; location / {{ return 200 "$host"; }} }}
        }}
        """
    )
    found = await asyncio.to_thread(program, "nginx", "nginx-light")
    process = await asyncio.create_subprocess_exec(found, "-c", str(config), stderr=asyncio.subprocess.DEVNULL)
    try:
        await until(lambda: (tmp_path / "plain.sock").exists() and (tmp_path / "pid").exists(), 30)
        yield tmp_path
    finally:
        process.terminate()
        await process.wait()


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_nginx_understands_the_header(nginx: Path, version: str) -> None:
    pool = make_pool(path=str(nginx / "proxied.sock"), send_proxy_protocol=version)

    for client, said in ((ALICE, b"192.0.2.1 1111 198.51.100.1"), (ProxyClient(), b"")):
        recorder = await ask_for(await open_connection(pool, client))
        assert recorder.head is not None
        assert (recorder.head.status, recorder.body.strip()) == (200, said)


async def test_nginx_on_a_unix_socket_is_an_endpoint_like_any_other(nginx: Path) -> None:
    pool = make_pool(path=str(nginx / "plain.sock"))

    for _ in range(3):
        assert (await ask(pool)).body == b"a"
    assert [each.uses for each in pool.idle] == [3]
