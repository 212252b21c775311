from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import ssl
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from gateway_core.process import gateway_acceptor
from gateway_core.process.engine import Engine
from gateway_core.process.first_bytes import ClientHello, FirstBytes, HelloReader
from gateway_core.process.socket_table import SocketTable
from gateway_core.tasks import spawn
from gateway_core.testing import RunningGateway, eventually

from tests.core.process.certificates import Pair, make, trusting_all
from tests.core.process.conftest import Canon
from tests.core.process.hellos import POST_QUANTUM, TlsClient, client_hello, in_records
from tests.core.proxy.kit import until

GET = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return make(tmp_path, "a")


def config(pair: Pair, limits: str = "") -> str:
    return (
        f"listen: {{address: '127.0.0.1:0', tls: {{cert: {pair.cert}, key: {pair.key}}}}}\n"
        f"limits: {{{limits}}}\n"
        "routes: [{id: all, path: /nowhere, target: 'http://127.0.0.1:1'}]\n"
    )


def connect(gateway: RunningGateway, stack: ExitStack, first: bytes = b"") -> socket.socket:
    """Open a TCP connection and send some bytes of a handshake."""
    sock = stack.enter_context(socket.create_connection(("127.0.0.1", gateway.port), timeout=20))
    if first:
        sock.sendall(first)
    return sock


def connections(gateway: RunningGateway) -> int:
    async def count() -> int:
        return len(gateway._engine.proxy.connections)

    return gateway._thread.run(count())


def ask(gateway: RunningGateway, stack: ExitStack) -> bytes:
    client = stack.enter_context(trusting_all().wrap_socket(connect(gateway, stack)))
    client.sendall(GET)
    return client.recv(65536)


def is_closed(sock: socket.socket) -> bool:
    try:
        return sock.recv(1) == b""
    except ConnectionError:
        return True


FIRST = pytest.mark.parametrize("first", [b"", client_hello()[:100]], ids=["silent", "half a hello"])


@FIRST
@pytest.mark.parametrize("limit", ["max_connections: 5", "max_connections_per_client: 5"])
def test_a_handshake_counts_in_the_limits(loop_kind: str, pair: Pair, first: bytes, limit: str) -> None:
    with RunningGateway(config(pair, f"{limit}, header_timeout: 1h")) as gateway, ExitStack() as stack:
        silent = [connect(gateway, stack, first) for _ in range(5)]
        eventually(lambda: connections(gateway) == 5)

        assert is_closed(connect(gateway, stack))

        assert connections(gateway) == 5
        silent[0].close()
        eventually(lambda: connections(gateway) == 4)
        assert ask(gateway, stack).startswith(b"HTTP/1.1 404 ")


@FIRST
def test_a_handshake_that_does_not_begin_ends_in_time(loop_kind: str, pair: Pair, first: bytes) -> None:
    limits = "max_connections: 5, header_timeout: 300ms"
    with RunningGateway(config(pair, limits)) as gateway, ExitStack() as stack:
        for sock in [connect(gateway, stack, first) for _ in range(5)]:
            assert is_closed(sock)

        eventually(lambda: connections(gateway) == 0)
        assert ask(gateway, stack).startswith(b"HTTP/1.1 404 ")


def test_a_handshake_that_goes_on_slowly_ends_in_time(loop_kind: str, pair: Pair) -> None:
    with RunningGateway(config(pair, "header_timeout: 500ms")) as gateway, ExitStack() as stack:
        # The server has begun TLS, and the client's next message never comes.
        sock = connect(gateway, stack, client_hello())
        assert sock.recv(1) == b"\x16"
        assert connections(gateway) == 1

        while sock.recv(65536):
            pass
        eventually(lambda: connections(gateway) == 0)


@pytest.mark.parametrize("address", ["127.0.0.1:0", "[::1]:0", "unix:"])
@pytest.mark.parametrize("record", [None, 1, 300])
def test_a_client_hello_may_come_in_any_pieces(
    loop_kind: str, pair: Pair, tmp_path: Path, address: str, record: int | None
) -> None:
    address = f"unix:{tmp_path}/s" if address == "unix:" else address
    text = config(pair).replace("127.0.0.1:0", address)
    context = trusting_all()
    context.set_alpn_protocols([*POST_QUANTUM, "http/1.1"])
    client = TlsClient(context=context)
    hello = client.hello()
    hello = hello if record is None else in_records(hello, record)
    with RunningGateway(text) as gateway, ExitStack() as stack:
        if address.startswith("unix:"):
            sock = stack.enter_context(socket.socket(socket.AF_UNIX))
            sock.settimeout(20)
            sock.connect(address.removeprefix("unix:"))
        else:
            host = "::1" if "::1" in address else "127.0.0.1"
            sock = stack.enter_context(socket.create_connection((host, gateway.port), timeout=20))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in (hello[:1], hello[1:5], hello[5:1000]):
            sock.sendall(piece)
            # It has looked at this piece when it has taken another turn.
            connections(gateway)
        sock.sendall(hello[1000:])

        shake_hands(client, sock)
        assert exchange(client, sock, GET).startswith(b"HTTP/1.1 404 ")


def shake_hands(client: TlsClient, sock: socket.socket) -> None:
    """Complete a handshake whose first bytes were sent."""
    while True:
        client.incoming.write(sock.recv(65536))
        try:
            client.tls.do_handshake()
        except ssl.SSLWantReadError:
            continue
        finally:
            if data := client.outgoing.read():
                sock.sendall(data)
        return


def exchange(client: TlsClient, sock: socket.socket, request: bytes) -> bytes:
    """Send a request and return what comes until the end."""
    client.tls.write(request)
    sock.sendall(client.outgoing.read())
    received = b""
    while True:
        try:
            while data := client.tls.read(65536):
                received += data
            return received
        except ssl.SSLWantReadError:
            data = sock.recv(65536)
            if not data:
                return received
            client.incoming.write(data)
        except ssl.SSLZeroReturnError:
            return received


class CountingReader(HelloReader):
    """Tells how much there was whenever it was looked at."""

    looked: list[int] = []

    def read(self, data: bytes) -> FirstBytes | ClientHello:
        self.looked.append(len(data))
        return super().read(data)


@pytest.mark.parametrize("ending", [False, True])
def test_an_incomplete_client_hello_does_not_keep_the_loop_busy(
    loop_kind: str, pair: Pair, monkeypatch: pytest.MonkeyPatch, ending: bool
) -> None:
    looked = CountingReader.looked = []
    monkeypatch.setattr(gateway_acceptor, "HelloReader", CountingReader)
    with RunningGateway(config(pair)) as gateway, ExitStack() as stack:
        sock = connect(gateway, stack, client_hello()[:50])
        eventually(lambda: looked == [50])
        if ending:
            sock.shutdown(socket.SHUT_WR)
            assert is_closed(sock)
        for _ in range(20):
            connections(gateway)  # each is a turn of the loop and more

        assert looked == [50]


def test_a_trickling_client_hello_costs_no_more_turns_than_it_has_records(
    loop_kind: str, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = CountingReader.looked = []
    monkeypatch.setattr(gateway_acceptor, "HelloReader", CountingReader)
    hello = client_hello()
    with RunningGateway(config(pair)) as gateway, ExitStack() as stack:
        sock = connect(gateway, stack, hello[:1])
        eventually(lambda: looked == [1])
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in hello[1:]:
            sock.sendall(bytes([byte]))
            connections(gateway)

        assert sock.recv(1) == b"\x16"
        assert len(looked) <= 3  # the first byte, the head of the record, the whole


@pytest.mark.parametrize("request_line", [b"GET / HTTP/1.1", b"PRI * HTTP/2.0"])
def test_a_request_without_tls_is_told_so(loop_kind: str, pair: Pair, request_line: bytes) -> None:
    with RunningGateway(config(pair)) as gateway, ExitStack() as stack:
        sock = connect(gateway, stack, request_line + b"\r\nHost: x\r\n\r\n")

        received = b""
        while data := sock.recv(65536):
            received += data

        assert received.startswith(b"HTTP/1.1 400 ")
        assert b"use https" in received
        assert connections(gateway) == 0


def test_what_is_no_handshake_gets_an_alert(loop_kind: str, pair: Pair) -> None:
    with RunningGateway(config(pair)) as gateway, ExitStack() as stack:
        sock = connect(gateway, stack, b"\x16\x03\x01\xff\xff" + b"x" * 100)

        assert sock.recv(1) in {b"\x15", b""}  # an alert, or the end
        eventually(lambda: connections(gateway) == 0)
        assert ask(gateway, stack).startswith(b"HTTP/1.1 404 ")


def test_many_handshakes_at_once_are_all_served(loop_kind: str, pair: Pair) -> None:
    with RunningGateway(config(pair)) as gateway, ExitStack() as stack:
        waiting = [connect(gateway, stack, client_hello()) for _ in range(40)]

        for sock in waiting:
            assert sock.recv(1) == b"\x16"


async def test_a_handshake_under_way_ends_well_while_the_gateway_drains(pair: Pair, canon: Canon) -> None:
    sockets = SocketTable()
    engine = Engine(sockets)
    prepared = await engine.prepare(canon(config(pair)))
    sockets.bind(prepared.config.listen)
    await engine.commit(prepared)
    port = int(engine.listeners.urls()[0].rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await until(lambda: engine.proxy.beginnings)

    stopping = spawn(engine.stop(100), name="stop")
    await until(lambda: engine.is_draining)
    await writer.start_tls(trusting_all())
    writer.write(GET)
    response = await reader.read()
    writer.close()
    await stopping

    assert response.startswith(b"HTTP/1.1 404 ")
    sockets.keep_only(())


# Has as many descriptors left as a limit of 50 connections needs, with those that are turned away.
FEW_DESCRIPTORS = """
import asyncio, os, resource, sys, uvloop
from gateway_core.testing import RunningGateway

if sys.argv[2] == "uvloop":
    asyncio.new_event_loop = uvloop.new_event_loop
with RunningGateway(open(sys.argv[1]).read()) as gateway:
    number = max(int(each) for each in os.listdir("/proc/self/fd")) + 1
    most = number + 50 + 16 + 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    print(gateway.port, flush=True)
    sys.stdin.read()
    print([each.getMessage() for each in gateway.logs if each.event != "limit.reached"], flush=True)
"""


@pytest.mark.parametrize("kind", ["plain", "tls", "proxy"])
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_burst_takes_no_more_descriptors_than_the_limit_allows(
    pair: Pair, tmp_path: Path, kind: str, loop: str
) -> None:
    text = config(pair, "max_connections: 50, header_timeout: 1h")
    if kind != "tls":
        text = text.replace(f"tls: {{cert: {pair.cert}, key: {pair.key}}}", f"proxy_protocol: {kind == 'proxy'}")
    (tmp_path / "config.yaml").write_text(text)
    command = [sys.executable, "-c", FEW_DESCRIPTORS, str(tmp_path / "config.yaml"), loop]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process, ExitStack() as stack:
        assert process.stdin is not None
        assert process.stdout is not None
        port = int(process.stdout.readline())
        process.send_signal(signal.SIGSTOP)
        burst = [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20)) for _ in range(350)]
        process.send_signal(signal.SIGCONT)

        closed = 0
        for sock in burst[50:]:
            with contextlib.suppress(ConnectionError):
                received = sock.recv(65536)
                assert received.startswith(b"HTTP/1.1 503 ") or not received
            closed += 1
        process.stdin.close()
        told = process.stdout.read().decode()

    assert closed == 300
    assert told == "[]\n"
