from __future__ import annotations

import asyncio
import errno
import logging
import resource
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import uvloop
from gateway_core.server import acceptor
from gateway_core.server.engine import Engine
from gateway_core.server.first_bytes import FirstBytes, judge_first_bytes
from gateway_core.server.listeners import SocketTable
from gateway_core.tasks import spawn
from gateway_core.testing import RunningGateway, eventually

from tests.core.proxy.kit import until
from tests.core.server.certificates import Pair, make, trusting_all
from tests.core.server.conftest import Canon
from tests.core.server.test_first_bytes import client_hello

GET = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.fixture(params=["asyncio", "uvloop"])
def loop_kind(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run gateways on either event loop."""
    if request.param == "uvloop":
        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    yield request.param
    asyncio.set_event_loop_policy(None)


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
        return gateway._engine.proxy.connections

    return gateway._thread.run(count())


def seen(gateway: RunningGateway) -> int:
    """Return the bytes that are known of the only connection whose TLS has not begun."""

    async def look() -> int:
        beginnings: list[Any] = list(gateway._engine.proxy.beginnings)
        return int(beginnings[0]._seen) if beginnings else 0

    return gateway._thread.run(look())


def has_seen(gateway: RunningGateway, count: int) -> bool:
    return seen(gateway) == count


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
        # The server has begun TLS, and what the client answers never comes.
        sock = connect(gateway, stack, client_hello())
        assert sock.recv(1) == b"\x16"
        assert connections(gateway) == 1

        while sock.recv(65536):
            pass
        eventually(lambda: connections(gateway) == 0)


def test_a_client_hello_may_come_byte_by_byte(loop_kind: str, pair: Pair) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = trusting_all().wrap_bio(incoming, outgoing)
    with RunningGateway(config(pair)) as gateway, ExitStack() as stack:
        sock = connect(gateway, stack)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                *most, last = [bytes([byte]) for byte in outgoing.read()]
                for byte in most:
                    sock.sendall(byte)
                # The mark is now behind all that came, and must not stay there.
                eventually(partial(has_seen, gateway, len(most)))
                sock.sendall(last)
                incoming.write(sock.recv(65536))
        tls.write(GET)
        sock.sendall(outgoing.read())
        received = b""
        while b"HTTP/1.1 404 " not in received:
            incoming.write(sock.recv(65536))
            try:
                received += tls.read(65536)
            except ssl.SSLWantReadError:
                continue


@pytest.mark.parametrize("ending", [False, True])
def test_an_incomplete_client_hello_does_not_keep_the_loop_busy(
    loop_kind: str, pair: Pair, monkeypatch: pytest.MonkeyPatch, ending: bool
) -> None:
    looked: list[int] = []

    def counting(data: bytes) -> FirstBytes:
        looked.append(len(data))
        return judge_first_bytes(data)

    monkeypatch.setattr(acceptor, "judge_first_bytes", counting)
    with RunningGateway(config(pair)) as gateway, ExitStack() as stack:
        sock = connect(gateway, stack, client_hello()[:50])
        eventually(lambda: looked == [50])
        if ending:
            sock.shutdown(socket.SHUT_WR)
            assert is_closed(sock)
        for _ in range(20):
            connections(gateway)  # each is a turn of the loop and more

        assert looked == [50]


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
    answer = await reader.read()
    writer.close()
    await stopping

    assert answer.startswith(b"HTTP/1.1 404 ")
    sockets.keep_only(())


# Accepts on asyncio without TLS as well, with few descriptors left, and says on stdout where.
OUT_OF_DESCRIPTORS = """
import os, resource, sys
from gateway_core.testing import RunningGateway, eventually

with RunningGateway(sys.stdin.read()) as gateway:
    number = max(int(each) for each in os.listdir("/proc/self/fd")) + 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (number + 20, number + 20))
    print(gateway.port, flush=True)
    eventually(lambda: gateway.logs)
    print("short", flush=True)
    os.read(0, 1)
    print([record.getMessage() for record in gateway.logs], file=sys.stderr)
"""


@pytest.mark.parametrize("tls", [False, True])
def test_running_out_of_descriptors_is_told_once_and_ends_with_its_cause(pair: Pair, tmp_path: Path, tls: bool) -> None:
    text = config(pair) if tls else "routes: [{id: all, path: /nowhere, target: 'http://127.0.0.1:1'}]\n"
    (tmp_path / "config.yaml").write_text(text)
    script = OUT_OF_DESCRIPTORS.replace("sys.stdin.read()", f"open({str(tmp_path / 'config.yaml')!r}).read()")
    command = [sys.executable, "-c", script]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        port = int(process.stdout.readline())
        many = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(60)]
        assert process.stdout.readline() == b"short\n"
        for sock in many:
            sock.close()
        with socket.create_connection(("127.0.0.1", port), timeout=20) as plain, ExitStack() as stack:
            client = stack.enter_context(trusting_all().wrap_socket(plain)) if tls else plain
            client.sendall(GET)
            assert client.recv(65536).startswith(b"HTTP/1.1 404 ")
        process.stdin.close()
        process.wait()
        assert process.stderr is not None
        told = process.stderr.read().decode()

    assert "Traceback" not in told
    assert told.count("connections cannot be accepted") == 1


def test_a_shortage_is_told_once_a_minute_with_its_number(caplog: pytest.LogCaptureFixture) -> None:
    shortage, error = acceptor.Shortage(), OSError(errno.EMFILE, "Too many open files")
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)

    with caplog.at_level(logging.ERROR):
        for now in (0.0, 1.0, 59.0, 60.0, 61.0):
            shortage.note(error, now)

    first, second = [record.getMessage() for record in caplog.records]
    assert first.startswith("connections cannot be accepted: too many open files (1 times")
    assert "(3 times" in second
    assert f"RLIMIT_NOFILE is {most}" in first
