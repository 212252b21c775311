"""Upstreams that know the user by the connection: each client is served as if it were connected directly."""

from __future__ import annotations

import asyncio
import random
from itertools import count
from typing import Any

import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Request

from tests.core.proxy.kit import Peer, Proxied, RunningProxy, StartProxy, StartUpstream, field

pytestmark = pytest.mark.one_protocol(reason="logins that hold for a connection are HTTP/1")

_numbers = count(1)


class Session:
    """What such an upstream knows of one connection; the handshake has two legs, like NTLM's."""

    def __init__(self) -> None:
        self.user = ""
        self.challenge = ""

    def response(self, credentials: str | None) -> tuple[int, str, str]:
        """Return status, WWW-Authenticate and body for a request."""
        scheme, _, token = (credentials or "").partition(" ")
        if scheme.lower() in {"ntlm", "negotiate"}:
            name, _, proof = token.partition(":")
            if not proof:
                self.challenge = f"{name}-{next(_numbers)}"
                return 401, f"{scheme} {self.challenge}", ""
            if proof != self.challenge or not proof:
                return 401, "Negotiate, NTLM", ""
            self.user = name
        return (200, "", self.user) if self.user else (401, 'Basic realm="a, b", NTLM', "")


async def serve(peer: Peer) -> None:
    session = Session()
    while True:
        head = await peer.head()
        length = int(field(head, b"content-length") or b"0")
        await peer.exactly(length)
        if field(head, b"transfer-encoding"):
            await peer.reader.readuntil(b"0\r\n\r\n")
        credentials = field(head, b"authorization")
        status, challenge, body = session.response(None if credentials is None else credentials.decode())
        extra = f"WWW-Authenticate: {challenge}\r\n" if challenge else ""
        if b" /close " in head:
            extra += "Connection: close\r\n"
        await peer.send(f"HTTP/1.1 {status} X\r\n{extra}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        if b" /close " in head:
            peer.close()
            return


async def ask(client: Peer, credentials: str = "", path: str = "/", body: str = "") -> tuple[int, str, str]:
    """Return status, challenge and body."""
    fields = f"Authorization: {credentials}\r\n" if credentials else ""
    match body:
        case "chunked":
            request = (
                f"POST {path} HTTP/1.1\r\nHost: a\r\n{fields}Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
            )
        case "":
            request = f"GET {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"
        case _:
            request = f"POST {path} HTTP/1.1\r\nHost: a\r\n{fields}Content-Length: {len(body)}\r\n\r\n{body}"
    await client.send(request.encode())
    status, head, response = await client.response()
    return status, (field(head, b"www-authenticate") or b"").decode(), response.decode()


async def log_in(client: Peer, name: str, scheme: str = "NTLM") -> None:
    status, challenge, _ = await ask(client, f"{scheme} {name}")
    assert status == 401
    token = challenge.partition(" ")[2]
    assert await ask(client, f"{scheme} {name}:{token}") == (200, "", name)


@pytest.fixture
async def gateway(start_proxy: StartProxy, start_upstream: StartUpstream) -> RunningProxy:
    """Two endpoints in turn, so that a handshake that does not stay on its connection fails."""
    one, two = await start_upstream(serve), await start_upstream(serve)
    return await start_proxy(
        "upstreams:\n"
        f"  - {{name: u, strategy: round-robin, endpoints: [{{url: '{one.url}'}}, {{url: '{two.url}'}}],"
        " retries: {attempts: 2, on: [connect-failure, reset, '503']}}\n"
        "routes:\n  - {id: all, path_prefix: /, target: u}\n"
    )


@pytest.mark.parametrize("scheme", ["NTLM", "Negotiate", "ntlm"])
@pytest.mark.parametrize("body", ["", "x", "chunked"])
async def test_a_login_holds_for_its_client_alone(gateway: RunningProxy, scheme: str, body: str) -> None:
    alice, bob = await gateway.connect(), await gateway.connect()
    await log_in(alice, "alice", scheme)

    for _ in range(6):
        assert (await ask(bob, body=body))[0] == 401
        assert await ask(alice, body=body) == (200, "", "alice")

    await log_in(bob, "bob", scheme)
    assert await ask(alice, body=body) == (200, "", "alice")
    assert await ask(bob, body=body) == (200, "", "bob")


async def test_each_client_is_served_as_if_it_were_connected_directly(gateway: RunningProxy) -> None:
    rng = random.Random(7)
    clients = [await gateway.connect() for _ in range(4)]
    users: dict[int, str] = {}

    for _ in range(300):
        number = rng.randrange(4)
        match rng.randrange(6):
            case 0:
                await log_in(clients[number], f"user{number}", rng.choice(["NTLM", "Negotiate"]))
                users[number] = f"user{number}"
            case 1:
                clients[number].close()
                clients[number] = await gateway.connect()
                users.pop(number, None)
            case 2:
                await ask(clients[number], path="/close")
                users.pop(number, None)
            case _:
                body = rng.choice(["", "", "x", "chunked"])
                status, _, response = await ask(clients[number], body=body)
                expected = users.get(number, "")
                assert (status, response) == ((200, expected) if expected else (401, ""))


async def test_the_connection_is_closed_with_its_clients(proxied: Proxied) -> None:
    closed = asyncio.Event()

    async def watched(peer: Peer) -> None:
        try:
            await serve(peer)
        finally:
            closed.set()

    gateway, _ = await proxied(watched)
    alice = await gateway.connect()
    await log_in(alice, "alice")
    assert not closed.is_set()

    alice.close()

    await asyncio.wait_for(closed.wait(), 30)


async def test_other_connections_are_shared_as_ever(proxied: Proxied) -> None:
    gateway, upstream = await proxied()

    for _ in range(5):
        client = await gateway.connect()
        assert (await ask(client, "Basic bnRsbQ=="))[0] == 200
        client.close()

    assert upstream.connections == 1


async def test_an_early_login_binds_without_a_challenge(proxied: Proxied) -> None:
    async def kerberos(peer: Peer) -> None:
        user = b""
        while True:
            head = await peer.head()
            user = user or (field(head, b"authorization") or b"")[10:]
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(user), user))

    gateway, _ = await proxied(kerberos)
    alice, bob = await gateway.connect(), await gateway.connect()
    assert (await ask(alice, "Negotiate alice"))[2] == "alice"

    assert (await ask(bob))[2] == ""
    assert (await ask(alice))[2] == "alice"


class LogsIn(Plugin[Any]):
    name = "logs-in"

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> None:
        if request.path == "/login":
            request.headers["Authorization"] = "Negotiate plugin"


async def test_credentials_of_a_plugin_bind_too(proxied: Proxied) -> None:
    async def kerberos(peer: Peer) -> None:
        user = b""
        while True:
            head = await peer.head()
            user = user or (field(head, b"authorization") or b"")[10:]
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(user), user))

    gateway, _ = await proxied(kerberos, extra="plugins: [{name: logs-in}]", plugins=[LogsIn])
    alice, bob = await gateway.connect(), await gateway.connect()
    assert (await ask(alice, path="/login"))[2] == "plugin"

    assert (await ask(bob))[2] == ""


async def test_a_reload_does_not_end_a_login(proxied: Proxied) -> None:
    gateway, _ = await proxied(serve)
    alice, bob = await gateway.connect(), await gateway.connect()
    await log_in(alice, "alice")
    text = (gateway.folder / "gateway.yaml").read_text()

    await gateway.reload(text + "  - {id: more, path: /more, target: u}\n")

    assert await ask(alice) == (200, "", "alice")
    assert (await ask(bob))[0] == 401
