from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from gateway_core.clock import SystemClock
from gateway_core.config import HealthCheckConfig, SecretHeaderValue, StatusRange
from gateway_core.leases import Leases
from gateway_core.proxy_protocol import ProxyVersion
from gateway_core.upstreams import Endpoint, EndpointSpec
from gateway_core.upstreams.checker import Checker
from gateway_core.upstreams.endpoint import Checked
from gateway_core.upstreams.resolver import AddressInfo, Resolver

from tests.ports import free_port


class Upstream:
    """A real server whose health the test decides."""

    def __init__(self) -> None:
        self.status = 200
        self.hangs = False
        self.requests: list[web.BaseRequest] = []
        self.asked = asyncio.Event()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append(request)
        self.asked.set()
        if self.hangs:
            await asyncio.Event().wait()
        if self.status == 302:
            raise web.HTTPFound("/elsewhere")
        response = web.StreamResponse(status=self.status)
        await response.prepare(request)
        if self.status == 206:
            await asyncio.Event().wait()  # a body without an end
        return response


def spec_of(endpoint: Endpoint) -> EndpointSpec:
    return EndpointSpec(endpoint.scheme, endpoint.host, endpoint.port, path=endpoint.path)


def follow(endpoint: Endpoint, checker: Checker) -> None:
    checks: Leases[str, Checked] = Leases()
    endpoint.follow(checks.acquire(endpoint.id, lambda: checker))


@pytest.fixture
async def upstream() -> AsyncIterator[tuple[Upstream, Endpoint]]:
    fake = Upstream()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", fake.handle)
    server = TestServer(app, host="127.0.0.1")
    await server.start_server(shutdown_timeout=0.1)
    assert server.port is not None
    yield fake, Endpoint(EndpointSpec("http", "127.0.0.1", server.port))
    await server.close()


@pytest.fixture
async def make_checker() -> AsyncIterator[Callable[..., Checker]]:
    made: list[Checker] = []

    def make(endpoint: Endpoint, proxy_protocol: ProxyVersion | None = None, **settings: Any) -> Checker:
        config = HealthCheckConfig.model_construct(**{"timeout": 5.0, "unhealthy_threshold": 1, **settings})
        clock = SystemClock()
        checker = Checker(
            spec_of(endpoint), config, resolver=Resolver(), clock=clock, rng=Random(1), proxy_protocol=proxy_protocol
        )
        follow(endpoint, checker)
        made.append(checker)
        return checker

    yield make
    for checker in made:
        await checker.aclose()


@pytest.mark.parametrize(
    ("status", "expected", "error"),
    [
        (200, ("200-399",), ""),
        (302, ("200-399",), ""),
        (503, ("200-399",), "responded 503, expected 200-399"),
        (302, ("200",), "responded 302, expected 200"),
        (404, ("200", "404"), ""),
        (206, ("200-299",), ""),
    ],
)
async def test_the_status_decides_and_redirects_are_not_followed(
    status: int,
    expected: tuple[str, ...],
    error: str,
    upstream: tuple[Upstream, Endpoint],
    make_checker: Callable[..., Checker],
) -> None:
    fake, endpoint = upstream
    fake.status = status

    await make_checker(endpoint, expected_statuses=tuple(map(StatusRange.parse, expected))).check()

    assert (endpoint.healthy, endpoint.health.last_check_error) == (not error, error)
    assert endpoint.health.last_check > 0
    assert len(fake.requests) == 1


async def test_the_request_is_the_configured_one(
    upstream: tuple[Upstream, Endpoint], make_checker: Callable[..., Checker]
) -> None:
    fake, endpoint = upstream

    await make_checker(
        endpoint,
        method="HEAD",
        path="/health%2Fx?deep=1",
        host="users.test",
        headers={"X-Probe": SecretHeaderValue("1")},
    ).check()

    (request,) = fake.requests
    assert (request.method, request.path_qs) == ("HEAD", "/health%2Fx?deep=1")
    assert (request.headers["Host"], request.headers["X-Probe"]) == ("users.test", "1")
    assert request.headers["User-Agent"] == "gateway-health-check"


async def test_another_port_may_respond_for_the_endpoint(
    upstream: tuple[Upstream, Endpoint], make_checker: Callable[..., Checker]
) -> None:
    _, endpoint = upstream
    other = Endpoint(EndpointSpec("http", "127.0.0.1", free_port()))

    await make_checker(other, port=endpoint.port).check()

    assert other.healthy


async def test_no_response_in_time_is_a_failure(
    upstream: tuple[Upstream, Endpoint], make_checker: Callable[..., Checker]
) -> None:
    fake, endpoint = upstream
    fake.hangs = True

    await make_checker(endpoint, timeout=0.05).check()

    assert (endpoint.healthy, endpoint.health.last_check_error) == (False, "no response within 0.05 s")


@pytest.mark.parametrize("kind", ["http", "https", "tcp"])
async def test_a_refused_connection_is_a_failure(kind: str, make_checker: Callable[..., Checker]) -> None:
    endpoint = Endpoint(EndpointSpec("http", "127.0.0.1", free_port()))

    await make_checker(endpoint, type=kind).check()

    assert not endpoint.healthy
    assert endpoint.health.last_check_error


async def test_what_is_no_http_is_a_failure_but_accepts_connections(make_checker: Callable[..., Checker]) -> None:
    async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-x\r\n")
        writer.close()

    async with await asyncio.start_server(garbage, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        as_http, as_tcp = (Endpoint(EndpointSpec("http", "127.0.0.1", port)) for _ in range(2))

        await make_checker(as_http).check()
        await make_checker(as_tcp, type="tcp").check()

    assert not as_http.healthy
    assert as_tcp.healthy


async def test_a_started_checker_finds_out_and_tells_the_watchers(
    upstream: tuple[Upstream, Endpoint], make_checker: Callable[..., Checker]
) -> None:
    fake, endpoint = upstream
    changed = asyncio.Event()
    seen: list[bool] = []

    class Watch:
        def invalidate(self) -> None:
            seen.append(endpoint.healthy)
            changed.set()

    endpoint.watch(Watch())
    checker = make_checker(endpoint, interval=0.01, jitter=0.5, healthy_threshold=2, unhealthy_threshold=2)
    checker.start()
    await asyncio.wait_for(fake.asked.wait(), 30)

    fake.status = 500
    await asyncio.wait_for(changed.wait(), 30)

    changed.clear()
    fake.status = 200
    await asyncio.wait_for(changed.wait(), 30)

    assert seen == [False, True]


async def test_a_closed_checker_asks_no_more(
    upstream: tuple[Upstream, Endpoint], make_checker: Callable[..., Checker]
) -> None:
    fake, endpoint = upstream
    checker = make_checker(endpoint, interval=0.001)
    checker.start()
    await asyncio.wait_for(fake.asked.wait(), 30)

    await checker.aclose()
    asked = len(fake.requests)
    await asyncio.sleep(0.05)  # in which it would ask, if it did

    assert len(fake.requests) == asked


async def test_an_endpoint_on_a_unix_socket_is_checked_there(
    tmp_path: Path, make_checker: Callable[..., Checker]
) -> None:
    path = str(tmp_path / "users.sock")
    received: asyncio.Queue[bytes] = asyncio.Queue()
    endpoint = Endpoint(EndpointSpec.from_url(f"unix:{path}"))

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.put_nowait(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    async with await asyncio.start_unix_server(handle, path):
        await make_checker(endpoint, path="/health").check()

    assert endpoint.health.last_check_error == ""
    head = await received.get()
    assert head.startswith(b"GET /health HTTP/1.1\r\nHost: localhost\r\n")

    await make_checker(endpoint, path="/health").check()
    assert "No such file" in endpoint.health.last_check_error or "refused" in endpoint.health.last_check_error


@pytest.mark.parametrize(
    ("version", "header"),
    [("v1", b"PROXY UNKNOWN\r\n"), ("v2", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"), (None, b"")],
)
async def test_a_check_begins_with_a_header_that_names_no_client(
    version: ProxyVersion | None, header: bytes, make_checker: Callable[..., Checker]
) -> None:
    received: asyncio.Queue[bytes] = asyncio.Queue()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.put_nowait(await reader.readexactly(len(header)) + await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        endpoint = Endpoint(EndpointSpec("http", "127.0.0.1", server.sockets[0].getsockname()[1]))
        await make_checker(endpoint, proxy_protocol=version).check()

    assert endpoint.health.last_check_error == ""
    assert (await received.get()).startswith(header + b"GET / HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", ""),
        (b"HTTP/1.0 200\r\n\r\n", ""),
        (b"", "the connection was closed without a response"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "the connection was closed without a response"),
        (b"HTTP/2 200 OK\r\n\r\n", "what it sent is no HTTP response: b'HTTP/2 200 OK\\r\\n'"),
        (b"HTTP/1.1 2x0 OK\r\n\r\n", "what it sent is no HTTP response: b'HTTP/1.1 2x0 OK\\r\\n'"),
        (b"HTTP/1.1 " + b"9" * 100_000, "Separator is not found, and chunk exceed the limit"),
    ],
)
async def test_the_first_final_response_counts(
    response: bytes, error: str, make_checker: Callable[..., Checker]
) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(response)
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        endpoint = Endpoint(EndpointSpec("http", "127.0.0.1", server.sockets[0].getsockname()[1]))
        await make_checker(endpoint).check()

    assert endpoint.health.last_check_error == error


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL])
async def test_what_this_machine_lacks_says_nothing_about_the_endpoint(
    number: int, make_checker: Callable[..., Checker], caplog: pytest.LogCaptureFixture
) -> None:
    def fail(host: str) -> list[AddressInfo]:
        raise OSError(number, "none left")

    checker = Checker(
        EndpointSpec("http", "users.test", 80),
        HealthCheckConfig(unhealthy_threshold=1),
        resolver=Resolver(look_up=fail),
        clock=SystemClock(),
        rng=Random(1),
    )

    await checker.check()

    assert (checker.health.healthy, checker.health.last_check) == (True, 0)
    assert "endpoints cannot be connected to" in caplog.text


async def test_a_name_whose_first_address_is_dead_is_well(
    upstream: tuple[Upstream, Endpoint], make_checker: Callable[..., Checker]
) -> None:
    _, serving = upstream

    def look_up(host: str) -> list[AddressInfo]:
        # Nothing listens at the first one.
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{number}", 0)) for number in (9, 1)]

    spec = EndpointSpec("http", "users.test", serving.port)
    config = HealthCheckConfig(unhealthy_threshold=1)
    checker = Checker(spec, config, resolver=Resolver(look_up=look_up), clock=SystemClock(), rng=Random(1))

    await checker.check()

    assert checker.health.last_check_error == ""
