"""What peers may claim, over sockets: trust by listener, unix sockets, reloads, plugins."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Request

from tests.core.proxy.kit import Peer, Proxied, RunningProxy, StartProxy, StartUpstream, field, fields

TRUST = "trusted_proxies: [127.0.0.0/8]"
GET = b"GET / HTTP/1.1\r\nHost: gw.example\r\n%b\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: gw.example\r\nTransfer-Encoding: chunked\r\n%b\r\n0\r\n\r\n"
CLAIMS = (
    b"X-Forwarded-For: 203.0.113.7\r\nX_Forwarded-For: 6.6.6.6\r\nX-Real-IP: 203.0.113.7\r\nx-original-url: /admin\r\n"
    b"Proxy: http://evil\r\nFORWARDED: for=203.0.113.7\r\nX-Forwarded_Proto: https\r\n"
)


class Sees(Plugin[Any]):
    """Tells the upstream which fields a hook saw, and who it took for the client."""

    name = "sees"

    @hookimpl
    def gateway_request(self, request: Request) -> None:
        seen = ",".join(name.lower() for name in request.headers)
        request.headers["Saw"] = f"{request.client_ip}|{request.scheme}|{seen}"


SEES = "plugins: [{name: sees}]"


@pytest.mark.parametrize("head", [GET, CHUNKED])
async def test_no_hook_and_no_upstream_sees_what_a_stranger_claims(proxied: Proxied, head: bytes) -> None:
    gateway, upstream = await proxied(extra=SEES, plugins=[Sees])

    for _ in range(2):
        await gateway.ask(head % CLAIMS)

    for sent in upstream.heads:
        saw = (field(sent, b"saw") or b"").split(b"|")
        assert saw[:2] == [b"127.0.0.1", b"http"]
        assert set(saw[2].split(b",")) <= {b"host", b"transfer-encoding"}
        assert b"203.0.113.7" not in sent
        assert b"6.6.6.6" not in sent
        assert b"evil" not in sent
        assert b"/admin" not in sent


@pytest.mark.parametrize("head", [GET, CHUNKED])
async def test_hooks_and_upstreams_see_what_a_trusted_proxy_says(proxied: Proxied, head: bytes) -> None:
    gateway, upstream = await proxied(extra=f"{TRUST}\n{SEES}", plugins=[Sees])

    await gateway.ask(head % CLAIMS)

    sent = upstream.heads[0]
    assert (field(sent, b"saw") or b"").startswith(b"203.0.113.7|http|host,")
    assert fields(sent, b"x-real-ip") == [b"203.0.113.7"]
    assert fields(sent, b"x-forwarded-for") == [b"203.0.113.7, 127.0.0.1"]
    assert b"6.6.6.6" not in sent
    assert b"X-Forwarded_Proto" not in sent


async def test_requests_of_one_connection_do_not_inherit_claims(proxied: Proxied) -> None:
    gateway, upstream = await proxied(extra=f"{TRUST}\nclient_address: {{header: my-client}}\n{SEES}", plugins=[Sees])
    client = await gateway.connect()

    for lines in (b"", b"My-Client: 2.2.2.2\r\n", b"", b"My-Client: 3.3.3.3\r\n", b"X-Scheme: https\r\n", b"A: b\r\n"):
        await client.send(GET % lines)
        await client.response()

    saw = [(field(head, b"saw") or b"").rpartition(b"|")[0] for head in upstream.heads]
    peer = b"127.0.0.1|http"
    assert saw == [peer, b"2.2.2.2|http", peer, b"3.3.3.3|http", b"127.0.0.1|https", peer]


async def test_a_changed_trust_counts_from_the_next_request_on(
    start_proxy: StartProxy, start_upstream: StartUpstream
) -> None:
    upstream = await start_upstream()
    route = f'routes: [{{id: r, path_prefix: /, target: "{upstream.url}"}}]\n'
    gateway = await start_proxy(route)
    client = await gateway.connect()
    listeners = (
        "",
        TRUST,
        f'{TRUST}\nlisten: [{{address: "127.0.0.1:8080", trusted_proxies: []}}]',
        'listen: [{address: "127.0.0.1:8080", trusted_proxies: [127.0.0.1], client_address: {hops: 2}}]',
        "strip_headers: [x-forwarded-for]\n" + TRUST,
    )

    for extra in listeners:
        await gateway.reload(route + extra)
        await client.send(GET % b"X-Forwarded-For: 2.2.2.2, 3.3.3.3\r\n")
        await client.response()

    assert [field(head, b"x-forwarded-for") for head in upstream.heads] == [
        b"127.0.0.1",
        b"2.2.2.2, 3.3.3.3, 127.0.0.1",
        b"127.0.0.1",
        b"2.2.2.2, 3.3.3.3, 127.0.0.1",
        b"127.0.0.1",
    ]


async def test_a_connection_of_a_listener_that_is_gone_keeps_its_trust(
    start_proxy: StartProxy, start_upstream: StartUpstream
) -> None:
    upstream = await start_upstream()
    route = f'routes: [{{id: r, path_prefix: /, target: "{upstream.url}"}}]\n'
    gateway = await start_proxy(route + 'listen: [{address: "127.0.0.1:8080", trusted_proxies: []}]')
    client = await gateway.connect()
    await client.send(GET % b"")
    await client.response()

    await gateway.reload(f"{route}{TRUST}\nlisten: 127.0.0.1:8081")
    await client.send(GET % b"X-Forwarded-For: 2.2.2.2\r\n")
    await client.response()

    assert field(upstream.heads[1], b"x-forwarded-for") == b"127.0.0.1"


async def test_each_listener_believes_its_own_peers(start_proxy: StartProxy, start_upstream: StartUpstream) -> None:
    upstream = await start_upstream()
    gateway = await start_proxy(f"""
listen:
  - {{address: "127.0.0.1:8080", trusted_proxies: []}}
  - {{address: "127.0.0.1:8081", name: counted, client_address: {{hops: 2}}}}
{TRUST}
{SEES}
routes: [{{id: r, path_prefix: /, target: "{upstream.url}"}}]
""", [Sees])  # fmt: skip
    proxy = gateway.proxy
    accept = proxy.server_for(proxy.holder.current.config.listen[1].address)
    server = await asyncio.get_running_loop().create_server(accept, "127.0.0.1", 0)
    other = RunningProxy(server.sockets[0].getsockname()[1], proxy, gateway.environment, gateway.folder)

    for each in (gateway, other):
        await each.ask(GET % b"X-Forwarded-For: 2.2.2.2, 3.3.3.3\r\n")
    server.close()

    assert [(field(head, b"saw") or b"").split(b"|")[0] for head in upstream.heads] == [b"127.0.0.1", b"2.2.2.2"]


# -- unix sockets


async def listen_on_unix(gateway: RunningProxy, path: Path) -> Callable[[], Awaitable[Peer]]:
    accept = gateway.proxy.server_for(gateway.proxy.holder.current.config.listen[0].address)
    gateway.servers.append(await asyncio.get_running_loop().create_unix_server(accept, str(path)))

    async def connect() -> Peer:
        return Peer(*await asyncio.open_unix_connection(str(path)))

    return connect


@pytest.mark.parametrize(
    ("trust", "client"), [('trusted_proxies: ["unix:"]', b"203.0.113.7"), ("trusted_proxies: [0.0.0.0/0]", b"")]
)
async def test_peers_on_unix_sockets_are_believed_by_name(
    proxied: Proxied, tmp_path: Path, trust: str, client: bytes
) -> None:
    gateway, upstream = await proxied(extra=f"{trust}\n{SEES}", plugins=[Sees])
    peer = await (await listen_on_unix(gateway, tmp_path / "s"))()

    await peer.send(GET % CLAIMS)
    await peer.response()
    peer.close()

    assert (field(upstream.heads[0], b"saw") or b"").split(b"|")[0] == client
    expected = client + b", unknown" if client else b"unknown"
    assert field(upstream.heads[0], b"x-forwarded-for") == expected


@pytest.mark.one_protocol(reason="connections of HTTP/1")
async def test_peers_on_unix_sockets_do_not_share_one_clients_connections(proxied: Proxied, tmp_path: Path) -> None:
    gateway, _ = await proxied(extra="limits: {max_connections_per_client: 1}")

    connect = await listen_on_unix(gateway, tmp_path / "s")

    peers = [await connect() for _ in range(3)]
    for peer in peers:
        await peer.send(GET % b"")
        assert (await peer.response())[0] == 200
    tcp = [await gateway.connect() for _ in range(2)]
    await tcp[0].send(GET % b"")
    assert (await tcp[0].response())[0] == 200
    assert (await tcp[1].rest()).startswith(b"HTTP/1.1 503 ")

    for peer in peers:
        peer.close()


# -- plugins


class Writes(Plugin[Any]):
    """Writes forwarding fields and an identity."""

    name = "writes"

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> None:
        request.headers["X-Forwarded-Proto"] = "https"
        request.headers["X-Request-Id"] = "plugin-id"
        request.headers["X-User-Id"] = "alice"


@pytest.mark.parametrize("extra", ["", TRUST])
@pytest.mark.parametrize(
    "lines",
    [
        b"",
        b"X-User-Id: alice\r\nX_User_Id: eve\r\n",
        b"x_user-id: eve\r\nConnection: x-user-id, x-forwarded-proto, x-request-id\r\n",
        b"X_User_Id: eve\r\nX-Forwarded-Proto: http\r\nX-Request-Id: eve\r\nX-User-Id: alice\r\n",
        b"X-Forwarded-Proto: https\r\nX-Request-Id: plugin-id\r\nX-User.Id: eve\r\nX-User-Id: alice\r\n",
    ],
)
async def test_what_plugins_write_goes_upstream_alone(proxied: Proxied, extra: str, lines: bytes) -> None:
    gateway, upstream = await proxied(extra=f"plugins: [{{name: writes}}]\n{extra}", plugins=[Writes])

    await gateway.ask(GET % lines)

    sent = upstream.heads[0]
    assert fields(sent, b"x-forwarded-proto") == [b"https"]
    assert fields(sent, b"x-request-id") == [b"plugin-id"]
    assert fields(sent, b"x-user-id") == [b"alice"]
    assert b"eve" not in sent
    assert len(fields(sent, b"x-forwarded-for")) == 1
    assert sent.endswith(b"\r\n\r\n")
    assert sent.count(b"\r\n\r\n") == 1
