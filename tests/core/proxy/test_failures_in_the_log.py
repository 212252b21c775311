"""Every failure of an upstream leaves one line in the log, with its reason, whatever plugins there are."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.core.proxy.kit import Handler, Peer, Proxied, StartProxy

REFUSED = """
upstreams: [{name: u, endpoints: [{url: "http://127.0.0.1:1"}]}]
routes: [{id: r, path_prefix: /, target: u}]
"""
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def events(caplog: pytest.LogCaptureFixture) -> list[tuple[str, dict[str, Any]]]:
    return [(vars(each)["event"], vars(each)["fields"]) for each in caplog.records if hasattr(each, "event")]


async def close_at_once(peer: Peer) -> None:
    await peer.head()
    peer.close()


async def not_http(peer: Peer) -> None:
    await peer.head()
    await peer.send(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")


async def two_lengths(peer: Peer) -> None:
    await peer.head()
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab")


async def cut_off(peer: Peer) -> None:
    await peer.head()
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly")
    peer.close()


@pytest.mark.http1_upstream
@pytest.mark.parametrize(
    ("handler", "event", "reason"),
    [
        (close_at_once, "upstream.reset", "closed"),
        (not_http, "upstream.bad_response", "no HTTP"),
        (two_lengths, "upstream.bad_response", "Content-Length"),
        (cut_off, "upstream.truncated", ""),
    ],
)
async def test_a_failure_names_upstream_endpoint_and_reason_once_whatever_the_number_of_requests(
    proxied: Proxied, caplog: pytest.LogCaptureFixture, handler: Handler, event: str, reason: str
) -> None:
    gateway, upstream = await proxied(handler)

    for _ in range(3):
        await (gateway.send(GET) if handler is cut_off else gateway.ask(GET))

    ((name, fields),) = events(caplog)
    assert name == event
    assert (fields["upstream"], fields["endpoint"], fields["count"]) == ("u", f"127.0.0.1:{upstream.port}", 1)
    assert reason.lower() in fields["reason"].lower(), fields["reason"]


async def test_a_refused_connection_is_named(start_proxy: StartProxy, caplog: pytest.LogCaptureFixture) -> None:
    gateway = await start_proxy(REFUSED)

    assert (await gateway.ask(GET))[0] == 502

    ((name, fields),) = events(caplog)
    assert name == "upstream.connect_failed"
    assert "refused" in fields["reason"].lower()


async def test_a_line_names_the_request_that_failed(start_proxy: StartProxy, caplog: pytest.LogCaptureFixture) -> None:
    gateway = await start_proxy(REFUSED)

    _, _, body = await gateway.ask(GET)

    ((_, fields),) = events(caplog)
    assert fields["request_id"] == json.loads(body)["request_id"]


async def test_a_response_that_does_not_come_in_time_is_named(
    proxied: Proxied, caplog: pytest.LogCaptureFixture
) -> None:
    asked = asyncio.Event()

    async def silent(peer: Peer) -> None:
        await peer.head()
        asked.set()
        await peer.rest()

    gateway, _ = await proxied(silent, upstream_extra="    timeouts: {response: 10s}")
    client = await gateway.connect()
    await client.send(GET)
    await asked.wait()

    await gateway.pass_time(11)

    assert (await client.head()).startswith(b"HTTP/1.1 504 ")
    ((name, fields),) = events(caplog)
    assert (name, "time" in fields["reason"]) == ("upstream.response_timeout", True)


async def test_the_rest_of_a_response_that_does_not_come_in_time_is_named(
    proxied: Proxied, caplog: pytest.LogCaptureFixture
) -> None:
    async def stalls(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly")
        await peer.rest()

    gateway, _ = await proxied(stalls, upstream_extra="    timeouts: {idle: 10s}")
    client = await gateway.connect()
    await client.send(GET)
    await client.head()
    await client.exactly(4)

    await gateway.pass_time(11)

    assert await client.rest() == b""
    assert [name for name, _ in events(caplog)] == ["upstream.response_timeout"]


async def test_requests_that_no_endpoint_may_get_are_named(proxied: Proxied, caplog: pytest.LogCaptureFixture) -> None:
    gateway, _ = await proxied(
        close_at_once, upstream_extra="    circuit_breaker: {minimum_requests: 1, failure_ratio: 0.1}"
    )
    await gateway.ask(GET)

    status, _, body = await gateway.ask(GET)

    assert status == 503
    found = events(caplog)
    assert [name for name, _ in found] == ["upstream.reset", "breaker.opened", "upstream.unavailable"]
    assert found[2][1]["request_id"] == json.loads(body)["request_id"]
