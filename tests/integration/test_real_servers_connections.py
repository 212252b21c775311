"""Connections to real servers behind the gateway: pipelining, 100-continue, large bodies, clients that leave."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from gateway_core.testing import RunningGateway

from tests.integration.servers.before import gateway_before
from tests.integration.servers.run import SERVERS
from tests.integration.wire import Wire
from tests.protocols.running import http2_port

HOST = b"Host: app.example\r\n"
SMALLER = {"nginx": 700_000, "apache": 50_000, "wsgiref": 700_000}
"""The longest body in bytes where it is not megabytes: nginx has a limit, and httpd's echo a pipe that fills."""
ONE_BY_ONE = {"wsgiref"}
"""Those that serve one connection after the other."""


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    name: str = request.param
    with SERVERS[name](tmp_path_factory.mktemp(name)) as port:
        yield name, port


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def gateway(request: pytest.FixtureRequest, server: tuple[str, int]) -> Iterator[RunningGateway]:
    with gateway_before(f"http://127.0.0.1:{server[1]}", request.param) as running:
        yield running


@pytest.fixture(scope="module")
def ports(gateway: RunningGateway) -> Iterator[dict[str, int]]:
    """Return where clients are served over either protocol."""
    with http2_port(gateway) as port:
        yield {"http1": gateway.port, "http2": port}


@pytest.fixture(params=["http1", "http2"])
def port(request: pytest.FixtureRequest, ports: dict[str, int]) -> int:
    return ports[request.param]


@pytest.fixture
def wire(port: int) -> Iterator[Wire]:
    with Wire(port) as wire:
        yield wire


def post(body: bytes, more: bytes = b"") -> bytes:
    return b"POST /echo HTTP/1.1\r\n%b%bContent-Length: %d\r\n\r\n" % (HOST, more, len(body))


@pytest.mark.parametrize("port", ["http1"], indirect=True)  # pipelining
def test_pipelined_requests_get_their_responses_in_order(wire: Wire) -> None:
    get = b"GET /text HTTP/1.1\r\n" + HOST + b"\r\n"
    alone = wire.ask(get).body

    wire.send(get + post(b"first") + b"first" + get.replace(b"GET", b"HEAD") + post(b"second") + b"second" + get)

    assert wire.final().body == alone
    assert wire.final().body == b"first"
    assert wire.final("HEAD").values("content-length") in ([str(len(alone))], [])
    assert wire.final().body == b"second"
    assert wire.final().body == alone


def test_a_client_that_asks_for_100_continue_gets_it_before_it_sends(wire: Wire) -> None:
    for _ in range(2):  # the second time over a kept connection
        wire.send(post(b"abc", b"Expect: 100-continue\r\n"))
        assert wire.message().status == 100

        wire.send(b"abc")

        assert wire.final().body == b"abc"


@pytest.mark.parametrize("port", ["http1"], indirect=True)  # persistence of HTTP/1.0
def test_clients_of_http_1_0_may_keep_their_connection(wire: Wire) -> None:
    request = b"POST /echo HTTP/1.0\r\n" + HOST + b"Connection: keep-alive\r\nContent-Length: 3\r\n\r\nabc"
    first = wire.ask(request)
    assert (first.status, first.body) == (200, b"abc")

    if first.values("content-length"):
        assert wire.ask(request).body == b"abc"


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_large_body_arrives_whole(server: tuple[str, int], wire: Wire, is_chunked: bool) -> None:
    body = (bytes(range(256)) * 12_000)[: SMALLER.get(server[0])]
    if is_chunked and server[0] != "wsgiref":  # which reads no body without a Content-Length
        wire.send(b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n")
        for start in range(0, len(body), 70_001):
            piece = body[start : start + 70_001]
            wire.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        wire.send(b"0\r\n\r\n")
    else:
        wire.send(post(body) + body)

    assert wire.final().body == body


def test_a_client_that_leaves_within_its_request_leaves_nothing_behind(
    server: tuple[str, int], gateway: RunningGateway, port: int
) -> None:
    for _ in range(1 if server[0] in ONE_BY_ONE else 5):
        with Wire(port) as leaving:
            leaving.send(post(b"x" * 100) + b"x" * 50)
            leaving.reset()
    gateway.settle()

    with Wire(port) as wire:
        assert wire.ask(post(b"abc") + b"abc").body == b"abc"


def test_a_client_that_leaves_within_its_response_leaves_nothing_behind(gateway: RunningGateway, port: int) -> None:
    for _ in range(5):
        with Wire(port) as leaving:
            leaving.send(b"GET /text HTTP/1.1\r\n" + HOST + b"\r\n")
            leaving.until(b"\r\n")
            leaving.reset()
    gateway.settle()

    with Wire(port) as wire:
        assert wire.ask(post(b"abc") + b"abc").body == b"abc"
