"""Responses of plugins that no hook sees on their way: one that is given again goes out as it is at that time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Record, Request, Response

from tests.core.proxy.bodies import BIND, GET
from tests.core.proxy.kit import Plugins, Proxied


def responding(respond: Callable[[], Response]) -> Plugins:
    class Responding(Plugin[Any]):
        name = "p"

        @hookimpl
        def gateway_pre_proxy(self, request: Request) -> Response:
            return respond()

    return [Responding]


async def responses(proxied: Proxied, plugins: Plugins, requests: list[bytes]) -> list[tuple[int, bytes, bytes]]:
    """Return status, head and body of the response to each request, the head without Date and the request's id."""
    gateway, _ = await proxied(extra=BIND, plugins=plugins)
    client, found = await gateway.connect(), []
    for request in requests:
        await client.send(request)
        status, head, body = await client.response()
        names = (b"x-request-id:", b"date:")
        assert all(head.lower().count(b"\r\n" + name) == 1 for name in names)
        lines = [each for each in head.split(b"\r\n") if not each.lower().startswith(names)]
        found.append((status, b"\r\n".join(lines), body))
    return found


async def test_the_same_response_goes_out_the_same_each_time(proxied: Proxied) -> None:
    kept = Response.text("kept", headers={"X-A": "1"})

    found = await responses(proxied, responding(lambda: kept), [GET] * 4)

    assert found == [found[0]] * 4
    assert found[0][0] == 200
    assert found[0][2] == b"kept"
    assert b"\r\nX-A: 1\r\n" in found[0][1]
    assert b"\r\nContent-Length: 4\r\n" in found[0][1]


async def test_each_request_has_an_id_of_its_own(proxied: Proxied) -> None:
    kept = Response.text("kept")
    gateway, _ = await proxied(extra=BIND, plugins=responding(lambda: kept))
    client, ids = await gateway.connect(), set()
    for _ in range(4):
        await client.send(GET)
        ids.add((await client.response())[1].lower().partition(b"x-request-id:")[2].partition(b"\r\n")[0])

    assert len(ids) == 4


def _field(response: Response) -> None:
    response.headers["X-A"] = "new"


def _body(response: Response) -> None:
    response.body = b"new body"


def _status(response: Response) -> None:
    response.status = 203


@pytest.mark.parametrize("change", [_field, _body, _status])
async def test_what_a_plugin_changes_of_its_response_is_seen_by_the_next_client(
    proxied: Proxied, change: Callable[[Response], None]
) -> None:
    kept, calls = Response.text("kept", headers={"X-A": "1"}), []

    def respond() -> Response:
        calls.append(1)
        if len(calls) == 4:
            change(kept)
        return kept

    found = await responses(proxied, responding(respond), [GET] * 6)

    assert found[:3] == [found[0]] * 3
    assert found[3:] == [found[3]] * 3
    assert found[3] != found[0]


@pytest.mark.one_protocol(reason="HTTP/2 has no reason phrases")
async def test_a_reason_that_a_plugin_changes_is_seen_by_the_next_client(proxied: Proxied) -> None:
    kept, reasons = Response.text("kept"), iter(["OK", "OK", "OK", "New", "New", "New"])

    def respond() -> Response:
        kept.reason = next(reasons)
        return kept

    found = await responses(proxied, responding(respond), [GET] * 6)

    assert [head.partition(b"\r\n")[0][9:] for _, head, _ in found] == [b"200 OK"] * 3 + [b"200 New"] * 3


@pytest.mark.one_protocol(reason="HTTP/2 has no Connection")
async def test_a_client_that_closes_is_sent_that_the_connection_ends(proxied: Proxied) -> None:
    kept = Response.text("kept")
    last = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

    found = await responses(proxied, responding(lambda: kept), [GET] * 3 + [last])

    assert b"connection: close" not in found[2][1].lower()
    assert b"connection: close" in found[3][1].lower()


@pytest.mark.one_protocol(reason="of HTTP/1.0")
async def test_head_and_old_clients_get_their_framing(proxied: Proxied) -> None:
    kept = Response.text("kept")
    gateway, _ = await proxied(extra=BIND, plugins=responding(lambda: kept))
    client = await gateway.connect()
    for _ in range(3):
        await client.send(GET)
        await client.response()

    await client.send(GET.replace(b"GET", b"HEAD"))
    assert b"\r\nContent-Length: 4\r\n" in await client.head()
    await client.send(GET.replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert (await client.rest()).endswith(b"\r\n\r\nkept")


@pytest.mark.parametrize("status", [204, 304])
async def test_a_status_without_a_body_has_none_the_next_time(proxied: Proxied, status: int) -> None:
    kept = Response(status, b"none of this")

    found = await responses(proxied, responding(lambda: kept), [GET] * 3)

    assert found == [found[0]] * 3
    assert b"content-length" not in found[0][1].lower()
    assert found[0][2] == b""


async def test_each_problem_has_the_id_of_its_request(proxied: Proxied) -> None:
    kept = Response.problem(403, "no")
    gateway, _ = await proxied(extra=BIND, plugins=responding(lambda: kept))
    client, bodies = await gateway.connect(), set()
    for _ in range(4):
        await client.send(GET)
        bodies.add((await client.response())[2])

    assert len(bodies) == 4


async def test_a_log_hook_that_changes_a_response_does_not_change_that_of_the_plugin(proxied: Proxied) -> None:
    kept = Response.text("kept")

    class Logging(Plugin[Any]):
        name = "p"

        @hookimpl
        def gateway_pre_proxy(self) -> Response:
            return kept

        @hookimpl
        def gateway_log(self, response: Response, record: Record) -> None:
            response.headers["X-Logged"] = record.produced_by

    found = await responses(proxied, [Logging], [GET] * 3)

    assert found == [found[0]] * 3
    assert "X-Logged" not in kept.headers


async def test_such_responses_are_counted_as_those_of_plugins(proxied: Proxied) -> None:
    kept = Response.text("kept")
    gateway, _ = await proxied(extra=BIND, plugins=responding(lambda: kept))
    client = await gateway.connect()
    for _ in range(3):
        await client.send(GET)
        await client.response()

    snapshot = gateway.proxy.holder.current
    counts = next(iter(snapshot.routes.values())).counts
    assert list(counts.requests()) == [("200", "plugin", 3)]
    assert counts.bytes_out == 12
    assert not gateway.proxy.exchanges
    assert snapshot.active == 0


async def test_a_date_of_the_plugins_stays(proxied: Proxied) -> None:
    kept = Response.text("kept", headers={"Date": "Fri, 01 Jan 2100 00:00:00 GMT"})
    gateway, _ = await proxied(extra=BIND, plugins=responding(lambda: kept))
    client = await gateway.connect()
    for _ in range(3):
        await client.send(GET)
        head = (await client.response())[1].lower()
        assert head.count(b"\r\ndate:") == head.count(b"\r\ndate: fri, 01 jan 2100") == 1
