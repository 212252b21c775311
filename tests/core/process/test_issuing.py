from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable
from contextlib import ExitStack
from pathlib import Path

import pytest
from gateway_core.hooks import Certificate
from gateway_core.process import issuing as issuing_module
from gateway_core.process.issuing import validation_context
from gateway_core.testing import RunningGateway, eventually

from tests.core.process.certificates import Pair, make, trusting_all
from tests.core.process.hellos import TlsClient


class Issuing:
    """Knows the challenge of one name, and has a certificate made for another one."""

    def __init__(self, pair: Pair) -> None:
        self.certificate = Certificate(["a.test"], pair.cert.read_bytes(), pair.key.read_bytes())
        self.asked: list[str] = []
        self.go_on = asyncio.Event()

    async def challenge_certificate(self, server_name: str) -> Certificate | None:
        if server_name == "slow.test":
            await asyncio.Event().wait()
        return self.certificate if server_name == "a.test" else None

    def provide(self, address: str, server_name: str) -> Awaitable[object] | None:
        self.asked.append(server_name)
        return self.go_on.wait() if server_name == "wanted.test" else None


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return make(tmp_path, "a")


def config(pair: Pair, limits: str = "") -> str:
    return (
        f"listen: {{address: '127.0.0.1:0', tls: {{cert: {pair.cert}, key: {pair.key}}}}}\n"
        f"limits: {{{limits}}}\n"
        "routes: [{id: all, path: /nowhere, respond: {}}]\n"
    )


def use(gateway: RunningGateway, issuing: Issuing) -> None:
    async def put() -> None:
        for opened in gateway._engine.listeners._open.values():
            opened.accepting.issuing = issuing  # type: ignore[attr-defined]  # a listener with TLS has one

    gateway._thread.run(put())


def validating() -> ssl.SSLContext:
    context = trusting_all()
    context.set_alpn_protocols(["acme-tls/1"])
    return context


def test_a_context_for_a_validation_speaks_nothing_else(pair: Pair) -> None:
    context = validation_context(Certificate(["a.test"], pair.cert.read_bytes(), pair.key.read_bytes()))
    server_in, server_out = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(server_in, server_out, server_side=True)
    client = TlsClient("a.test", validating())

    server_in.write(client.hello())
    with pytest.raises(ssl.SSLWantReadError):
        server.do_handshake()
    client.incoming.write(server_out.read())
    client.tls.do_handshake()

    assert client.tls.selected_alpn_protocol() == "acme-tls/1"


def test_an_authority_sees_the_certificate_of_its_challenge_and_never_http(pair: Pair, tmp_path: Path) -> None:
    (tmp_path / "challenge").mkdir()
    challenge = make(tmp_path / "challenge", "challenge")
    with RunningGateway(config(pair)) as gateway, ExitStack() as stack:
        use(gateway, Issuing(challenge))
        plain = stack.enter_context(socket.create_connection(("127.0.0.1", gateway.port), timeout=20))
        client = stack.enter_context(validating().wrap_socket(plain, server_hostname="a.test"))

        assert client.selected_alpn_protocol() == "acme-tls/1"
        assert client.getpeercert(binary_form=True) == ssl.PEM_cert_to_DER_cert(challenge.cert.read_text())
        assert client.recv(1) == b""


@pytest.mark.parametrize("name", ["unknown.test", "slow.test"])
def test_a_challenge_that_is_not_known_in_time_is_refused(
    pair: Pair, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issuing_module, "VALIDATION_WAIT", 0.2)
    with RunningGateway(config(pair)) as gateway, ExitStack() as stack:
        use(gateway, Issuing(pair))
        plain = stack.enter_context(socket.create_connection(("127.0.0.1", gateway.port), timeout=20))

        with pytest.raises((ssl.SSLError, ConnectionError)):
            validating().wrap_socket(plain, server_hostname=name)


def test_a_handshake_waits_for_a_certificate_on_demand(pair: Pair) -> None:
    issuing = Issuing(pair)
    with RunningGateway(config(pair)) as gateway, ExitStack() as stack:
        use(gateway, issuing)
        plain = stack.enter_context(socket.create_connection(("127.0.0.1", gateway.port), timeout=20))
        client = TlsClient("wanted.test")
        plain.sendall(client.hello())
        eventually(lambda: issuing.asked == ["wanted.test"])

        async def go_on() -> None:
            issuing.go_on.set()

        gateway._thread.run(go_on())

        assert plain.recv(1) == b"\x16"


def test_a_certificate_on_demand_is_waited_for_within_the_header_timeout(pair: Pair) -> None:
    with RunningGateway(config(pair, "header_timeout: 300ms")) as gateway, ExitStack() as stack:
        use(gateway, Issuing(pair))
        plain = stack.enter_context(socket.create_connection(("127.0.0.1", gateway.port), timeout=20))
        plain.sendall(TlsClient("wanted.test").hello())

        while plain.recv(65536):
            pass
        eventually(lambda: not gateway._engine.proxy.beginnings)
