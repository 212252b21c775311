"""Requests that a pre-proxy hook forwards, over sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import BodyFilter, Record, Request, Response

from tests.core.proxy.kit import Peer, Proxied, RawUpstream, RunningProxy, counts, field, turns, unfinished, until

Ask = Callable[[Request], Awaitable[Response | None]]
GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
PART = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nx"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-B: 1\r\n\r\nhello"
records: list[Record] = []
logged: list[Response] = []
seen: list[str] = []


def forwarding(ask: Ask) -> type[Plugin[Any]]:
    """Return a plugin whose pre-proxy hook does what a function says."""

    class Forwarding(Plugin[Any]):
        name = "p"

        @hookimpl
        async def gateway_pre_proxy(self, request: Request) -> Response | None:
            return await ask(request)

        @hookimpl
        def gateway_response(self, request: Request, response: Response) -> None:
            seen.append(f"outer {response.status}")

        @hookimpl
        def gateway_log(self, response: Response, record: Record) -> None:
            records.append(record)
            logged.append(response)

    return Forwarding


class Inner(Plugin[Any]):
    """A binding behind the one that forwards."""

    name = "inner"

    @hookimpl
    async def gateway_pre_proxy(self, request: Request) -> Response | None:
        seen.append("pre-proxy")
        request.headers["X-Inner"] = "1"
        return Response(403) if request.path == "/refused" else None

    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> None:
        seen.append(f"inner {response.status}")


Start = Callable[..., Awaitable[tuple[RunningProxy, RawUpstream]]]


@pytest.fixture
def started(proxied: Proxied) -> Start:
    records.clear()
    logged.clear()
    seen.clear()

    async def start(
        ask: Ask, script: Any = OK, more: str = "", upstream: str = "", binding: str = ""
    ) -> tuple[RunningProxy, RawUpstream]:
        plugins = f"    plugins: [{{name: p{binding}}}, {{name: inner}}]\n{more}"
        extra = plugins.replace("    plugins", "plugins", 1)
        return await proxied(script, extra, upstream, (forwarding(ask), Inner))

    return start


async def forward_only(request: Request) -> None:
    await request.forward()


async def forward_and_return(request: Request) -> Response:
    return await request.forward()


@pytest.mark.parametrize("ask", [forward_only, forward_and_return])
async def test_what_was_forwarded_is_sent(started: Start, ask: Ask) -> None:
    gateway, upstream = await started(ask)

    status, head, body = await gateway.ask(GET)

    assert (status, field(head, b"x-b"), body) == (200, b"1", b"hello")
    assert field(upstream.heads[0], b"x-inner") == b"1"
    assert field(upstream.heads[0], b"x-forwarded-for") == b"127.0.0.1"
    assert seen == ["pre-proxy", "inner 200", "outer 200"]
    assert len(upstream.heads) == 1
    await until(lambda: records)
    assert (records[0].reason, records[0].aborted, records[0].upstream) == (None, None, "u")
    assert counts(gateway) == {}


async def test_another_response_is_sent_and_the_forwarded_one_closed(started: Start) -> None:
    script = unfinished(PART, asyncio.Event(), closed := asyncio.Event())

    async def ask(request: Request) -> Response:
        await request.forward()
        return Response(418, "teapot")

    gateway, _ = await started(ask, script)

    assert (await gateway.ask(GET))[::2] == (418, b"teapot")
    await asyncio.wait_for(closed.wait(), 30)
    assert seen == ["pre-proxy", "inner 200", "outer 418"]
    assert counts(gateway) == {}


async def test_an_upstream_that_is_away_is_the_gateways_response(started: Start) -> None:
    failures: list[str | None] = []

    async def script(peer: Peer) -> None:
        peer.close()

    async def ask(request: Request) -> None:
        failures.append((await request.forward()).failure)

    gateway, _ = await started(ask, script)

    assert (await gateway.ask(GET))[0] == 502
    assert failures == ["upstream.reset"]
    await until(lambda: records)
    assert records[0].reason == "upstream.reset"
    assert [each.outcome for each in records[0].attempts] == ["reset"]


async def test_retries_happen_within(started: Start) -> None:
    attempts = 0

    async def script(peer: Peer) -> None:
        nonlocal attempts
        attempts += 1
        await peer.head()
        if attempts > 1:
            await peer.send(OK)
            await peer.rest()
        peer.close()

    gateway, _ = await started(forward_only, script, upstream="    retries: {attempts: 1}")

    assert (await gateway.ask(GET))[0] == 200
    assert attempts == 2


async def test_a_later_hook_may_refuse(started: Start) -> None:
    gateway, upstream = await started(forward_and_return)

    assert (await gateway.ask(GET.replace(b"/a", b"/refused")))[0] == 403
    assert upstream.heads == []
    assert seen == ["pre-proxy", "inner 403", "outer 403"]


async def test_forward_may_be_called_once(started: Start) -> None:
    async def ask(request: Request) -> Response:
        await request.forward()
        with pytest.raises(RuntimeError, match="once"):
            await request.forward()
        return Response(299)

    gateway, upstream = await started(ask)

    assert (await gateway.ask(GET))[0] == 299
    assert len(upstream.heads) == 1


async def test_forward_belongs_to_the_pre_proxy_phase(proxied: Proxied) -> None:
    refused: list[str] = []
    elsewhere = ("request", "route_match", "attempt", "response", "log")

    def tries(phase: str) -> Any:
        async def hook(self: Any, request: Request) -> None:
            with pytest.raises(RuntimeError, match="request is over" if phase == "log" else "pre-proxy"):
                await request.forward()
            refused.append(phase)

        hook.__qualname__ = f"Elsewhere.gateway_{phase}"  # by which pluggy knows that `self` is one of its arguments
        return hookimpl(hook)

    plugin = type("Elsewhere", (Plugin,), {"name": "p", **{f"gateway_{phase}": tries(phase) for phase in elsewhere}})
    gateway, upstream = await proxied(OK, "plugins: [{name: p}]", plugins=[plugin])

    assert (await gateway.ask(GET))[0] == 200
    await until(lambda: "log" in refused)
    assert (tuple(refused), len(upstream.heads)) == (elsewhere, 1)


@pytest.mark.parametrize(("on_error", "status"), [("deny", 500), ("continue", 200)])
async def test_a_hook_that_fails_behind_it(started: Start, on_error: str, status: int) -> None:
    async def ask(request: Request) -> None:
        await request.forward()
        raise LookupError

    gateway, upstream = await started(ask, binding=f", on_error: {on_error}")

    assert (await gateway.ask(GET))[0] == status
    assert len(upstream.heads) == 1
    assert counts(gateway) == {}


async def test_the_timeout_of_the_binding_stands_still(started: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    moved, time = 0.0, loop.time

    async def script(peer: Peer) -> None:
        nonlocal moved
        await peer.head()
        moved = 7.0  # a timer of 5 seconds that is not paused is over now
        await turns()
        await peer.send(OK)
        await peer.rest()

    monkeypatch.setattr(loop, "time", lambda: time() + moved)
    gateway, _ = await started(forward_only, script, binding=", timeout: 5s")

    assert (await gateway.ask(GET))[0] == 200


class Upper(BodyFilter):
    def feed(self, data: bytes) -> bytes:
        return data.upper()


async def test_the_forwarded_body_may_be_read_replaced_and_filtered(started: Start) -> None:
    async def ask(request: Request) -> Response:
        response = await request.forward()
        if request.path == "/read":
            assert await response.read() == b"hello"
        elif request.path == "/set":
            response.set_body(await response.read() + b" world")
        else:
            response.add_body_filter(Upper)
        return response

    gateway, _ = await started(ask)
    close = b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

    assert (await gateway.ask(b"GET /read" + close))[2] == b"hello"
    assert (await gateway.ask(b"GET /set" + close))[2] == b"hello world"
    assert b"HELLO" in await gateway.send(b"GET /filter" + close)
    assert counts(gateway) == {}


async def test_the_response_is_streamed_as_the_client_takes_it(started: Start) -> None:
    more = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        await more.wait()
        await peer.send(b"1\r\nb\r\n0\r\nX-Sum: 7\r\n\r\n")
        await peer.rest()

    gateway, _ = await started(forward_only, script)
    client = await gateway.connect()
    await client.send(b"GET / HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nConnection: TE\r\n\r\n")
    await client.head()
    assert await client.exactly(6) == b"1\r\na\r\n"
    more.set()

    assert b"x-sum: 7" in (await client.reader.readuntil(b"\r\n\r\n")).lower()


async def test_head_keeps_the_length_and_has_no_body(started: Start) -> None:
    gateway, _ = await started(forward_only, b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n")

    sent = await gateway.send(b"HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

    head, _, body = sent.partition(b"\r\n\r\n")
    assert (field(head + b"\r\n\r\n", b"content-length"), body) == (b"7", b"")


async def test_a_body_streams_through(started: Start) -> None:
    gateway, upstream = await started(forward_only)
    client = await gateway.connect()
    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc")
    await until(lambda: upstream.connections)
    await client.send(b"def")

    assert (await client.response())[0] == 200
    assert upstream.bodies == [b"abcdef"]


async def test_a_client_that_leaves_ends_what_is_forwarded(started: Start) -> None:
    script = unfinished(b"", reached := asyncio.Event(), closed := asyncio.Event())

    gateway, _ = await started(forward_only, script)
    client = await gateway.connect()
    await client.send(GET)
    await asyncio.wait_for(reached.wait(), 30)
    client.reset()

    await asyncio.wait_for(closed.wait(), 30)
    await until(lambda: records)
    assert (records[0].aborted, records[0].reason) == ("client", "client-left")
    assert counts(gateway) == {}


async def test_a_client_that_leaves_closes_a_response_that_a_hook_holds(started: Start) -> None:
    holds = asyncio.Event()
    script = unfinished(PART, asyncio.Event(), closed := asyncio.Event())

    async def ask(request: Request) -> None:
        await request.forward()
        holds.set()
        await asyncio.Event().wait()

    gateway, _ = await started(ask, script)
    client = await gateway.connect()
    await client.send(GET)
    await asyncio.wait_for(holds.wait(), 30)
    client.reset()

    await asyncio.wait_for(closed.wait(), 30)
    await until(lambda: counts(gateway) == {})


@pytest.mark.http1_upstream
async def test_a_switch_of_protocols_may_be_forwarded(started: Start) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nhi")
        assert await peer.exactly(2) == b"yo"
        await peer.send(b"!")
        peer.close()

    gateway, _ = await started(forward_only, script)
    client = await gateway.connect()
    await client.send(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
    head = await client.head()
    await client.send(b"yo")

    assert head.startswith(b"HTTP/1.1 101")
    assert await client.rest() == b"hi!"
    client.close()
    assert seen == ["pre-proxy", "inner 101", "outer 101"]
    await until(lambda: counts(gateway) == {})
    (record,) = records
    assert (logged[0].status, logged[0].produced_by, record.aborted, record.reason) == (101, "upstream", None, None)
    assert (record.bytes_received, record.bytes_sent) == (2, 3)


async def test_a_switch_may_be_replaced(started: Start) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
        await peer.rest()

    async def ask(request: Request) -> Response:
        await request.forward()
        return Response(403)

    gateway, _ = await started(ask, script)

    assert (await gateway.ask(GET.replace(b"\r\n\r\n", b"\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")))[0] == 403
    assert counts(gateway) == {}


POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\nConnection: close\r\n\r\nabcdef"


async def test_a_body_that_was_set_before_is_what_goes_up(started: Start) -> None:
    async def ask(request: Request) -> Response:
        request.set_body(await request.read() + b" and more")
        return await request.forward()

    gateway, upstream = await started(ask)

    assert (await gateway.ask(POST))[0] == 200
    assert field(upstream.heads[0], b"content-length") == b"15"
    assert upstream.bodies == [b"abcdef and more"]


async def test_a_body_goes_up_through_the_filters_that_were_added_before(started: Start) -> None:
    async def ask(request: Request) -> Response:
        request.add_body_filter(Upper)
        return await request.forward()

    gateway, upstream = await started(ask)

    assert (await gateway.ask(POST))[0] == 200
    assert (field(upstream.heads[0], b"transfer-encoding"), field(upstream.heads[0], b"content-length")) == (
        b"chunked",
        None,
    )
    assert b"ABCDEF" in upstream.bodies[0]
    assert counts(gateway) == {}
