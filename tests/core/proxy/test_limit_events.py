"""Each limit that clients meet leaves one line in the log, whatever plugins there are."""

from __future__ import annotations

from typing import Any

import hyperframe.frame as hf
import pytest
from gateway_core.clock import ManualClock
from gateway_core.messages import Request, RouteInfo
from gateway_core.proxy.limit_events import LimitEvents
from gateway_core.reasons import BODY_TOO_LARGE, LIMIT_REQUESTS, NO_ROUTE

from tests.core.proxy.downstream.http2_client import http2
from tests.core.proxy.kit import StartProxy, until

CONFIG = """
limits: {max_headers: 5, max_connections_per_client: 1, max_body_bytes: 10}
routes: [{id: r, path_prefix: /, target: "http://127.0.0.1:1"}]
"""
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def limits_of(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str | None, str, str]]:
    """Return limit, route, client and text of each line."""
    lines: list[tuple[str, str | None, str, str]] = []
    for record in caplog.records:
        fields: dict[str, Any] = vars(record).get("fields", {})
        if vars(record).get("event") == "limit.reached":
            lines.append((fields["limit"], fields.get("route"), fields["client"], record.getMessage()))
    return lines


@pytest.mark.parametrize(
    ("request_", "status", "limit", "route"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 6 + b"\r\n", 431, "head-too-large", None),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n" + b"x" * 11, 413, "body-too-large", "r"),
        (
            b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n" + b"x" * 11 + b"\r\n0\r\n\r\n",
            413,
            "body-too-large",
            "r",
        ),
    ],
)
async def test_a_limit_is_named_with_its_route_and_client_once(
    start_proxy: StartProxy, caplog: pytest.LogCaptureFixture, request_: bytes, status: int, limit: str, route: str
) -> None:
    gateway = await start_proxy(CONFIG)

    for _ in range(3):
        assert (await gateway.ask(request_))[0] == status
        await until(lambda: not gateway.proxy.connections.open)

    assert [each[:3] for each in limits_of(caplog)] == [(limit, route, "127.0.0.1")]


@pytest.mark.one_protocol(reason="connections of HTTP/1")
async def test_connections_of_one_client_that_are_too_many_name_the_limit(
    start_proxy: StartProxy, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = await start_proxy(CONFIG)

    first = await gateway.connect()
    await first.send(GET)
    assert (await first.response())[0] == 502
    second = await gateway.connect()
    assert (await second.response())[0] == 503

    assert limits_of(caplog) == [
        (
            "limits.max-connections",
            None,
            "127.0.0.1",
            "limits.max_connections_per_client is reached, client 127.0.0.1",
        )
    ]


def request_of(client: str, route: str | None = None) -> Request:
    request = Request("GET", "/", client_ip=client)
    request.route = None if route is None else RouteInfo(route)
    return request


def test_what_is_no_limit_is_not_reported(caplog: pytest.LogCaptureFixture) -> None:
    LimitEvents(ManualClock().monotonic).note(NO_ROUTE, "no route", request_of("10.0.0.1"))

    assert caplog.records == []


def test_a_line_stands_for_the_requests_of_ten_seconds(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    events = LimitEvents(clock.monotonic)

    for route in ("a", "b", "a", "a"):
        events.note(BODY_TOO_LARGE, "it is over its limit", request_of("10.0.0.1", route))
    clock.advance(10)
    events.note(BODY_TOO_LARGE, "it is over its limit", request_of("10.0.0.2", "a"))
    events.note(LIMIT_REQUESTS, "limits.max_requests is reached", request_of("10.0.0.2"))

    assert [record.getMessage() for record in caplog.records] == [
        "route a: it is over its limit, client 10.0.0.1",
        "route b: it is over its limit, client 10.0.0.1",
        "route a: it is over its limit, client 10.0.0.2 (3 times since the last such line)",
        "limits.max_requests is reached, client 10.0.0.2",
    ]


@pytest.mark.one_protocol(reason="its client speaks HTTP/2 itself")
async def test_streams_that_are_too_many_and_floods_are_told(
    start_proxy: StartProxy, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = await start_proxy("limits: {max_streams: 1}\n" + CONFIG.partition("\n")[2].partition("\n")[2])

    async with http2(gateway) as client:
        await client.send(*[client.head(ends=False) for _ in range(3)])
        await client.settle()
        await client.send(*[hf.PingFrame(0, opaque_data=bytes(8))] * 5000)
        await client.end()

    assert limits_of(caplog) == [
        ("limits.max-streams", None, "127.0.0.1", "limits.max_streams is reached, client 127.0.0.1"),
        ("http2-misuse", None, "127.0.0.1", "too many frames do nothing, client 127.0.0.1"),
    ]
