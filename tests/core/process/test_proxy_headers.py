"""Listeners that want a header of the PROXY protocol, with real sockets."""

from __future__ import annotations

import contextlib
import socket
import struct
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Request, Response
from gateway_core.process import gateway_acceptor
from gateway_core.proxy_protocol import ProxyHeader, proxy_header, read_proxy_header
from gateway_core.testing import RunningGateway, eventually

from tests.core.process.certificates import Pair, make, trusting_all
from tests.core.process.hellos import client_hello
from tests.core.process.test_gateway_acceptor import connections, is_closed

pytestmark = pytest.mark.usefixtures("loop_kind")

GET = b"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.99\r\nConnection: close\r\n\r\n"
SOURCE, DESTINATION = ("203.0.113.7", 51234), ("198.51.100.1", 443)
V1, V2 = proxy_header("v1", SOURCE, DESTINATION), proxy_header("v2", SOURCE, DESTINATION)
WITH_TLVS = V2[:14] + struct.pack("!H", 12 + 300) + V2[16:] + b"\x20" + struct.pack("!H", 297) + bytes(297)
LOCAL, UNKNOWN = proxy_header("v2", None, None), proxy_header("v1", None, None)


class WhoIsThere(Plugin[Any]):
    """Says who sent a request."""

    name = "who"

    @hookimpl
    def gateway_request(self, request: Request) -> Response:
        return Response(200, f"<{request.peer_ip} {request.client_ip} {request.local_port}>")


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Pair | None:
    """The certificate of a listener, or None without TLS."""
    return make(tmp_path, "a") if request.param else None


def start(pair: Pair | None, limits: str = "", address: str = "127.0.0.1:0", more: str = "") -> RunningGateway:
    tls = "" if pair is None else f", tls: {{cert: {pair.cert}, key: {pair.key}}}"
    text = (
        f"listen: {{address: '{address}', proxy_protocol: true{tls}}}\nlimits: {{{limits}}}\n{more}\n"
        "plugins: [{name: who}]\nroutes: [{id: all, path: /, target: 'http://127.0.0.1:1'}]\n"
    )
    return RunningGateway(text, plugins=[WhoIsThere])


def connect(gateway: RunningGateway, stack: ExitStack, *pieces: bytes) -> socket.socket:
    sock = stack.enter_context(socket.create_connection(("127.0.0.1", gateway.port), timeout=20))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for piece in pieces:
        sock.sendall(piece)
    return sock


def ask(sock: socket.socket, pair: Pair | None) -> bytes:
    """Send a request behind what was sent, and return what comes until the end."""
    with sock if pair is None else trusting_all().wrap_socket(sock) as connection:
        connection.sendall(GET)
        return until_the_end(connection)


def until_the_end(sock: socket.socket) -> bytes:
    received = b""
    with contextlib.suppress(ConnectionError):  # a reset, where bytes were not read
        while data := sock.recv(65536):
            received += data
    return received


@pytest.mark.parametrize("header", [V1, V2, WITH_TLVS])
def test_the_source_of_a_header_is_the_peer(pair: Pair | None, header: bytes) -> None:
    with start(pair) as gateway, ExitStack() as stack:
        assert b"<203.0.113.7 203.0.113.7 443>" in ask(connect(gateway, stack, header), pair)


@pytest.mark.parametrize("header", [LOCAL, UNKNOWN])
def test_without_a_source_the_socket_s_is_the_peer(pair: Pair | None, header: bytes) -> None:
    with start(pair) as gateway, ExitStack() as stack:
        assert b"<127.0.0.1 127.0.0.1 %d>" % gateway.port in ask(connect(gateway, stack, header), pair)


@pytest.mark.parametrize(("trusted", "client"), [("203.0.113.0/24", b"192.0.2.99"), ("127.0.0.1", b"203.0.113.7")])
def test_trusted_proxies_are_told_by_the_source(pair: Pair | None, trusted: str, client: bytes) -> None:
    with start(pair, more=f"trusted_proxies: [{trusted}]") as gateway, ExitStack() as stack:
        assert b"<203.0.113.7 %b 443>" % client in ask(connect(gateway, stack, V1), pair)


def test_a_source_over_ipv6(pair: Pair | None) -> None:
    header = proxy_header("v1", ("2001:db8::1", 1), ("2001:db8::2", 443))
    with start(pair) as gateway, ExitStack() as stack:
        assert b"<2001:db8::1 2001:db8::1 443>" in ask(connect(gateway, stack, header), pair)


def test_a_unix_socket_may_be_behind_a_load_balancer(tmp_path: Path) -> None:
    with start(None, address=f"unix:{tmp_path}/s", limits="max_connections_per_client: 1"):
        for _ in range(2):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(20)
                sock.connect(f"{tmp_path}/s")
                for piece in (V1[:1], V1[1:20], V1[20:]):
                    sock.sendall(piece)
                assert b"<203.0.113.7 203.0.113.7 443>" in ask(sock, None)


@pytest.mark.parametrize("header", [V1, V2, WITH_TLVS, LOCAL, UNKNOWN])
def test_a_header_may_come_byte_by_byte(header: bytes) -> None:
    with start(None) as gateway, ExitStack() as stack:
        sock = connect(gateway, stack)
        for byte in header[:-1]:
            sock.sendall(bytes([byte]))
            connections(gateway)  # a turn of the loop and more
        sock.sendall(header[-1:] + GET)  # its end comes with the request

        assert until_the_end(sock).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "start_of_connection",
    [
        GET,
        pytest.param(client_hello(), id="a ClientHello"),
        b"PROXY TCP4 203.0.113.7 198.51.100.1 1\r\n" + GET,
        b"PROXY TCP4 203.0.113.7 198.51.100.1 1 2\n" + GET,
        b"PROXY TCP4 203.0.113.777 198.51.100.1 1 2\r\n" + GET,
        b"PROXY " + b"x" * 200,
        V2[:12] + b"\x31" + V2[13:] + GET,
        V2[:14] + b"\xff\xff" + V2[16:] + GET,
        V2[:14] + b"\x00\x04" + V2[16:] + GET,
    ],
)
def test_a_connection_without_a_valid_header_is_closed(pair: Pair | None, start_of_connection: bytes) -> None:
    with start(pair, "header_timeout: 1h") as gateway, ExitStack() as stack:
        assert is_closed(connect(gateway, stack, start_of_connection))
        eventually(lambda: connections(gateway) == 0)


@pytest.mark.parametrize("part", [b"", V1[:1], V1[:-1], V2[:12], V2[:16], WITH_TLVS[:-1]])
def test_a_header_that_is_cut_off_ends_with_the_connection(pair: Pair | None, part: bytes) -> None:
    with start(pair, "header_timeout: 1h") as gateway, ExitStack() as stack:
        sock = connect(gateway, stack, part)
        sock.shutdown(socket.SHUT_WR)

        assert is_closed(sock)
        eventually(lambda: connections(gateway) == 0)


@pytest.mark.parametrize("part", [b"", V1[:-1], V2[:16], V1])
def test_header_timeout_covers_the_header_and_what_follows(pair: Pair | None, part: bytes) -> None:
    with start(pair, "header_timeout: 300ms") as gateway, ExitStack() as stack:
        sock = connect(gateway, stack, part)

        until_the_end(sock)  # without TLS the response to a head that does not come
        eventually(lambda: connections(gateway) == 0)


def test_a_header_in_pieces_does_not_keep_the_loop_busy(pair: Pair | None, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []

    def counting(data: bytes) -> ProxyHeader | int:
        looked.append(len(data))
        return read_proxy_header(data)

    monkeypatch.setattr(gateway_acceptor, "read_proxy_header", counting)
    with start(pair) as gateway, ExitStack() as stack:
        sock = connect(gateway, stack, WITH_TLVS[:20])
        eventually(lambda: looked == [20])
        for byte in WITH_TLVS[20:-1]:
            sock.sendall(bytes([byte]))
            connections(gateway)

        assert looked == [20]


def test_connections_count_by_the_source(pair: Pair | None) -> None:
    other = proxy_header("v2", ("203.0.113.8", 1), DESTINATION)
    with start(pair, "max_connections_per_client: 2") as gateway, ExitStack() as stack:
        for header in (V1, V2, other, other):
            connect(gateway, stack, header)
        eventually(lambda: connections(gateway) == 4)

        if pair is None:
            assert ask(connect(gateway, stack, V1), pair).startswith(b"HTTP/1.1 503 ")
        else:
            assert is_closed(connect(gateway, stack, V1))
        assert connections(gateway) == 4
        assert b"<203.0.113.9 " in ask(connect(gateway, stack, V1.replace(b"113.7", b"113.9")), pair)


def test_connections_count_before_their_header_has_come(pair: Pair | None) -> None:
    with start(pair, "max_connections: 3, header_timeout: 1h") as gateway, ExitStack() as stack:
        waiting = [connect(gateway, stack) for _ in range(3)]
        eventually(lambda: connections(gateway) == 3)

        if pair is None:
            assert ask(connect(gateway, stack, V1), pair).startswith(b"HTTP/1.1 503 ")
        else:
            assert is_closed(connect(gateway, stack, V1))
        waiting[0].close()
        eventually(lambda: connections(gateway) == 2)
        assert b"<203.0.113.7 " in ask(connect(gateway, stack, V1), pair)


def test_a_reload_begins_and_ends_to_want_headers_on_the_same_socket(pair: Pair | None) -> None:
    tls = "" if pair is None else f", tls: {{cert: {pair.cert}, key: {pair.key}}}"
    with start(pair) as gateway, ExitStack() as stack:
        for wants, limit in [(False, 0), (True, 0), (True, 100), (False, 100), (False, 1_000_000), (True, 1_000_000)]:
            gateway.reload(
                f"listen: {{address: '127.0.0.1:0', proxy_protocol: {wants}{tls}}}\n"
                f"limits: {{max_connections: {limit}}}\n"
                "plugins: [{name: who}]\nroutes: [{id: all, path: /, target: 'http://127.0.0.1:1'}]\n"
            )

            with_header = ask(connect(gateway, stack, V1), pair) if wants else b"<203.0.113.7 "
            without = ask(connect(gateway, stack), pair) if not wants else b"<127.0.0.1 "
            assert b"<203.0.113.7 " in with_header
            assert b"<127.0.0.1 " in without
            if wants:
                assert is_closed(connect(gateway, stack, GET))


@pytest.mark.parametrize("request_line", [b"GET / HTTP/1.1", b"PRI * HTTP/2.0"])
def test_a_request_without_tls_behind_a_header_is_told_so(tmp_path: Path, request_line: bytes) -> None:
    with start(make(tmp_path, "a")) as gateway, ExitStack() as stack:
        received = until_the_end(connect(gateway, stack, V2 + request_line + b"\r\nHost: x\r\n\r\n"))

        assert received.startswith(b"HTTP/1.1 400 ")
        assert b"use https" in received
        eventually(lambda: connections(gateway) == 0)
