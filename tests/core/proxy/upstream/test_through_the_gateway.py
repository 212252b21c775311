"""What is configured of connections to upstreams, from a client through the gateway."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from gateway_core.proxy_protocol import ProxyHeader, read_proxy_header

from tests.core.proxy.kit import Peer, Proxied, StartProxy, StartUpstream, field
from tests.core.proxy.upstream.conftest import StartServer

GET = b"GET / HTTP/1.1\r\nHost: x.test\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.mark.one_protocol(reason="the client's address is that of a bridge, which the endpoint does not know")
@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_each_client_address_has_connections_of_its_own_behind_a_proxy_header(
    start_proxy: StartProxy, start_upstream: StartUpstream, version: str
) -> None:
    headers: list[ProxyHeader] = []

    async def script(peer: Peer) -> None:
        data = b""
        while isinstance(found := read_proxy_header(data), int):
            data += await peer.exactly(found - len(data))
        headers.append(found)
        while True:
            await peer.head()
            await peer.send(OK)

    upstream = await start_upstream(script)
    gateway = await start_proxy(f"""
upstreams: [{{name: u, endpoints: [{{url: "{upstream.url}"}}], send_proxy_protocol: {version}}}]
routes: [{{id: all, path_prefix: /, target: u}}]
""")

    sources = []
    for source in ("127.0.0.1", "127.0.0.2", "127.0.0.1", "127.0.0.2"):
        streams = await asyncio.open_connection("127.0.0.1", gateway.port, local_addr=(source, 0))
        sources.append(streams[1].get_extra_info("sockname")[:2])
        client = Peer(*streams)
        for _ in range(2):
            await client.send(GET)
            assert (await client.response())[2] == b"ok"
        client.close()

    destination = ("127.0.0.1", gateway.port)
    assert [(each.source, each.destination) for each in headers] == [(each, destination) for each in sources[:2]]


async def test_an_endpoint_on_a_unix_socket_gets_the_clients_host(
    start_proxy: StartProxy, start_server: StartServer, tmp_path: Path
) -> None:
    hosts: list[bytes | None] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            hosts.append(field(await reader.readuntil(b"\r\n\r\n"), b"host"))
            writer.write(OK)

    await start_server(script, path=tmp_path / "u.sock")
    gateway = await start_proxy(f'routes: [{{id: all, path_prefix: /, target: "unix:{tmp_path}/u.sock"}}]')

    for _ in range(2):
        assert (await gateway.ask(GET))[2] == b"ok"

    assert hosts == [b"x.test"] * 2


async def test_a_reload_changes_the_limit_for_response_heads(
    start_proxy: StartProxy, start_upstream: StartUpstream
) -> None:
    upstream = await start_upstream(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 3000 + b"\r\nContent-Length: 2\r\n\r\nok")
    routes = f'routes: [{{id: all, path_prefix: /, target: "{upstream.url}"}}]'
    gateway = await start_proxy(routes)
    assert (await gateway.ask(GET))[0] == 200

    for limit, status in ((2000, 502), (4000, 200), (2000, 502)):
        await gateway.reload(f"{routes}\nlimits: {{max_head_bytes: {limit}}}")
        assert (await gateway.ask(GET))[0] == status


@pytest.mark.one_protocol(reason="HTTP/2 has no Connection")
@pytest.mark.parametrize(
    ("fields", "said"),
    [(b"TE: trailers\r\nConnection: TE\r\n", b"trailers"), (b"TE: gzip;q=0.5, Trailers\r\n", b"trailers"), (b"", None)],
)
async def test_upstreams_learn_that_the_client_takes_trailers(
    proxied: Proxied, fields: bytes, said: bytes | None
) -> None:
    gateway, upstream = await proxied()

    await gateway.ask(GET[:-2] + fields + b"\r\n")

    head = upstream.heads[0]
    assert field(head, b"te") == said
    assert (field(head, b"connection") or b"").lower() == (b"te" if said else b"")
