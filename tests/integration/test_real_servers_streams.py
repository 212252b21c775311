"""What is more than one request and one response, with real servers behind the gateway."""

from __future__ import annotations

import gzip
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from gateway_core.testing import RunningGateway

from tests.core.process.certificates import Pair, make
from tests.integration.servers import application
from tests.integration.servers.before import gateway_before
from tests.integration.servers.run import SERVERS
from tests.integration.wire import Message, Wire
from tests.protocols.running import http2_port, spoken_to_in_turn

HOST = b"Host: app.example\r\n"
HTTP1 = pytest.mark.parametrize("connect", ["http1"], indirect=True)
"""What HTTP/2 has not: versions, bytes behind a request that are another one."""


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return make(tmp_path_factory.mktemp("tls"), "localhost", "app.example")


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    with ExitStack() as stack:
        names = ("node", "tomcat", "nginx", "wsgiref")
        yield {name: stack.enter_context(SERVERS[name](tmp_path_factory.mktemp(name))) for name in names}


@pytest.fixture(scope="module", params=["asyncio", "uvloop", "uvloop-tls"])
def gateways(request: pytest.FixtureRequest, ports: dict[str, int], pair: Pair) -> Iterator[dict[str, RunningGateway]]:
    loop, _, tls = request.param.partition("-")
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(gateway_before(f"http://127.0.0.1:{port}", loop, pair if tls else None))
            for name, port in ports.items()
        }


Connect = Callable[[str], Wire]


@pytest.fixture(scope="module")
def http2_ports(gateways: dict[str, RunningGateway]) -> Iterator[dict[str, int]]:
    with ExitStack() as stack:
        yield {name: stack.enter_context(http2_port(gateway)) for name, gateway in gateways.items()}


@pytest.fixture(params=["http1", "http2"])
def connect(
    request: pytest.FixtureRequest, gateways: dict[str, RunningGateway], http2_ports: dict[str, int]
) -> Connect:
    """Return what connects to the gateway before a server, as a client of either protocol."""
    if request.param == "http1":
        return lambda name: Wire.to(gateways[name])
    return lambda name: Wire(http2_ports[name])


@pytest.fixture
def node(connect: Connect) -> Iterator[Wire]:
    with connect("node") as wire:
        yield wire


def test_early_hints_come_before_the_response(node: Wire) -> None:
    node.send(b"GET /hints HTTP/1.1\r\n" + HOST + b"\r\n")

    hints, response = node.message(), node.message()

    assert (hints.status, hints.values("link")) == (103, ["</style.css>; rel=preload; as=style"])
    assert (response.status, response.body) == (200, b"ok")


@HTTP1
def test_a_client_of_http_1_0_gets_no_interim_response(node: Wire) -> None:
    assert node.ask(b"GET /hints HTTP/1.0\r\n" + HOST + b"\r\n").body == b"ok"


@pytest.mark.parametrize("server", ["node", "tomcat"])
def test_trailers_go_both_ways(connect: Connect, server: str) -> None:
    with connect(server) as wire:
        for _ in range(3):
            response = wire.ask(
                b"POST /trailers HTTP/1.1\r\n" + HOST + b"TE: trailers\r\nTrailer: X-Digest\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Digest: 7\r\n\r\n"
            )

            assert response.body == b"part"
            assert response.trailers.lower() == b"x-sum: 42\r\n"
            assert response.values("trailer") == ["X-Sum"]
            assert "7" in response.values("x-got")[0]
            assert "trailers" in response.values("x-te")[0].lower()


def early_response(node: Wire) -> Message:
    node.send(b"POST /early HTTP/1.1\r\n" + HOST + b"Content-Length: 50000000\r\n\r\n")
    node.send(b"x" * 100_000)
    return node.final()


def test_an_early_response_to_a_large_upload_arrives(node: Wire) -> None:
    response = early_response(node)

    assert (response.status, response.body) == (413, b"too large")


@HTTP1
def test_an_early_response_to_a_large_upload_is_the_connections_last(node: Wire) -> None:
    assert early_response(node).values("connection") == ["close"]


def test_nginx_refuses_a_large_upload_before_it_is_sent(connect: Connect) -> None:
    with connect("nginx") as wire:
        wire.send(b"POST /large HTTP/1.1\r\n" + HOST + b"Content-Length: 5000000\r\nExpect: 100-continue\r\n\r\n")

        response = wire.final()

    assert response.status == 413


def test_a_body_waits_for_100_continue_of_the_server(node: Wire) -> None:
    node.send(b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    assert node.message().status == 100

    node.send(b"hello")

    assert node.message().body == b"hello"
    assert node.ask(b"GET /nothing HTTP/1.1\r\n" + HOST + b"\r\n").status == 204


def test_a_server_may_refuse_instead_of_100_continue(node: Wire) -> None:
    node.send(b"POST /refused HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")

    response = node.message()

    assert (response.status, response.body) == (403, b"no")


def test_events_arrive_one_by_one(node: Wire) -> None:
    node.send(b"GET /events HTTP/1.1\r\n" + HOST + b"\r\n")

    node.until(b"\r\n\r\n")
    node.until(b"data: 0\n\n")  # the last event comes when this one was seen
    rest = node.until(b"0\r\n\r\n")

    assert [b"data: %d\n\n" % number in rest for number in range(1, 6)] == [True] * 5


def test_a_body_until_the_close_of_its_connection(node: Wire, gateways: dict[str, RunningGateway]) -> None:
    for _ in range(3):
        assert node.ask(b"GET /until-close HTTP/1.1\r\n" + HOST + b"\r\n").body == b"until close"
    with Wire.to(gateways["node"]) as old:
        assert old.ask(b"GET /until-close HTTP/1.0\r\n" + HOST + b"\r\n").body == b"until close"


UPGRADE = b"Connection: Upgrade\r\nUpgrade: echo\r\n"


def test_a_tunnel_carries_what_comes_behind_the_request_and_later(node: Wire) -> None:
    node.send(b"GET /tunnel HTTP/1.1\r\n" + HOST + UPGRADE + b"\r\nat once")

    response = node.message()

    assert response.status == 101
    assert (response.values("upgrade"), response.values("connection")) == (["echo"], ["Upgrade"])
    assert node.exactly(7) == b"at once"
    node.send(b"x" * 1_000_000)
    assert node.exactly(1_000_000) == b"x" * 1_000_000


@HTTP1
def test_an_upgrade_that_is_refused_with_200_is_no_tunnel(node: Wire) -> None:
    """Bytes behind the request are the next request, and are never seen by the server as they are."""
    node.send(b"GET /not-switched HTTP/1.1\r\n" + HOST + UPGRADE + b"\r\nGET /nothing HTTP/1.1\r\n" + HOST + b"\r\n")

    first, second = node.message(), node.message()

    assert (first.status, first.body) == (200, b"not switched")
    assert second.status == 204


# TLS has no half-close.
@pytest.mark.parametrize("gateways", ["asyncio", "uvloop"], indirect=True)
def test_a_half_closed_client_gets_its_response(gateways: dict[str, RunningGateway]) -> None:
    with Wire.to(gateways["node"]) as wire:
        wire.send(b"GET /text HTTP/1.1\r\n" + HOST + b"\r\n")
        wire.socket.shutdown(socket.SHUT_WR)

        assert wire.message().body == application.TEXT
        assert wire.is_closed()


def test_a_kept_connection_that_the_server_closed_is_no_failure(connect: Connect) -> None:
    with connect("wsgiref") as wire:
        for _ in range(20):
            assert wire.ask(b"GET /cookies HTTP/1.1\r\n" + HOST + b"\r\n").body == b"ok"


def test_nothing_is_left_of_it_all(gateways: dict[str, RunningGateway]) -> None:
    for gateway in gateways.values():
        gateway.settle()


@pytest.mark.parametrize("via", [False, True])
def test_nginx_compresses_for_requests_without_via_alone(ports: dict[str, int], via: bool) -> None:
    """``gzip_proxied off`` is its default."""
    url = f"http://127.0.0.1:{ports['nginx']}"
    with gateway_before(url, "asyncio", more={"via": via}) as running, spoken_to_in_turn(running) as gateway:
        for _ in range(2):
            with Wire.to(gateway) as wire:
                response = wire.ask(b"GET /text HTTP/1.1\r\n" + HOST + b"Accept-Encoding: gzip\r\n\r\n")

            assert response.values("content-encoding") == ([] if via else ["gzip"])
            assert (response.body if via else gzip.decompress(response.body)) == application.TEXT


def test_a_body_in_chunks_reaches_wsgi_where_it_is_buffered(ports: dict[str, int]) -> None:
    route = {"id": "all", "path_prefix": "/", "target": "u", "buffer_request": "1MiB"}
    before = gateway_before(f"http://127.0.0.1:{ports['wsgiref']}", "asyncio", more={"routes": [route]})
    with before as running, spoken_to_in_turn(running) as gateway:
        for size in (0, 3, 200_000):
            response = gateway.post("/echo", iter([b"x" * size]) if size else iter([]))
            assert (response.status, len(response.body)) == (200, size)
        assert gateway.post("/echo", iter([b"x" * 1_000_000, b"y" * 100_000])).status == 413
