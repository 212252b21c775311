"""Calls of gRPC-Web through the gateway to grpcio, over HTTP/1 and HTTP/2, beside other plugins."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest

from tests.core.proxy.downstream.http2_client import http2
from tests.core.proxy.kit import RunningProxy, fields, until
from tests.integration.grpc_kit import Start, starting

SECRET = "0123456789abcdef0123456789abcdef"
WEB, TEXT = "application/grpc-web+proto", "application/grpc-web-text+proto"


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    async with starting(tmp_path) as begin:
        yield begin


def web_route(*before: str) -> str:
    plugins = ", ".join([*before, "{name: grpc-web, config: {max_text_bytes: 4KiB}}"])
    return f"  - {{id: web, grpc: {{service: echo}}, target: echo, plugins: [{plugins}]}}\n"


def message(data: bytes) -> bytes:
    return b"\0" + len(data).to_bytes(4, "big") + data


def frames_of(body: bytes) -> tuple[list[bytes], dict[str, str]]:
    """Return the messages of a body, and the trailers of its last frame."""
    messages, trailers = [], {}
    while body:
        kind, length = body[0], int.from_bytes(body[1:5], "big")
        content, body = body[5 : 5 + length], body[5 + length :]
        if kind & 0x80:
            assert not body, "the trailers come last"
            trailers = dict(line.split(": ", 1) for line in content.decode().splitlines())
        else:
            messages.append(content)
    return messages, trailers


def decoded(body: bytes, content_type: str) -> bytes:
    if content_type != TEXT:
        return body
    return b"".join(base64.b64decode(body[at : at + 4]) for at in range(0, len(body), 4))


async def call_http1(gateway: RunningProxy, path: str, head: dict[str, str], body: bytes) -> tuple[int, Any, bytes]:
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    sent = f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n{lines}\r\n"
    came = await gateway.send(sent.encode() + body)
    response, _, rest = came.partition(b"\r\n\r\n")
    if fields(response, b"transfer-encoding"):
        whole = b""
        while size := int(rest.partition(b"\r\n")[0], 16):
            rest = rest.partition(b"\r\n")[2]
            whole, rest = whole + rest[:size], rest[size + 2 :]
        rest = whole
    found = {
        line.partition(b":")[0].decode().lower(): line.partition(b":")[2].strip().decode()
        for line in response.split(b"\r\n")[1:]
    }
    return int(response[9:12]), found, rest


async def call_http2(gateway: RunningProxy, path: str, head: dict[str, str], body: bytes) -> tuple[int, Any, bytes]:
    async with http2(gateway) as client:
        got = await client.ask(*head.items(), body=body, method="POST", path=path)
        assert got.trailers == {}
        return got.status, got.headers, got.body


@pytest.fixture(params=[call_http1, call_http2], ids=["http1", "http2"])
def send(request: pytest.FixtureRequest) -> Any:
    async def send(
        gateway: RunningProxy, method: str, body: bytes = message(b"a"), content_type: str = WEB, **more: str
    ) -> tuple[dict[str, str], list[bytes], dict[str, str]]:
        head = {"content-type": content_type, **{name.replace("_", "-"): value for name, value in more.items()}}
        status, found, came = await request.param(gateway, f"/echo/{method}", head, body)
        assert status == 200
        return found, *frames_of(decoded(came, content_type))

    return send


async def test_a_unary_call_passes_with_its_trailers(start: Start, send: Any) -> None:
    _, echo, gateway = await start(routes=web_route())

    head, messages, trailers = await send(gateway, "Unary", x_own="1")

    assert head["content-type"] == "application/grpc-web+proto"
    assert head["x-initial"] == "1"
    assert messages == [b"a"]
    assert trailers == {"grpc-status": "0", "grpc-message": "", "x-trailing": "yes", "x-trailing-bin": "AP8"}
    assert echo.metadata[0]["x-own"] == "1"


async def test_the_text_form_passes(start: Start, send: Any) -> None:
    _, _, gateway = await start(routes=web_route())

    head, messages, trailers = await send(gateway, "Server", base64.b64encode(message(b"a")), TEXT)

    assert head["content-type"] == "application/grpc-web-text+proto"
    assert messages == [b"a%d" % number for number in range(20)]
    assert trailers["grpc-status"] == "0"


@pytest.mark.parametrize(
    ("method", "body", "content_type", "trailers"),
    [
        ("Fails", message(b"a"), WEB, {"grpc-status": "9", "grpc-message": "not now: %C3%A9"}),
        ("Nothing", message(b"a"), WEB, {"grpc-status": "12", "grpc-message": "Method not found!"}),
        ("Unary", b"!", TEXT, {"grpc-status": "13", "grpc-message": "Bad Request"}),
    ],
)
async def test_a_call_that_fails_has_its_status_in_the_body(
    start: Start, send: Any, method: str, body: bytes, content_type: str, trailers: dict[str, str]
) -> None:
    _, _, gateway = await start(routes=web_route())

    _, messages, found = await send(gateway, method, body, content_type)

    assert (messages, found) == ([], trailers)


async def test_a_text_that_is_too_long_exhausts_a_resource(start: Start, send: Any) -> None:
    _, _, gateway = await start(routes=web_route())

    _, _, trailers = await send(gateway, "Unary", base64.b64encode(message(bytes(5000))), TEXT)

    assert trailers["grpc-status"] == "8"


async def test_a_service_that_is_not_there_is_unavailable(start: Start, send: Any) -> None:
    _, _, gateway = await start(routes=web_route(), address="127.0.0.1:1")

    assert (await send(gateway, "Unary"))[2]["grpc-status"] == "14"


@pytest.mark.parametrize("is_first", [True, False])
async def test_refusals_of_auth_are_statuses_of_grpc(start: Start, send: Any, is_first: bool) -> None:
    auth = f"{{name: auth, config: {{secret: {SECRET}}}}}"
    before = [auth] if is_first else []
    routes = web_route(*before)
    if not is_first:
        routes = routes.replace("4KiB}}]", f"4KiB}}}}, {auth}]")
    _, echo, gateway = await start(routes=routes)

    head, messages, trailers = await send(gateway, "Unary")
    token = jwt.encode({"exp": 4e9}, SECRET, "HS256")
    _, allowed, _ = await send(gateway, "Unary", authorization=f"Bearer {token}")

    assert (messages, trailers["grpc-status"]) == ([], "16")
    assert head["www-authenticate"].startswith("Bearer")
    assert allowed == [b"a"]
    assert len(echo.metadata) == 1


async def test_a_client_over_its_limit_finds_the_service_unavailable(start: Start, send: Any) -> None:
    _, _, gateway = await start(routes=web_route("{name: ratelimit, config: {rate: 1, per: 1h, burst: 1}}"))

    assert (await send(gateway, "Unary"))[2]["grpc-status"] == "0"
    head, _, trailers = await send(gateway, "Unary")

    assert trailers == {"grpc-status": "14", "grpc-message": "too many requests"}
    assert int(head["retry-after"]) > 0


async def test_the_log_has_the_status_of_the_call(start: Start, send: Any, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    logger = f"{{name: logger, config: {{fields: [path, status, grpc_status], path: {log}}}}}"
    _, _, gateway = await start(routes=web_route(logger))

    await send(gateway, "Fails")

    await until(lambda: log.exists() and log.read_text())
    assert json.loads(log.read_text()) == {"path": "/echo/Fails", "status": 200, "grpc_status": 9}


async def test_messages_of_a_stream_go_on_as_they_come(start: Start) -> None:
    channel, echo, gateway = await start(routes=web_route())
    peer = await gateway.connect()
    head = f"POST /echo/Slow HTTP/1.1\r\nHost: x\r\nContent-Type: {TEXT}\r\nContent-Length: 8\r\n\r\n"
    await peer.send(head.encode() + base64.b64encode(message(b"a")))
    assert b"200" in (await peer.head())[:13]

    first = await peer.reader.readuntil(b"\r\n")
    section = await peer.exactly(int(first, 16))
    await gateway.pass_time(3600)
    echo.may_go_on.set()
    rest = await asyncio.wait_for(peer.reader.readuntil(b"0\r\n\r\n"), 20)

    assert frames_of(decoded(section, TEXT))[0] == [b"a"]
    assert rest
    assert channel is not None


async def test_calls_of_grpc_take_the_same_route(start: Start) -> None:
    channel, _, _ = await start(routes=web_route())

    assert await channel.unary_unary("/echo/Unary")(b"a") == b"a"


async def test_a_page_of_another_origin_may_call_where_cors_lets_it(start: Start) -> None:
    cors = "{name: cors, config: {origins: ['https://a.example'], methods: [POST]}}"
    _, _, gateway = await start(routes=web_route(cors))
    preflight = "Origin: https://a.example\r\nAccess-Control-Request-Method: POST\r\n"

    came = await gateway.send(
        f"OPTIONS /echo/Unary HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{preflight}\r\n".encode()
    )
    head = {"content-type": WEB, "origin": "https://a.example"}
    _, found, _ = await call_http1(gateway, "/echo/Unary", head, message(b"a"))

    assert b"204" in came[:13]
    assert fields(came, b"access-control-allow-origin") == [b"https://a.example"]
    assert found["access-control-allow-origin"] == "https://a.example"
