"""Health checks of gRPC against grpcio's server, and against what is none."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import grpc
import grpc.aio
import pytest
from gateway_core.clock import SystemClock
from gateway_core.config import HealthCheckConfig, UpstreamTlsConfig
from gateway_core.proxy.upstream.grpc_health import check_health
from gateway_core.proxy.wire.h2.errors import ErrorCode
from gateway_core.proxy.wire.h2.frames import (
    DATA,
    END_STREAM,
    frame,
    goaway,
    headers_frames,
    ping,
    rst_stream,
    settings_frame,
)
from gateway_core.proxy.wire.h2.hpack_encoder import encode_block, encode_status
from gateway_core.upstreams import EndpointSpec
from gateway_core.upstreams.checker import Checker
from gateway_core.upstreams.resolver import Resolver
from gateway_core.upstreams.transport import TlsSettings, make_tls_context

from tests.core.proxy.kit import Peer, StartUpstream
from tests.core.proxy.upstream.authority import Authority

SERVING, NOT_SERVING = b"\x08\x01", b"\x08\x02"


class Health(grpc.GenericRpcHandler):
    """``grpc.health.v1.Health`` without protocol buffers."""

    def __init__(self) -> None:
        self.response: bytes | tuple[grpc.StatusCode, str] = SERVING
        self.requests: list[bytes] = []
        self.metadata: dict[str, str | bytes] = {}
        self.remaining = 0.0

    def service(self, details: Any) -> Any:
        if details.method != "/grpc.health.v1.Health/Check":
            return None
        self.metadata = dict(details.invocation_metadata)
        return grpc.unary_unary_rpc_method_handler(self.check)

    async def check(self, request: bytes, context: Any) -> bytes:
        self.requests.append(request)
        self.remaining = context.time_remaining()
        if isinstance(self.response, tuple):
            await context.abort(*self.response)
        assert isinstance(self.response, bytes)
        return self.response


@pytest.fixture
async def health() -> AsyncIterator[tuple[Health, int]]:
    health = Health()
    async with serve([health]) as port:
        yield health, port


@asynccontextmanager
async def serve(handlers: list[grpc.GenericRpcHandler], credentials: Any = None) -> AsyncIterator[int]:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(tuple(handlers))
    if credentials is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    yield port
    await server.stop(None)


async def error_of(port: int, *, tls: ssl.SSLContext | None = None, scheme: str = "http", **settings: Any) -> str:
    """Return why a check of an endpoint fails; empty if it passes."""
    config = HealthCheckConfig.model_validate({"type": "grpc", "timeout": "5s", **settings})
    checker = Checker(
        EndpointSpec(scheme, "127.0.0.1", port), config, resolver=Resolver(), clock=SystemClock(), rng=Random(1),
        tls=tls, grpc=check_health,
    )  # fmt: skip
    await checker.check()
    assert checker.health.healthy is (checker.health.last_check_error == "")
    return checker.health.last_check_error


async def test_an_endpoint_that_responds_serving_is_healthy(health: tuple[Health, int]) -> None:
    service, port = health

    assert await error_of(port) == ""
    assert service.requests == [b""]
    assert 0 < service.remaining <= 5


async def test_the_service_and_the_headers_are_those_of_the_configuration(health: tuple[Health, int]) -> None:
    service, port = health

    assert await error_of(port, service="users.v1.Users", headers={"X-Token": "secret"}) == ""
    assert service.requests == [b"\x0a\x0eusers.v1.Users"]
    assert service.metadata["x-token"] == "secret"


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (NOT_SERVING, "responded NOT_SERVING, expected SERVING"),
        (b"", "responded UNKNOWN, expected SERVING"),
        (b"\x08\x03", "responded SERVICE_UNKNOWN, expected SERVING"),
        (b"\x08\x09", "responded 9, expected SERVING"),
        (b"\x10\x01", "its response is no HealthCheckResponse"),
        (b"x" * 5000, "its response is longer than 4096 bytes"),
        ((grpc.StatusCode.NOT_FOUND, "what"), "responded NOT_FOUND: it does not know the service 'a.B'"),
        ((grpc.StatusCode.UNAVAILABLE, "starting\n\u00e9"), "responded UNAVAILABLE: starting\n\u00e9"),
        ((grpc.StatusCode.UNAUTHENTICATED, ""), "responded UNAUTHENTICATED"),
    ],
)
async def test_any_other_response_is_a_failure_with_its_reason(
    health: tuple[Health, int], response: Any, error: str
) -> None:
    service, port = health
    service.response = response

    assert await error_of(port, service="a.B") == error


async def test_a_server_without_the_health_service_is_a_failure() -> None:
    async with serve([]) as port:
        assert await error_of(port) == "responded UNIMPLEMENTED: it has no service grpc.health.v1.Health"


def response(*fields: bytes, status: int = 200) -> bytes:
    return encode_status(status) + encode_block(b"".join(b"\r\n" + field for field in fields))


BEGIN = settings_frame([])
HEAD = headers_frames(1, response(b"content-type: application/grpc"), ends=False)
BODY = frame(DATA, 0, 1, b"\0\0\0\0\2" + SERVING)
OK = headers_frames(1, encode_block(b"\r\ngrpc-status: 0"), ends=True)


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (BEGIN + HEAD + BODY + OK, ""),
        (BEGIN + ping(b"12345678") + headers_frames(1, encode_status(103), ends=False) + HEAD + BODY + OK, ""),
        (BEGIN + goaway(1, ErrorCode.NO_ERROR) + HEAD + BODY + OK, ""),
        (BEGIN + HEAD + frame(DATA, END_STREAM, 1, b"\0\0\0\0\2" + SERVING), "its response has no grpc-status"),
        (BEGIN + HEAD + frame(DATA, 0, 1, b"\1\0\0\0\2" + SERVING) + OK, "its response is no HealthCheckResponse"),
        (BEGIN + HEAD + frame(DATA, 0, 1, b"\0\0\0\0\3" + SERVING) + OK, "its response is no HealthCheckResponse"),
        (BEGIN + HEAD + OK, "its response is no HealthCheckResponse"),
        (BEGIN + HEAD + BODY, "the connection was closed without a response"),
        (BEGIN + headers_frames(1, response(status=404), ends=True), "responded 404, which is no response of gRPC"),
        (BEGIN + rst_stream(1, ErrorCode.REFUSED_STREAM), "it reset the call with REFUSED_STREAM"),
        (BEGIN + goaway(0, ErrorCode.ENHANCE_YOUR_CALM), "it closed the connection with ENHANCE_YOUR_CALM"),
        (BEGIN + headers_frames(1, b"\xff", ends=True), "what it sent is no response over HTTP/2: "),
        (BEGIN + headers_frames(1, encode_block(b"\r\na: b"), ends=True), "what it sent is no response over HTTP/2: "),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "what it sent is no response over HTTP/2: "),
        (b"", "the connection was closed without a response"),
    ],
)  # fmt: skip
async def test_what_is_no_response_of_grpc_is_a_failure(start_upstream: StartUpstream, sent: bytes, error: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.exactly(24)
        await peer.send(sent)
        peer.writer.write_eof()
        await peer.rest()

    upstream = await start_upstream(script)

    found = await error_of(upstream.port)

    assert found.startswith(error)
    assert bool(found) is bool(error)


async def test_an_endpoint_that_does_not_respond_fails_in_time(start_upstream: StartUpstream) -> None:
    async def script(peer: Peer) -> None:
        await peer.rest()

    upstream = await start_upstream(script)

    assert await error_of(upstream.port, timeout="50ms") == "no response within 0.05 s"


@pytest.mark.parametrize(("protocol", "error"), [("http2", ""), ("http1", "it does not speak HTTP/2 (ALPN)")])
async def test_a_check_goes_over_tls_to_https_endpoints(authority: Authority, protocol: str, error: str) -> None:
    pair = authority.issue("127.0.0.1")
    settings = TlsSettings(UpstreamTlsConfig(ca=str(authority.cert)))
    credentials = grpc.ssl_server_credentials([(pair.key.read_bytes(), pair.cert.read_bytes())])
    async with serve([Health()], credentials) as port:
        assert await error_of(port, tls=make_tls_context(settings, protocol), scheme="https") == error
