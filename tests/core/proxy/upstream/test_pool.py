"""TLS on both sides of the proxy."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from gateway_core.config import ListenConfig, ListenTlsConfig
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Record, Request, Response
from gateway_core.process.certificates import load_certificates
from gateway_core.process.tls import ListenerTls
from gateway_core.proxy.upstream.connection import UpstreamConnection

from tests.core.proxy.kit import Peer, RunningProxy, StartProxy, StartUpstream, field, turns, until
from tests.core.proxy.upstream.authority import Authority, Pair
from tests.core.proxy.upstream.kit import connect, make_pool

pytestmark = pytest.mark.one_protocol(reason="connections of HTTP/1")

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class TellsPeer(Plugin[Any]):
    name = "p"

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> None:
        assert request.tls is not None
        subject = dict(part[0] for part in (request.tls.peer or {}).get("subject", ()))
        agreed = f"{request.tls.version} {request.tls.cipher}"
        request.headers["x-client"] = f"{request.scheme} {subject.get('commonName')} {agreed}"


def listener(config: dict[str, Any]) -> ssl.SSLContext:
    tls = ListenTlsConfig(**config)
    return ListenerTls(ListenConfig(address=":443", tls=tls), load_certificates(tls)).base_context()


async def ask_tls(gateway: RunningProxy, context: ssl.SSLContext, name: str, data: bytes = GET) -> tuple[bytes, Peer]:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port, ssl=context, server_hostname=name)
    peer = Peer(reader, writer)
    try:
        await peer.send(data)
        return await asyncio.wait_for(peer.head(), 30), peer
    except BaseException:
        peer.reset()
        await asyncio.sleep(0)
        raise


async def test_the_name_that_a_client_asks_for_selects_the_certificate(
    start_proxy: StartProxy, start_upstream: StartUpstream, authority: Authority
) -> None:
    one, two = authority.issue("one.example"), authority.issue("two.example")
    config = {"cert": str(one.cert), "key": str(one.key)}
    config["certificates"] = [{"cert": str(two.cert), "key": str(two.key)}]  # type: ignore[assignment]
    upstream = await start_upstream()
    gateway = await start_proxy(f'routes: [{{id: r, path_prefix: /, target: "{upstream.url}"}}]', tls=listener(config))
    context = ssl.create_default_context(cafile=str(authority.cert))

    for name in ("one.example", "two.example"):
        head, peer = await ask_tls(gateway, context, name)
        assert head.startswith(b"HTTP/1.1 200 ")
        assert await peer.exactly(2) == b"ok"
        await peer.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" + bytes(200_000))
        assert (await peer.response())[0] == 200
        peer.close()

    assert [field(head, b"x-forwarded-proto") for head in upstream.heads] == [b"https"] * 4
    assert [len(body) for body in upstream.bodies] == [0, 200_000] * 2


async def test_plugins_know_the_verified_client(
    start_proxy: StartProxy, start_upstream: StartUpstream, authority: Authority
) -> None:
    server, client = authority.issue("gw.example"), authority.issue("alice")
    upstream = await start_upstream()
    config = {"cert": str(server.cert), "key": str(server.key), "client_ca": str(authority.cert)}
    gateway = await start_proxy(
        f'plugins: [{{name: p}}]\nroutes: [{{id: r, path_prefix: /, target: "{upstream.url}"}}]',
        [TellsPeer],
        listener(config),
    )
    context = ssl.create_default_context(cafile=str(authority.cert))
    with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
        await ask_tls(gateway, context, "gw.example")
    context.load_cert_chain(client.cert, client.key)

    head, peer = await ask_tls(gateway, context, "gw.example")

    assert head.startswith(b"HTTP/1.1 200 ")
    agreed = peer.writer.get_extra_info("ssl_object")
    expected = f"https alice {agreed.version()} {agreed.cipher()[0]}"
    assert field(upstream.heads[0], b"x-client") == expected.encode()
    peer.close()


@asynccontextmanager
async def tls_upstream(
    pair: Pair, client_ca: Path | None = None, ends: str = ""
) -> AsyncIterator[tuple[int, list[str | None]]]:
    """Serve OK over TLS; yields the port and, for each connection, the client certificate's name.

    :param ends: response with a body until close, and end it with a ``close_notify`` or a ``fin`` alone.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    if client_ca is not None:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    seen: list[str | None] = []
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        certificate = writer.get_extra_info("peercert") or {}
        seen.append(dict(part[0] for part in certificate.get("subject", ())).get("commonName"))
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(b"HTTP/1.1 200 OK\r\n\r\nsome" if ends else OK)
                if ends == "fin":
                    with socket.socket(fileno=os.dup(writer.get_extra_info("socket").fileno())) as beneath:
                        beneath.shutdown(socket.SHUT_WR)
                elif ends:
                    break
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1], seen
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await turns()


@pytest.mark.parametrize("tolerates", [False, True])
@pytest.mark.parametrize("how", ["close_notify", "fin"])
async def test_a_body_that_ends_without_close_notify_is_a_visible_break_unless_it_is_tolerated(
    start_proxy: StartProxy, authority: Authority, how: str, tolerates: bool
) -> None:
    async with tls_upstream(authority.issue("127.0.0.1"), ends=how) as (port, _):
        tls = f'{{ca: "{authority.cert}", tolerate_missing_close_notify: {str(tolerates).lower()}}}'
        gateway = await start_proxy(https(port, tls), [Logs])
        client = await gateway.connect()
        await client.send(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        response = await client.rest()

    assert b"\r\nsome\r\n" in response
    assert response.endswith(b"\r\n0\r\n\r\n") is (how == "close_notify" or tolerates)


@pytest.mark.parametrize(("sans", "status"), [("[service.internal]", 200), ("[other.internal]", 502)])
async def test_sans_are_verified_in_place_of_the_name_that_is_asked_for(
    start_proxy: StartProxy, authority: Authority, sans: str, status: int
) -> None:
    Logs.errors = []
    async with tls_upstream(authority.issue("service.internal")) as (port, _):
        tls = f'{{ca: "{authority.cert}", server_name: asked.example, sans: {sans}}}'
        gateway = await start_proxy(https(port, tls), [Logs])

        assert (await gateway.ask(GET))[0] == status
        await until(lambda: Logs.errors)

    if status == 502:
        assert "none of the names other.internal" in (Logs.errors[0] or "")


async def test_replaced_files_are_used_for_new_connections(
    start_proxy: StartProxy, authority: Authority, tmp_path: Path
) -> None:
    ca = tmp_path / "ca.crt"
    ca.write_bytes(Authority(tmp_path, "other").cert.read_bytes())
    async with tls_upstream(authority.issue("127.0.0.1")) as (port, _):
        config = https(port, f'{{ca: "{ca}"}}')
        gateway = await start_proxy(config, [Logs])
        assert (await gateway.ask(GET))[0] == 502

        ca.write_bytes(authority.cert.read_bytes())
        await gateway.reload(config)
        assert (await gateway.ask(GET))[0] == 200

        ca.write_bytes(Authority(tmp_path, "third").cert.read_bytes())
        await gateway.reload(config)
        assert (await gateway.ask(GET))[0] == 502


class Logs(Plugin[Any]):
    name = "p"
    errors: list[str | None] = []

    @hookimpl
    def gateway_log(self, request: Request, response: Response, record: Record) -> None:
        self.errors.append(record.error)


async def test_a_connection_that_is_given_up_when_tls_is_there_is_closed_by_nobody_but_the_loop(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = UpstreamConnection.connection_made

    def give_up(self: UpstreamConnection, transport: asyncio.BaseTransport) -> None:
        begin(self, transport)
        connecting.cancel()

    async with tls_upstream(authority.issue("127.0.0.1")) as (port, _):
        pool = make_pool(port, context=ssl.create_default_context(cafile=str(authority.cert)), tls={})
        with monkeypatch.context() as patch:
            patch.setattr(UpstreamConnection, "connection_made", give_up)
            connecting = pool.connect(10, lambda *_: None)
            await until(lambda: isinstance(connecting, asyncio.Task) and connecting.done())

        # A socket that was closed behind its transport would give its number to this one.
        result = await connect(pool)

        assert result.connection is not None, result.reason
        result.connection.abort()


def https(port: int, tls: str) -> str:
    return f"""
plugins: [{{name: p}}]
upstreams:
  - name: u
    endpoints: [{{url: "https://127.0.0.1:{port}"}}]
    tls: {tls}
routes: [{{id: r, path_prefix: /, target: u}}]
"""


async def test_an_upstream_with_a_certificate_for_its_address_is_trusted(
    start_proxy: StartProxy, authority: Authority
) -> None:
    async with tls_upstream(authority.issue("127.0.0.1")) as (port, seen):
        gateway = await start_proxy(https(port, f'{{ca: "{authority.cert}"}}'), [Logs])
        for _ in range(3):
            status, _, body = await gateway.ask(GET)
            assert (status, body) == (200, b"ok")
    assert seen == [None]


async def test_the_name_to_verify_and_the_certificate_to_show_can_be_given(
    start_proxy: StartProxy, authority: Authority
) -> None:
    client = authority.issue("gateway-client")
    async with tls_upstream(authority.issue("service.internal"), authority.cert) as (port, seen):
        tls = f'{{ca: "{authority.cert}", server_name: service.internal, cert: "{client.cert}", key: "{client.key}"}}'
        gateway = await start_proxy(https(port, tls), [Logs])
        assert (await gateway.ask(GET))[0] == 200
    assert seen == ["gateway-client"]


@pytest.mark.parametrize("case", ["wrong name", "unknown authority"])
async def test_an_upstream_that_cannot_be_verified_is_a_502_whose_reason_only_the_log_knows(
    start_proxy: StartProxy, authority: Authority, case: str
) -> None:
    Logs.errors = []
    name, tls = ("other.example", f'{{ca: "{authority.cert}"}}') if case == "wrong name" else ("127.0.0.1", "{}")
    async with tls_upstream(authority.issue(name)) as (port, _):
        gateway = await start_proxy(https(port, tls), [Logs])
        status, _, body = await gateway.ask(GET)
        await until(lambda: Logs.errors)

    assert status == 502
    assert b"certificate" not in body
    assert "its certificate is not trusted" in (Logs.errors[0] or "")


async def test_verification_can_be_switched_off(start_proxy: StartProxy, authority: Authority) -> None:
    async with tls_upstream(authority.issue("other.example")) as (port, _):
        gateway = await start_proxy(https(port, "{verify: false}"), [Logs])
        assert (await gateway.ask(GET))[0] == 200


async def test_a_plain_upstream_behind_an_https_url_is_a_502(
    start_proxy: StartProxy, start_upstream: StartUpstream, authority: Authority
) -> None:
    upstream = await start_upstream(b"HTTP/1.1 200 OK\r\n\r\n")
    gateway = await start_proxy(https(upstream.port, f'{{ca: "{authority.cert}"}}'), [Logs])

    assert (await gateway.ask(GET))[0] in {502, 504}


async def test_tls_files_that_vanish_are_a_502_until_they_are_back(
    start_proxy: StartProxy, authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    ca = tmp_path / "ca.crt"
    ca.write_bytes(authority.cert.read_bytes())
    async with tls_upstream(authority.issue("127.0.0.1")) as (port, _):
        gateway = await start_proxy(https(port, f'{{ca: "{ca}"}}'), [Logs])
        ca.unlink()
        assert (await gateway.ask(GET))[0] == 502
        ca.write_bytes(authority.cert.read_bytes())
        assert (await gateway.ask(GET))[0] == 200
