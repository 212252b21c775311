"""What a forwarded request has in common with any other: mirrors, deadlines, reloads."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any

import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Record, Request, Response, UpstreamAttempt
from gateway_core.tasks import spawn

from tests.core.proxy.kit import Peer, StartProxy, StartUpstream, counts, field, until

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
records: list[Record] = []
logged: list[Response] = []
user: ContextVar[str] = ContextVar("user", default="")


class Forwarding(Plugin[Any]):
    name = "p"

    @hookimpl
    async def gateway_pre_proxy(self, request: Request) -> None:
        await request.forward()

    @hookimpl
    def gateway_log(self, response: Response, record: Record) -> None:
        records.append(record)
        logged.append(response)


def config(target: str, more: str = "", limits: str = "") -> str:
    return f"{limits}\nroutes: [{{id: r, path_prefix: /, target: '{target}', plugins: [{{name: p}}]{more}}}]"


async def test_mirrors_get_their_copy(start_upstream: StartUpstream, start_proxy: StartProxy) -> None:
    main, mirror = await start_upstream(), await start_upstream()
    gateway = await start_proxy(config(main.url, f", mirror: [{{target: '{mirror.url}'}}]"), plugins=[Forwarding])
    client = await gateway.connect()
    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc")
    await until(lambda: main.connections)
    await client.send(b"def")

    assert (await client.response())[0] == 200
    await until(lambda: mirror.bodies)
    assert (main.bodies, mirror.bodies) == ([b"abcdef"], [b"abcdef"])


async def test_a_body_that_stalls_is_a_408(start_upstream: StartUpstream, start_proxy: StartProxy) -> None:
    records.clear()
    logged.clear()
    main = await start_upstream()
    gateway = await start_proxy(config(main.url, limits="limits: {body_timeout: 10s}"), plugins=[Forwarding])
    client = await gateway.connect()
    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc")

    assert (await gateway.passing(11, client.response()))[0] == 408
    await until(lambda: records and not counts(gateway))
    assert records[0].reason == "body-too-slow"


async def test_a_response_that_does_not_come_in_time_is_a_504(
    start_upstream: StartUpstream, start_proxy: StartProxy
) -> None:
    async def script(peer: Peer) -> None:
        await peer.rest()

    main = await start_upstream(script)
    gateway = await start_proxy(config(main.url, ", timeouts: {response: 10s}"), plugins=[Forwarding])

    assert (await gateway.passing(11, gateway.ask(GET)))[0] == 504
    assert counts(gateway) == {}


async def test_attempt_hooks_run_in_the_context_of_the_exchange(
    start_upstream: StartUpstream, start_proxy: StartProxy
) -> None:
    class Signing(Forwarding):
        @hookimpl
        async def gateway_pre_proxy(self, request: Request) -> None:
            user.set("ann")
            await request.forward()

        @hookimpl
        async def gateway_attempt(self, request: Request, attempt: UpstreamAttempt) -> None:
            await asyncio.sleep(0)
            attempt.headers["X-Signature"] = f"{user.get()} {attempt.raw_path}"

    main = await start_upstream()
    gateway = await start_proxy(config(main.url), plugins=[Signing])

    assert (await gateway.ask(GET))[0] == 200
    assert field(main.heads[0], b"x-signature") == b"ann /"


async def test_an_attempt_hook_that_fails_is_a_500(start_upstream: StartUpstream, start_proxy: StartProxy) -> None:
    class Failing(Forwarding):
        @hookimpl
        def gateway_attempt(self, request: Request, attempt: UpstreamAttempt) -> None:
            raise LookupError

    main = await start_upstream()
    gateway = await start_proxy(config(main.url), plugins=[Failing])

    assert (await gateway.ask(GET))[0] == 500
    assert main.heads == []
    assert counts(gateway) == {}


async def test_it_goes_on_over_a_reload(start_upstream: StartUpstream, start_proxy: StartProxy) -> None:
    goes_on = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await goes_on.wait()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold")

    old, new = await start_upstream(script), await start_upstream()
    gateway = await start_proxy(config(old.url), plugins=[Forwarding])
    asking = spawn(gateway.ask(GET), name="a client")
    await until(lambda: old.connections)
    before = gateway.proxy.holder.current
    await gateway.reload(config(new.url))
    goes_on.set()

    assert (await asking)[2] == b"old"
    await until(lambda: before.active == 0)
    assert (await gateway.ask(GET))[2] == b"ok"


async def test_a_gathered_body_goes_up_with_its_length(start_upstream: StartUpstream, start_proxy: StartProxy) -> None:
    main = await start_upstream()
    gateway = await start_proxy(config(main.url, ", buffer_request: 1KiB"), plugins=[Forwarding])
    client = await gateway.connect()
    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
    await client.send(b"3\r\ndef\r\n0\r\n\r\n")

    assert (await client.response())[0] == 200
    assert field(main.heads[0], b"content-length") == b"6"
    assert main.bodies == [b"abcdef"]


HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
UPGRADE = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"


@pytest.mark.parametrize(("method", "body"), [(b"GET", b"ok"), (b"HEAD", b"")])
async def test_interim_responses_are_passed_on_but_those_to_an_expectation(
    start_upstream: StartUpstream, start_proxy: StartProxy, method: bytes, body: bytes
) -> None:
    upstream = await start_upstream(b"HTTP/1.1 100 Continue\r\n\r\n" + HINTS + OK + body)
    gateway = await start_proxy(config(upstream.url), plugins=[Forwarding])
    client = await gateway.connect()

    for _ in range(2):
        await client.send(method + GET[3:])
        assert await client.head() == HINTS
        assert (await client.head()).startswith(b"HTTP/1.1 200 OK\r\n")
        assert await client.exactly(len(body)) == body


@pytest.mark.one_protocol(reason="of HTTP/1.0")
async def test_clients_of_http_1_0_get_no_interim_response(
    start_upstream: StartUpstream, start_proxy: StartProxy
) -> None:
    upstream = await start_upstream(HINTS + OK + b"ok")
    gateway = await start_proxy(config(upstream.url), plugins=[Forwarding])

    response = await gateway.send(b"GET / HTTP/1.0\r\n\r\n")

    assert response.startswith(b"HTTP/1.1 200 OK\r\n")
    assert response.endswith(b"\r\n\r\nok")


class Refusing(Forwarding):
    """Responds in place of a switch of protocols."""

    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> Response | None:
        return Response(403, b"not here") if response.status == 101 else None


@pytest.mark.http1_upstream
async def test_a_response_hook_may_respond_in_place_of_a_switch(
    start_upstream: StartUpstream, start_proxy: StartProxy
) -> None:
    records.clear()
    logged.clear()

    async def switch(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
        await peer.rest()

    upstream = await start_upstream(switch)
    gateway = await start_proxy(config(upstream.url), plugins=[Refusing])

    status, _, body = await gateway.ask(UPGRADE)

    assert (status, body) == (403, b"not here")
    await until(lambda: counts(gateway) == {})
    assert logged[-1].status == 403
