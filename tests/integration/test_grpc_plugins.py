"""What plugins of this repository refuse, to a client of gRPC."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import grpc.aio
import jwt
import pytest
from gateway_plugin_sdk import BodyFilter, ConfigModel, Plugin, Request, Response, hookimpl

from tests.integration.grpc_kit import Start, code_of, end_of, starting

SECRET = "0123456789abcdef0123456789abcdef"


class MarkingConfig(ConfigModel):
    observes: bool


class Marking(Plugin[MarkingConfig]):
    """Sets a field of each response, and may look at its body."""

    name = "marking"
    config_model = MarkingConfig

    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> None:
        response.headers["x-marked"] = "1"
        if self.config.observes:
            response.add_body_filter(BodyFilter, observe=True)


class Forwarding(Plugin[object]):
    """Forwards each request, and sends what came."""

    name = "forwarding"

    @hookimpl
    async def gateway_pre_proxy(self, request: Request) -> Response:
        return await request.forward()


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    async with starting(tmp_path) as begin:
        yield begin


def guarded(plugin: str) -> str:
    return f"  - {{id: guarded, grpc: {{service: echo}}, target: echo, plugins: [{plugin}]}}\n"


async def test_a_caller_without_credentials_is_unauthenticated_and_one_without_rights_is_denied(start: Start) -> None:
    auth = f"{{name: auth, config: {{secret: {SECRET}, scopes: {{all: [write]}}}}}}"
    channel, echo, _ = await start(routes=guarded(auth))
    unary = channel.unary_unary("/echo/Unary")
    token, other = (jwt.encode({"exp": 4e9, "scope": scope}, SECRET, "HS256") for scope in ("write", "read"))

    assert (await code_of(unary(b"")))[0] is grpc.StatusCode.UNAUTHENTICATED
    refused = unary(b"", metadata=(("authorization", "Bearer x"),))
    assert (await code_of(refused))[0] is grpc.StatusCode.UNAUTHENTICATED
    assert "Bearer" in dict(await refused.trailing_metadata())["www-authenticate"]
    denied = unary(b"", metadata=(("authorization", f"Bearer {other}"),))
    assert (await code_of(denied))[0] is grpc.StatusCode.PERMISSION_DENIED
    assert await unary(b"a", metadata=(("authorization", f"Bearer {token}"),)) == b"a"
    assert len(echo.metadata) == 1


async def test_a_client_over_its_limit_finds_the_service_unavailable_for_now(start: Start) -> None:
    channel, _, _ = await start(routes=guarded("{name: ratelimit, config: {rate: 1, per: 1h, burst: 1}}"))
    unary = channel.unary_unary("/echo/Unary")
    assert await unary(b"a") == b"a"

    refused = unary(b"a")

    code, detail = await code_of(refused)
    assert code is grpc.StatusCode.UNAVAILABLE
    assert detail == "too many requests"
    assert int(dict(await refused.trailing_metadata())["retry-after"]) > 0


async def test_a_stream_is_refused_like_a_unary_call(start: Start) -> None:
    channel, _, _ = await start(routes=guarded(f"{{name: auth, config: {{secret: {SECRET}}}}}"))

    call = channel.stream_stream("/echo/Both")()

    assert await call.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_message_of_a_refusal_is_percent_encoded(start: Start) -> None:
    channel, _, _ = await start()

    call = channel.unary_unary("/echo/Unary")(
        b"", metadata=(("x-refuse", "403"), ("x-why", "100% n\u00e3o\n".encode().hex()))
    )

    assert await code_of(call) == (grpc.StatusCode.PERMISSION_DENIED, "100% n\u00e3o\n")


@pytest.mark.parametrize(
    ("status", "code"),
    [(502, "UNAVAILABLE"), (504, "UNAVAILABLE"), (500, "UNKNOWN"), (408, "UNKNOWN"), (302, "UNKNOWN")],
)
async def test_other_statuses_of_plugins_have_theirs(start: Start, status: int, code: str) -> None:
    channel, _, _ = await start()

    call = channel.unary_unary("/echo/Unary")(b"", metadata=(("x-refuse", str(status)),))

    assert (await code_of(call))[0] is grpc.StatusCode[code]


@pytest.mark.parametrize("observes", [False, True])
async def test_response_hooks_and_observers_leave_statuses_and_trailers(start: Start, observes: bool) -> None:
    marking = f"{{name: marking, config: {{observes: {str(observes).lower()}}}}}"
    channel, _, _ = await start(routes=guarded(marking), plugins=(Marking,))

    call = channel.unary_unary("/echo/Unary")(b"a")
    assert await call == b"a"
    assert dict(await call.initial_metadata())["x-marked"] == "1"
    assert dict(await call.trailing_metadata())["x-trailing"] == "yes"
    failing = channel.unary_unary("/echo/Fails")(b"a")
    assert (await code_of(failing))[0] is grpc.StatusCode.FAILED_PRECONDITION
    late = channel.unary_stream("/echo/Late")(b"ABORTED")
    assert await end_of(late) is grpc.StatusCode.ABORTED


async def test_a_stream_that_grows_too_large_exhausts_a_resource(start: Start) -> None:
    channel, _, _ = await start(extra="limits: {max_body_bytes: 1KiB}")
    call = channel.stream_stream("/echo/Both")()
    await call.write(b"a")
    assert await call.read() == b"A"

    await call.write(bytes(2000))

    assert await call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_calls_that_a_plugin_forwards_have_their_deadlines_and_may_be_quiet(start: Start) -> None:
    channel, echo, gateway = await start(
        routes=guarded("{name: forwarding}"), plugins=(Forwarding,), extra="limits: {body_timeout: 1s}",
        upstream="timeouts: {idle: 1s}",
    )  # fmt: skip
    assert await channel.unary_unary("/echo/Unary")(b"a", timeout=50) == b"a"
    assert 0 < echo.remaining[0] < 51  # grpcio rounds timeouts up
    call = channel.stream_stream("/echo/Both")()
    await call.write(b"a")
    assert await call.read() == b"A"
    await gateway.pass_time(3600)
    await call.write(b"b")
    assert await call.read() == b"B"
    await call.done_writing()
    assert await call.code() is grpc.StatusCode.OK

    late = channel.unary_unary("/echo/Never")(b"", timeout=3600)
    assert (await gateway.passing(3700, code_of(late)))[0] is grpc.StatusCode.DEADLINE_EXCEEDED
