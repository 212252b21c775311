"""Listeners that share an address, with real TLS clients: which of them a handshake begins with."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest
from gateway_core.testing import RunningGateway, eventually

from tests.core.process.certificates import Pair, make, trusting_all
from tests.core.process.test_gateway_acceptor import connections

pytestmark = pytest.mark.usefixtures("loop_kind")

GET = b"GET / HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n\r\n"


@pytest.fixture
def pairs(tmp_path: Path) -> dict[str, Pair]:
    return {name: make(tmp_path, name, f"{name}.test") for name in ("web", "partners", "client")}


def listener(pair: Pair, keys: str = "", tls: str = "") -> str:
    return f"{{address: '127.0.0.1:0', {keys} tls: {{cert: {pair.cert}, key: {pair.key}, {tls}}}}}"


def config(*listeners: str) -> str:
    return f"listen: [{', '.join(listeners)}]\nroutes: [{{id: all, path: /nowhere, target: 'http://127.0.0.1:1'}}]\n"


def partners(pairs: dict[str, Pair], tls: str = "") -> str:
    return listener(pairs["partners"], "hosts: [partners.test],", f"client_ca: {pairs['client'].cert}, {tls}")


def ask(gateway: RunningGateway, name: str, client: Pair | None = None) -> tuple[str, bytes]:
    """Ask by a server name; return whose certificate was shown, and what came."""
    context = trusting_all(client)
    with (
        socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname=name or None) as sock,
    ):
        sock.sendall(GET % (name or "x").encode())
        received = b""
        while data := sock.recv(65536):
            received += data
        if not received:
            raise ConnectionError("refused")  # in TLS 1.3 only after the client's part of the handshake
        shown = sock.getpeercert(binary_form=True)
        assert shown is not None
        return ssl.DER_cert_to_PEM_cert(shown), received


def test_the_server_name_chooses_certificate_and_client_authentication(pairs: dict[str, Pair]) -> None:
    with RunningGateway(config(partners(pairs), listener(pairs["web"], "hosts: ['*.test'],"))) as gateway:
        for name in ("web.test", "other.test", "unknown", ""):
            shown, response = ask(gateway, name)
            assert shown == pairs["web"].cert.read_text()
            assert response.startswith(b"HTTP/1.1 404 ")

        shown, response = ask(gateway, "Partners.test", pairs["client"])
        assert shown == pairs["partners"].cert.read_text()
        assert response.startswith(b"HTTP/1.1 404 ")
        for client in (None, pairs["web"]):
            with pytest.raises(OSError):  # noqa: PT011 - an alert, or the end, by version and time
                ask(gateway, "partners.test", client)
        eventually(lambda: connections(gateway) == 0)


def test_strict_sni_refuses_names_that_no_listener_has(pairs: dict[str, Pair]) -> None:
    web = listener(pairs["web"], "hosts: [web.test],", "strict_sni: true")
    with RunningGateway(config(partners(pairs), web)) as gateway:
        assert ask(gateway, "web.test")[1].startswith(b"HTTP/1.1 404 ")
        for name in ("other.test", ""):
            with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
                ask(gateway, name)


def test_a_listener_joins_and_leaves_an_address_whose_socket_stays(pairs: dict[str, Pair]) -> None:
    web = listener(pairs["web"], "hosts: [web.test],")
    with RunningGateway(config(web)) as gateway:
        assert ask(gateway, "partners.test")[0] == pairs["web"].cert.read_text()
        socket_before = gateway._sockets["127.0.0.1:0"].fileno()

        gateway.reload(config(web, partners(pairs)))
        assert ask(gateway, "partners.test", pairs["client"])[0] == pairs["partners"].cert.read_text()
        assert ask(gateway, "web.test")[0] == pairs["web"].cert.read_text()

        gateway.reload(config(partners(pairs)))
        with pytest.raises(OSError):  # noqa: PT011 - the only listener asks everybody
            ask(gateway, "web.test")
        assert ask(gateway, "web.test", pairs["client"])[0] == pairs["partners"].cert.read_text()
        assert gateway._sockets["127.0.0.1:0"].fileno() == socket_before


def test_a_session_of_one_listener_is_not_resumed_with_another(pairs: dict[str, Pair]) -> None:
    context = trusting_all(pairs["client"])
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with RunningGateway(config(partners(pairs), listener(pairs["web"]))) as gateway:

        def connect(name: str, session: ssl.SSLSession | None = None) -> tuple[bool | None, ssl.SSLSession | None]:
            with (
                socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as plain,
                context.wrap_socket(plain, server_hostname=name, session=session) as sock,
            ):
                return sock.session_reused, sock.session

        _, session = connect("web.test")
        assert connect("web.test", session)[0]
        assert not connect("partners.test", session)[0]
