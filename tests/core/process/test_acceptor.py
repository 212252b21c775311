from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import uvloop
from gateway_core.config import parse_listen
from gateway_core.process import sockets
from gateway_core.process.acceptor import Acceptor

from tests.core.process.certificates import make, trusting_all
from tests.core.process.test_gateway_acceptor import GET, config


def bound(text: str) -> socket.socket:
    return sockets.bind(parse_listen(text), text)


class Noting(Acceptor):
    """Notes the sockets that it accepts, and how many in each turn of the loop."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock, asyncio.Protocol)
        self.accepted: list[socket.socket] = []
        self.by_turn: list[int] = []
        self.in_turn = 0

    def take(self, connection: socket.socket, address: Any) -> None:
        self.accepted.append(connection)
        self.in_turn += 1

    async def accept(self, count: int) -> None:
        """Accept so many connections."""
        self.start()
        async with asyncio.timeout(30):
            while len(self.accepted) < count:
                await asyncio.sleep(0)
                if self.in_turn:
                    self.by_turn.append(self.in_turn)
                    self.in_turn = 0


@pytest.mark.parametrize("address", ["127.0.0.1:0", "[::1]:0", "unix:{}/s"])
def test_a_socket_that_was_accepted_says_of_itself_what_the_system_does(address: str, tmp_path: Path) -> None:
    async def compare() -> None:
        sock = bound(address.format(tmp_path))
        acceptor = Noting(sock)
        with socket.socket(sock.family) as client:
            client.connect(sock.getsockname())
            await acceptor.accept(1)
            (accepted,) = acceptor.accepted
            with accepted, socket.socket(fileno=os.dup(accepted.fileno())) as plain:
                assert (accepted.family, accepted.type, accepted.proto) == (plain.family, plain.type, plain.proto)
                assert not accepted.getblocking()
        acceptor.close()

    uvloop.run(compare())


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_one_connection_is_accepted_in_a_turn_and_more_only_while_others_keep_waiting(
    run: Callable[[Awaitable[object]], object],
) -> None:
    async def accept_many() -> list[int]:
        sock = bound("127.0.0.1:0")
        acceptor = Noting(sock)
        with ExitStack() as stack:
            for _ in range(24):
                stack.enter_context(socket.create_connection(sock.getsockname()))
            await acceptor.accept(24)
            for accepted in acceptor.accepted:
                stack.enter_context(accepted)
            acceptor.close()
        return acceptor.by_turn

    assert run(accept_many()) == [1] * 4 + [2] * 4 + [4] * 3


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_connection_that_is_accepted_as_its_acceptor_ends_is_closed(
    run: Callable[[Awaitable[object]], object],
) -> None:
    async def end_at_once() -> None:
        sock = bound("127.0.0.1:0")
        acceptor = Acceptor(sock, asyncio.Protocol)
        with socket.create_connection(sock.getsockname()) as client:
            await acceptor.aclose()

            client.settimeout(30)
            assert client.recv(1) == b""
            async with asyncio.timeout(30):
                await acceptor.drained()

    run(end_at_once())


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
def test_running_out_of_descriptors_is_told_once_and_ends_with_its_cause(tmp_path: Path, tls: bool) -> None:
    text = config(make(tmp_path, "a")) if tls else "routes: [{id: all, path: /nowhere, target: 'http://127.0.0.1:1'}]\n"
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
