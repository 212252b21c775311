"""What plugins send themselves, over sockets: from hooks, from `start`, from the background."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from gateway_core.errors import BodyTooLargeError, UpstreamError
from gateway_core.hooks import Plugin, PluginContext, Upstreams
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Request, Response, UpstreamAttempt
from gateway_core.tasks import spawn

from tests.core.proxy.kit import (
    Peer,
    RawUpstream,
    RunningProxy,
    StartProxy,
    StartUpstream,
    counts,
    field,
    turns,
    unfinished,
    until,
)
from tests.protocols.choice import Protocols

Ask = Callable[[Upstreams, Request], Awaitable[Response | None]]
OTHER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother"
LONG = b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\nbegin"
SHORT = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def fetching(ask: Ask) -> type[Plugin[Any]]:
    """Return a plugin whose pre-proxy hook does what a function says."""

    class Fetching(Plugin[Any]):
        name = "fetching"

        @hookimpl
        async def gateway_pre_proxy(self, request: Request) -> Response | None:
            return await ask(self.upstreams, request)

    return Fetching


def config(target: str, other: str, extra: str = "", binding: str = "") -> str:
    return f"""
upstreams:
  - name: main
    endpoints: [{{url: "{target}"}}]
  - name: other
    endpoints: [{{url: "{other}"}}]
{extra}
routes:
  - id: r
    path_prefix: /
    target: main
    plugins: [{{name: fetching{binding}}}]
"""


class Started:
    """A gateway whose plugin fetches, its upstream, and the one that is fetched from."""

    def __init__(self, gateway: RunningProxy, main: RawUpstream, other: RawUpstream) -> None:
        self.gateway = gateway
        self.main = main
        self.other = other


@pytest.fixture
def started(start_upstream: StartUpstream, start_proxy: StartProxy) -> Callable[..., Awaitable[Started]]:
    async def start(
        ask: Ask, script: Any = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-B: 1\r\n\r\nother", **how: Any
    ) -> Started:
        main, other = await start_upstream(), await start_upstream(script)
        plugins = (fetching(ask), *how.pop("plugins", ()))
        gateway = await start_proxy(config(main.url, other.url, **how), plugins=plugins)
        return Started(gateway, main, other)

    return start


async def test_a_fetch_returns_status_fields_and_body(started: Any) -> None:
    async def ask(upstreams: Upstreams, request: Request) -> Response:
        async with upstreams.fetch("other", "POST", "/x?y=1", {"X-A": "1"}, b"body") as fetched:
            return Response(fetched.status, await fetched.read(), {"X-B": fetched.headers["x-b"]})

    running = await started(ask, b"HTTP/1.1 404 No\r\nContent-Length: 5\r\nX-B: 7\r\n\r\nother")

    status, head, body = await running.gateway.ask(SHORT)

    assert (status, field(head, b"x-b"), body) == (404, b"7", b"other")
    sent = running.other.heads[0]
    assert sent.startswith(b"POST /x?y=1 HTTP/1.1\r\n")
    assert (field(sent, b"x-a"), field(sent, b"content-length")) == (b"1", b"4")
    assert running.other.bodies == [b"body"]
    assert running.main.heads == []
    assert counts(running.gateway) == {}


async def test_fetches_reuse_connections(started: Any) -> None:
    async def ask(upstreams: Upstreams, request: Request) -> None:
        async with upstreams.fetch("other") as fetched:
            await fetched.read()

    running = await started(ask)
    for _ in range(3):
        await running.gateway.ask(SHORT)

    assert running.other.connections == 1


async def test_leaving_early_closes_the_connection(started: Any) -> None:
    closed = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(LONG)
        await peer.rest()
        closed.set()

    async def ask(upstreams: Upstreams, request: Request) -> None:
        async with upstreams.fetch("other") as fetched:
            async for piece in fetched:
                assert piece == b"begin"
                break

    running = await started(ask, script)

    assert (await running.gateway.ask(SHORT))[0] == 200
    await asyncio.wait_for(closed.wait(), 30)
    assert counts(running.gateway) == {}


async def test_a_fetch_ends_with_the_hook_whose_client_left(started: Any) -> None:
    script = unfinished(b"", reached := asyncio.Event(), closed := asyncio.Event())

    async def ask(upstreams: Upstreams, request: Request) -> None:
        async with upstreams.fetch("other"):
            pass

    running = await started(ask, script)
    client = await running.gateway.connect()
    await client.send(SHORT)
    await asyncio.wait_for(reached.wait(), 30)
    client.reset()

    await asyncio.wait_for(closed.wait(), 30)
    await until(lambda: counts(running.gateway) == {})


@pytest.mark.parametrize(("on_error", "status"), [("deny", 503), ("continue", 200)])
async def test_an_uncaught_error_follows_on_error_with_its_status(started: Any, on_error: str, status: int) -> None:
    async def ask(upstreams: Upstreams, request: Request) -> None:
        async with upstreams.fetch("nowhere"):
            pass

    running = await started(ask, binding=f", on_error: {on_error}")

    assert (await running.gateway.ask(SHORT))[0] == status


async def raised_by(started: Any, script: Any, name: str = "other", **how: Any) -> UpstreamError:
    """Return what fetching from an upstream raises."""
    raised: list[UpstreamError] = []

    async def ask(upstreams: Upstreams, request: Request) -> None:
        try:
            async with upstreams.fetch(name, **how) as fetched:
                await fetched.read()
        except UpstreamError as error:
            raised.append(error)

    running = await started(ask, script)
    assert (await running.gateway.ask(SHORT))[0] == 200
    return raised[0]


async def test_an_unknown_name_is_a_503(started: Any) -> None:
    error = await raised_by(started, b"", "nowhere")

    assert (error.status, error.reason) == (503, "upstream.unknown")


async def test_an_upstream_that_is_away_is_a_502(started: Any) -> None:
    async def script(peer: Peer) -> None:
        peer.close()

    error = await raised_by(started, script)

    assert (error.status, error.reason) == (502, "upstream.reset")


async def test_a_body_that_is_cut_off_is_a_502(started: Any) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(LONG)
        peer.close()

    error = await raised_by(started, script)

    assert (error.status, error.reason) == (502, "upstream.truncated")


async def test_the_timeout_covers_the_body(started: Any) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(LONG)
        await peer.rest()

    error = await raised_by(started, script, timeout=0.2)

    assert (error.status, error.reason) == (504, "upstream.timeout")


async def test_redirects_are_not_followed(started: Any) -> None:
    async def ask(upstreams: Upstreams, request: Request) -> Response:
        async with upstreams.fetch("other") as fetched:
            return Response(200, fetched.headers["location"])

    running = await started(ask, b"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n")

    assert (await running.gateway.ask(SHORT))[2] == b"/b"


async def test_a_body_over_the_limit_of_read_is_an_error(started: Any) -> None:
    async def ask(upstreams: Upstreams, request: Request) -> Response:
        async with upstreams.fetch("other") as fetched:
            with pytest.raises(BodyTooLargeError):
                await fetched.read(4)
        return Response(204)

    running = await started(ask)

    assert (await running.gateway.send(SHORT.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))).startswith(
        b"HTTP/1.1 204"
    )


async def test_an_iterator_is_streamed_and_asked_for_no_more_than_the_upstream_takes(started: Any) -> None:
    gone, given = asyncio.Event(), 0

    async def script(peer: Peer) -> None:
        await peer.head()
        await gone.wait()
        peer.reset()

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal given
        while True:
            yield b"x" * 65536
            given += 1

    async def ask(upstreams: Upstreams, request: Request) -> Response:
        async with upstreams.fetch("other", "POST", body=pieces()):
            raise AssertionError("there is no response")

    running = await started(ask, script)
    asking = spawn(running.gateway.ask(SHORT), name="a client")
    at_rest = -1
    while at_rest != given or given < 2:  # until the buffers of the sockets are full
        at_rest = given
        await turns(20)
    gone.set()

    assert (await asking)[0] == 502
    assert given < 1000


async def test_what_the_iterator_raises_reaches_the_plugin(started: Any) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"x"
        raise LookupError("no more")

    async def ask(upstreams: Upstreams, request: Request) -> Response:
        try:
            async with upstreams.fetch("other", "POST", body=pieces()):
                pass
        except LookupError as error:
            return Response(200, error.args[0])
        return Response(500)

    async def script(peer: Peer) -> None:
        await peer.rest()

    running = await started(ask, script)

    assert (await running.gateway.ask(SHORT))[2] == b"no more"


async def test_the_upstreams_retries_hold(started: Any) -> None:
    attempts = 0

    async def script(peer: Peer) -> None:
        nonlocal attempts
        attempts += 1
        await peer.head()
        if attempts > 1:
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            await peer.rest()
        peer.close()

    async def ask(upstreams: Upstreams, request: Request) -> Response:
        async with upstreams.fetch("other") as fetched:
            return Response(200, await fetched.read())

    running = await started(ask, script, extra="    retries: {attempts: 1}")

    assert (await running.gateway.ask(SHORT))[2] == b"ok"
    assert attempts == 2


async def test_a_fetch_carries_the_id_and_the_trace_of_its_request_and_no_client(
    started: Any, protocols: Protocols
) -> None:
    async def ask(upstreams: Upstreams, request: Request) -> None:
        async with upstreams.fetch("other", headers={"Connection": "x", "Content-Length": "9"}) as fetched:
            await fetched.read()

    running = await started(ask)
    _, head, _ = await running.gateway.ask(b"GET / HTTP/1.1\r\nHost: a\r\ntraceparent: 00-a-b-01\r\nVia: 1.1 z\r\n\r\n")

    sent = running.other.heads[0]
    assert field(sent, b"x-request-id") == field(head, b"x-request-id")
    assert field(sent, b"traceparent") == b"00-a-b-01"
    assert field(sent, b"via") == f"1.1 z, {protocols.version} gateway".encode()
    for name in (b"x-forwarded-for", b"forwarded", b"connection", b"content-length"):
        assert field(sent, name) is None


async def test_a_gateway_that_fetches_from_itself_is_stopped(started: Any) -> None:
    port = 0

    async def ask(upstreams: Upstreams, request: Request) -> Response:
        async with upstreams.fetch(f"http://127.0.0.1:{port}") as fetched:
            return Response(fetched.status)

    running = await started(ask)
    port = running.gateway.port

    assert (await running.gateway.ask(SHORT))[0] == 508


async def test_only_the_upstreams_own_attempt_hooks_run(started: Any) -> None:
    class Signing(Plugin[Any]):
        name = "signing"

        @hookimpl
        async def gateway_attempt(self, request: Request, attempt: UpstreamAttempt) -> None:
            body = await request.read()
            attempt.headers["X-Signature"] = f"{request.method} {attempt.raw_path} {attempt.host} {len(body)}"

    async def ask(upstreams: Upstreams, request: Request) -> None:
        async with upstreams.fetch("other", "POST", "/p?q", {"Host": "me.test"}, b"abc") as fetched:
            await fetched.read()

    running = await started(ask, plugins=[Signing], extra="    plugins: [{name: signing}]")
    await running.gateway.ask(SHORT)

    assert field(running.other.heads[0], b"x-signature") == b"POST /p me.test 3"
    assert field(running.main.heads[0], b"x-signature") is None


@pytest.mark.parametrize(
    "hosts", [["a b@c"], ["a", "b"], ["a/../b"], [""], ["a:b"]], ids=["user", "two", "path", "empty", "port"]
)
async def test_a_host_that_is_none_is_refused_before_anything_is_sent(started: Any, hosts: list[str]) -> None:
    async def ask(upstreams: Upstreams, request: Request) -> Response:
        with pytest.raises(ValueError, match="is not a Host"):
            async with upstreams.fetch("other", headers=[("Host", each) for each in hosts]):
                pass
        return Response(204)

    run = await started(ask)

    assert (await run.gateway.ask(SHORT))[0] == 204
    assert run.other.heads == []


async def test_a_fetch_sends_no_cookies_that_only_a_plugin_reads(started: Any) -> None:  # which may run later
    class Keeping(Plugin[Any]):
        name = "keeping"

        def __init__(self, config: Any, context: PluginContext) -> None:
            super().__init__(config, context)
            self.own_cookies = frozenset({"mine"})

    async def ask(upstreams: Upstreams, request: Request) -> Response:
        async with upstreams.fetch("other", headers=[("Cookie", request.headers["cookie"])]):
            return Response(200, request.headers.get("cookie", ""))

    running = await started(ask, plugins=(Keeping,), binding="}, {name: keeping")
    body = (await running.gateway.ask(SHORT[:-2] + b"Cookie: a=1; mine=2; mine.s1=3; mined=4\r\n\r\n"))[2]

    assert body == b"a=1; mine=2; mine.s1=3; mined=4", "the request itself has them until its plugin's turn"
    assert field(running.other.heads[0], b"cookie") == b"a=1; mined=4"
