"""Which TLS sessions are resumed, asked by a real client."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from gateway_core.process.tls import AddressTls

from tests.core.process.certificates import Pair, address_tls, listener, make, serving, trusting_all, use

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@dataclass
class Connected:
    resumed: bool
    served: bool
    session: ssl.SSLSession | None


@pytest.fixture
def own(tmp_path: Path) -> Pair:
    return make(tmp_path, "own", "own.test")


@pytest.fixture
def other(tmp_path: Path) -> Pair:
    return make(tmp_path, "other", "other.test")


@pytest.fixture
def client(tmp_path: Path) -> Pair:
    return make(tmp_path, "client")


@pytest.fixture
def tls(own: Pair, other: Pair) -> AddressTls:
    return address_tls(listener(own, certificates=[other.config()]))


@pytest.fixture
async def port(tls: AddressTls) -> AsyncIterator[int]:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()

    async with serving(tls, serve) as port:
        yield port


class Visitor:
    """A client that keeps its context, as sessions belong to one."""

    def __init__(self, port: int, version: ssl.TLSVersion, pair: Pair | None = None) -> None:
        self._port = port
        self._context = trusting_all(pair)
        self._context.maximum_version = version

    async def connect(self, session: ssl.SSLSession | None = None, name: str = "own.test") -> Connected:
        return await asyncio.to_thread(self._connect, session, name)

    def _connect(self, session: ssl.SSLSession | None, name: str) -> Connected:
        try:
            with (
                socket.create_connection(("127.0.0.1", self._port)) as plain,
                self._context.wrap_socket(plain, server_hostname=name, session=session) as secure,
            ):
                served = secure.recv(5) == b"hello"
                return Connected(bool(secure.session_reused), served, secure.session)
        except (ssl.SSLError, OSError):
            return Connected(resumed=False, served=False, session=None)


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_session_is_resumed_where_no_client_certificate_is_asked_for(
    port: int, version: ssl.TLSVersion
) -> None:
    visitor = Visitor(port, version)
    first = await visitor.connect()

    again = await visitor.connect(first.session)

    assert not first.resumed
    assert again.resumed
    assert again.served


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("client_auth", ["optional", "required"])
async def test_no_session_is_resumed_where_a_client_certificate_is_asked_for(
    port: int, tls: AddressTls, own: Pair, client: Pair, version: ssl.TLSVersion, client_auth: str
) -> None:
    use(tls, listener(own, client_ca=str(client.cert), client_auth=client_auth))
    visitor = Visitor(port, version, client)
    first = await visitor.connect()

    again = await visitor.connect(first.session)

    assert first.served
    assert again.served
    assert not again.resumed


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["own.test", "other.test"])
async def test_a_session_from_before_client_certificates_were_asked_for_does_not_pass(
    port: int, tls: AddressTls, own: Pair, other: Pair, client: Pair, version: ssl.TLSVersion, name: str
) -> None:
    visitor = Visitor(port, version)
    before = await visitor.connect()
    assert (await visitor.connect(before.session)).resumed

    use(tls, listener(own, certificates=[other.config()], client_ca=str(client.cert)))

    after = await visitor.connect(before.session, name)
    assert not after.served
    assert not after.resumed


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_session_of_a_client_that_is_no_longer_trusted_does_not_pass(
    port: int, tls: AddressTls, own: Pair, client: Pair, version: ssl.TLSVersion, tmp_path: Path
) -> None:
    use(tls, listener(own, client_ca=str(client.cert)))
    visitor = Visitor(port, version, client)
    before = await visitor.connect()
    assert before.served

    use(tls, listener(own, client_ca=str(make(tmp_path, "another").cert)))

    assert not (await visitor.connect(before.session)).served


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_session_without_a_certificate_does_not_pass_where_one_is_required_now(
    port: int, tls: AddressTls, own: Pair, client: Pair, version: ssl.TLSVersion
) -> None:
    use(tls, listener(own, client_ca=str(client.cert), client_auth="optional"))
    visitor = Visitor(port, version)
    before = await visitor.connect()
    assert before.served

    use(tls, listener(own, client_ca=str(client.cert), client_auth="required"))

    assert not (await visitor.connect(before.session)).served


async def test_a_higher_minimum_version_ends_the_sessions_of_lower_ones(port: int, tls: AddressTls, own: Pair) -> None:
    visitor = Visitor(port, ssl.TLSVersion.TLSv1_2)
    before = await visitor.connect()
    assert before.served

    use(tls, listener(own, min_version="1.3"))

    assert not (await visitor.connect(before.session)).served
    assert not (await visitor.connect()).served
    assert (await Visitor(port, ssl.TLSVersion.TLSv1_3).connect()).served
