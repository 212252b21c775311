"""TLS to upstreams, on a running gateway: whose certificate counts, and how a connection has to end."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from gateway_core.testing import RunningGateway

from tests.core.process.certificates import Pair, make
from tests.protocols.running import spoken_to_in_turn

Serve = Callable[[ssl.SSLSocket], None]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return make(tmp_path_factory.mktemp("tls"), "users.internal", "users.internal", "*.pool.internal")


def read_head(connection: ssl.SSLSocket) -> bool:
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return False
        data += more
    return True


def responds(connection: ssl.SSLSocket) -> None:
    while read_head(connection):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


def ends_without_close_notify(connection: ssl.SSLSocket) -> None:
    read_head(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok")
    socket.socket(fileno=connection.detach()).close()  # FIN alone


def ends_with_close_notify(connection: ssl.SSLSocket) -> None:
    read_head(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok")
    connection.unwrap()


def cut_without_close_notify(connection: ssl.SSLSocket) -> None:
    read_head(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok")
    socket.socket(fileno=connection.detach()).close()


@contextmanager
def before(
    pair: Pair, serve: Serve, wants_certificate: bool = False, protocol: str = "http1", /, **tls: Any
) -> Iterator[tuple[RunningGateway, list[str | None]]]:
    """Run a gateway before a server with a certificate; yields it, and the server names that it asks for."""
    names: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    if wants_certificate:
        context.load_verify_locations(pair.cert)
        context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols(["http/1.1"])
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    listener = socket.create_server(("127.0.0.1", 0))

    def one(accepted: socket.socket) -> None:
        try:
            with context.wrap_socket(accepted, server_side=True) as connection:
                serve(connection)
        except OSError:
            pass  # a gateway that does not trust this server

    def run() -> None:
        while True:
            try:
                accepted, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=one, args=(accepted,), daemon=True).start()

    threading.Thread(target=run, daemon=True).start()
    url = f"https://127.0.0.1:{listener.getsockname()[1]}"
    upstream = {
        "name": "u",
        "protocol": protocol,
        "endpoints": [{"url": url}],
        "tls": {"ca": str(pair.cert), **tls},
    }
    config = {"upstreams": [upstream], "routes": [{"id": "r", "path": "/", "target": "u"}]}
    try:
        with RunningGateway(config) as running, spoken_to_in_turn(running) as gateway:
            yield gateway, names
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@pytest.mark.parametrize(
    ("tls", "status", "sni"),
    [
        ({}, 502, None),
        ({"server_name": "users.internal"}, 200, "users.internal"),
        ({"server_name": "a.pool.internal"}, 200, "a.pool.internal"),
        ({"server_name": "other.internal"}, 502, "other.internal"),
        ({"sans": ["users.internal"]}, 200, None),
        ({"sans": ["other.internal", "users.internal"]}, 200, None),
        ({"sans": ["other.internal"]}, 502, None),
        ({"sans": ["users.internal"], "server_name": "front.test"}, 200, "front.test"),
        ({"sans": ["other.internal"], "server_name": "users.internal"}, 502, "users.internal"),
    ],
)
def test_sans_replace_the_check_of_the_name(pair: Pair, tls: dict[str, Any], status: int, sni: str | None) -> None:
    with before(pair, responds, **tls) as (gateway, names):
        assert [gateway.get("/").status for _ in range(2)] == [status, status]
        logged = [each.getMessage() for each in gateway.logs]

    assert set(names) <= {sni}
    if status == 502 and "sans" in tls:
        assert logged[0].endswith("is not trusted: the certificate has none of the names other.internal")


@pytest.mark.parametrize("tolerates", [False, True])
@pytest.mark.parametrize(
    ("serve", "is_whole", "is_told"),
    [
        (ends_with_close_notify, True, True),
        (ends_without_close_notify, True, False),
        (cut_without_close_notify, False, False),
    ],
)
def test_a_body_until_the_end_of_its_connection_is_whole_if_that_is_told_or_need_not_be(
    pair: Pair, serve: Serve, is_whole: bool, is_told: bool, tolerates: bool
) -> None:
    tls = {"sans": ["users.internal"], "tolerate_missing_close_notify": tolerates}
    with before(pair, serve, **tls) as (gateway, _):
        received = [gateway.raw(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") for _ in range(2)]

    for data in received:
        if is_whole and (is_told or tolerates):
            assert data.startswith(b"HTTP/1.1 200 ")
            assert data.endswith((b"\r\n0\r\n\r\n", b"\r\n\r\nok"))
        else:
            ends = (b"0\r\n\r\n", b"Content-Length: 2\r\n\r\nok")
            assert data.startswith(b"HTTP/1.1 502 ") or not data.endswith(ends)
            assert b"Content-Length: 2\r\n" not in data


@pytest.mark.parametrize(("protocol", "status"), [("http1", 200), ("auto", 200), ("http2", 502)])
def test_a_protocol_that_is_asked_for_is_never_another_one(pair: Pair, protocol: str, status: int) -> None:
    """The server takes HTTP/1 only."""
    with before(pair, responds, False, protocol, sans=["users.internal"]) as (gateway, _):
        assert [gateway.get("/").status for _ in range(2)] == [status, status]
        logged = [each.getMessage() for each in gateway.logs]

    expected = "it does not choose HTTP/2 (ALPN), which `protocol: http2` asks for"
    assert any(expected in line for line in logged) is (status == 502)


def test_a_server_that_wants_a_certificate_is_named_in_the_log(pair: Pair) -> None:
    with before(pair, responds, True, sans=["users.internal"]) as (gateway, _):
        assert [gateway.get("/").status for _ in range(2)] == [502, 502]
        logged = [each.getMessage() for each in gateway.logs]

    # With TLS 1.3 the alert comes when the handshake is over for the gateway, or not at all.
    assert logged[0].endswith(
        (
            "it ended TLS before its response: tlsv13 alert certificate required",
            "it closed the connection before its response (perhaps it wants a certificate: tls.cert)",
        )
    )
