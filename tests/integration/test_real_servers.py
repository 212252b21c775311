"""Real servers behind the gateway: what a client receives through it is what it receives from the server itself."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Final, NamedTuple

import pytest
from gateway_core.testing import RunningGateway

from tests.core.process.certificates import Pair, make
from tests.integration.servers.before import gateway_before
from tests.integration.servers.run import SERVERS
from tests.protocols.running import spoken_to_in_turn


class Reply(NamedTuple):
    """A response without what differs from one hop or one moment to the next."""

    status: int
    fields: list[tuple[str, str]]
    body: bytes


_OF_A_HOP: Final = {
    "connection", "content-length", "date", "keep-alive", "server", "transfer-encoding", "via", "x-request-id",
}  # fmt: skip


class Side:
    """One kept connection, to the gateway or to the server itself."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self.connection = connection

    def ask(
        self, method: str, target: str, body: Any = None, fields: dict[str, str] | None = None, *, chunked: bool = False
    ) -> Reply:
        headers = {"Host": "app.example", **(fields or {})}
        if chunked:
            headers["Transfer-Encoding"] = "chunked"
        self.connection.request(method, target, body, headers, encode_chunked=chunked)
        response = self.connection.getresponse()
        data = response.read()
        shown = sorted((name.lower(), value) for name, value in response.getheaders() if name.lower() not in _OF_A_HOP)
        return Reply(response.status, shown, data)


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    name: str = request.param
    with SERVERS[name](tmp_path_factory.mktemp(name)) as port:
        yield name, port


class Sides:
    """Kept connections to the gateway of which the first speaks HTTP/2 to it, and the second HTTP/1."""

    def __init__(self, *sides: Side) -> None:
        self._sides = sides

    def ask(self, *what: Any, **more: Any) -> Reply:
        """Send a request over both; the replies are the same."""
        reply, other = [each.ask(*what, **more) for each in self._sides]
        assert reply == other
        return reply


class Both(NamedTuple):
    """The server, and the gateway before it."""

    name: str
    direct: Side
    through: Sides
    gateway: RunningGateway


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return make(tmp_path_factory.mktemp("tls"), "localhost", "app.example")


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def both(request: pytest.FixtureRequest, server: tuple[str, int], pair: Pair) -> Iterator[Both]:
    """Ask directly, and through a gateway: plain on asyncio's loop, TLS on uvloop's."""
    name, port = server
    with ExitStack() as stack:
        tls = pair if request.param == "uvloop" else None
        before = gateway_before(f"http://127.0.0.1:{port}", request.param, tls, more={"via": False})
        gateway = stack.enter_context(spoken_to_in_turn(stack.enter_context(before)))
        connections = [
            http.client.HTTPConnection("127.0.0.1", each, timeout=30) for each in (port, *2 * [gateway.port])
        ]
        for each in connections:
            stack.callback(each.close)
        direct, *through = map(Side, connections)
        # Opened one behind the other: the first speaks HTTP/2.
        for side in through:
            side.connection.connect()
        yield Both(name, direct, Sides(*through), gateway)


REQUESTS: Final[list[tuple[str, str, dict[str, Any]]]] = [
    ("GET", "/text", {}),
    ("HEAD", "/text", {}),
    ("GET", "/text", {"fields": {"Range": "bytes=10-19"}}),
    ("GET", "/text", {"fields": {"If-None-Match": "*"}}),
    ("GET", "/text", {"fields": {"Accept-Encoding": "gzip"}}),
    ("GET", "/folder", {}),
    ("GET", "/stream", {}),
    ("HEAD", "/stream", {}),
    ("GET", "/nothing", {}),
    ("GET", "/not-modified", {}),
    ("GET", "/moved", {}),
    ("GET", "/cookies", {}),
    ("GET", "/failed", {}),
    ("HEAD", "/failed", {}),
    ("POST", "/echo", {"body": b"some text"}),
    ("POST", "/echo", {"body": b"x" * 300_000}),
    ("POST", "/echo", {"body": b""}),
]
CHUNKED: Final[list[list[bytes]]] = [[b"one", b"two"], [b"x" * 70_000, b"y", b"z" * 9_000], []]


@pytest.mark.parametrize(("method", "target", "more"), REQUESTS)
def test_the_response_is_the_servers(both: Both, method: str, target: str, more: dict[str, Any]) -> None:
    expected = both.direct.ask(method, target, **more)
    assert expected.status < 400 or target not in {"/text", "/echo"}

    for _ in range(2):  # the second time over kept connections, with a cached head
        assert both.through.ask(method, target, **more) == expected


# wsgiref reads no chunks; what `buffer_request` does for it is tested beside it.
@pytest.mark.parametrize("server", [name for name in SERVERS if name != "wsgiref"], indirect=True)
@pytest.mark.parametrize("pieces", CHUNKED, ids=["small", "large", "empty"])
def test_a_body_in_chunks_arrives_whole(both: Both, pieces: list[bytes]) -> None:
    expected = both.direct.ask("POST", "/echo", iter(pieces), chunked=True)

    assert both.through.ask("POST", "/echo", pieces, chunked=True) == expected
    assert expected.body == b"".join(pieces)


def test_hundreds_of_requests_share_kept_connections(both: Both) -> None:
    bodies = [b"%d" % number * (number % 7 * 40 + 1) for number in range(60 if both.name == "apache" else 300)]

    replies = [both.through.ask("POST", "/echo", body) for body in bodies]

    assert [reply.body for reply in replies] == bodies
