"""Copies of requests that nobody feels."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any

import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Request, UpstreamAttempt
from gateway_core.proxy.mirror import MAX_COPIES
from gateway_core.tasks import spawn

from tests.core.proxy.conftest import OK
from tests.core.proxy.kit import (
    Peer,
    RunningProxy,
    StartProxy,
    StartUpstream,
    counts,
    field,
    fields,
    until,
)


def config(target: str, mirror: str, percent: float = 100, extra: str = "", copies: str = "") -> str:
    return f"""
upstreams:
  - name: main
    endpoints: [{{url: "{target}"}}]
  - name: copies
    endpoints: [{{url: "{mirror}"}}]
    {copies}
routes:
  - {{id: all, path_prefix: /, target: main, mirror: {{target: copies, percent: {percent}{extra}}}}}
"""


async def ask(gateway: RunningProxy, data: bytes) -> int:
    return (await gateway.ask(data))[0]


async def test_a_mirror_gets_the_same_request_and_its_response_is_dropped(
    start_proxy: StartProxy, start_upstream: StartUpstream
) -> None:
    upstream = await start_upstream()
    mirror = await start_upstream(b"HTTP/1.1 500 Broken\r\nContent-Length: 6\r\n\r\nbroken")
    gateway = await start_proxy(config(upstream.url, mirror.url))

    status, _, body = await gateway.ask(b"DELETE /a?b HTTP/1.1\r\nHost: x\r\nX-A: 1\r\n\r\n")
    await until(lambda: mirror.heads)

    assert (status, body) == (200, b"ok")
    sent, copied = upstream.heads[0], mirror.heads[0]
    assert copied.startswith(b"DELETE /a?b HTTP/1.1\r\n")
    assert [field(head, b"x-a") for head in (sent, copied)] == [b"1", b"1"]
    assert field(copied, b"x-request-id") == field(sent, b"x-request-id")


async def test_a_mirror_that_is_away_or_hangs_is_nobodys_business(
    start_proxy: StartProxy, start_upstream: StartUpstream
) -> None:
    hanging = asyncio.Event()

    async def hang(peer: Peer) -> None:
        await peer.head()
        hanging.set()
        await peer.rest()

    upstream = await start_upstream()
    mirror = await start_upstream(hang)
    gateway = await start_proxy(config(upstream.url, mirror.url))

    assert await ask(gateway, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") == 200
    await hanging.wait()
    await gateway.reload(config(upstream.url, "http://127.0.0.1:1"))
    assert await ask(gateway, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") == 200


@pytest.mark.parametrize(("percent", "copies"), [(0, 0), (100, 5)])
async def test_the_share_decides_how_many_are_copied(
    start_proxy: StartProxy, start_upstream: StartUpstream, percent: float, copies: int
) -> None:
    upstream, mirror = await start_upstream(), await start_upstream()
    gateway = await start_proxy(config(upstream.url, mirror.url, percent))

    for _ in range(5):
        assert await ask(gateway, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") == 200
    await until(lambda: len(mirror.heads) >= copies)

    assert len(mirror.heads) == copies


@pytest.mark.parametrize(
    "parts",
    [
        [b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabcdef"],
        [b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabc", b"def"],
        [b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", b"3\r\ndef\r\n0\r\n\r\n"],
    ],
)
async def test_a_copy_has_the_body(start_proxy: StartProxy, start_upstream: StartUpstream, parts: list[bytes]) -> None:
    upstream, mirror = await start_upstream(), await start_upstream()
    gateway = await start_proxy(config(upstream.url, mirror.url))
    client = await gateway.connect()

    for part in parts:
        await client.send(part)
    assert (await client.response())[0] == 200

    await until(lambda: mirror.bodies)
    assert mirror.bodies == [b"abcdef"]


async def test_a_long_body_is_not_copied(start_proxy: StartProxy, start_upstream: StartUpstream) -> None:
    upstream, mirror = await start_upstream(), await start_upstream()
    gateway = await start_proxy(config(upstream.url, mirror.url))
    size = 100_000

    long = b"POST /long HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size
    assert await ask(gateway, long) == 200
    assert await ask(gateway, b"GET /short HTTP/1.1\r\nHost: x\r\n\r\n") == 200
    await until(lambda: mirror.heads)

    assert [head.split(b" ")[1] for head in mirror.heads] == [b"/short"]


async def hang(peer: Peer) -> None:
    await peer.head()
    await peer.rest()


@pytest.mark.parametrize("key", ["max_connections", "max_connections_per_endpoint"])
async def test_the_limits_of_the_mirrors_upstream_hold_for_copies(
    start_proxy: StartProxy, start_upstream: StartUpstream, key: str
) -> None:
    upstream, mirror = await start_upstream(), await start_upstream(hang)
    gateway = await start_proxy(config(upstream.url, mirror.url, copies=f"limits: {{{key}: 2}}"))

    for _ in range(20):
        assert await ask(gateway, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") == 200
    await until(lambda: counts(gateway).get("copies active", 0) >= 2)

    assert counts(gateway)["copies active"] == 2
    assert "copies pending" not in counts(gateway)


async def test_only_so_many_copies_are_under_way(start_proxy: StartProxy, start_upstream: StartUpstream) -> None:
    upstream, mirror = await start_upstream(), await start_upstream(hang)
    gateway = await start_proxy(config(upstream.url, mirror.url))

    for _ in range(MAX_COPIES + 20):
        assert await ask(gateway, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") == 200
    await until(lambda: counts(gateway).get("copies active", 0) >= MAX_COPIES)

    assert counts(gateway)["copies active"] == MAX_COPIES


@pytest.mark.parametrize("key", ["response", "total"])
async def test_the_timeouts_of_the_mirrors_upstream_end_copies(
    start_proxy: StartProxy, start_upstream: StartUpstream, key: str
) -> None:
    gone = asyncio.Event()

    async def wait(peer: Peer) -> None:
        await peer.head()
        await peer.rest()
        gone.set()

    upstream, mirror = await start_upstream(), await start_upstream(wait)
    gateway = await start_proxy(config(upstream.url, mirror.url, copies=f"timeouts: {{{key}: 50ms}}"))

    assert await ask(gateway, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") == 200

    await asyncio.wait_for(gone.wait(), 30)
    await until(lambda: not counts(gateway))


async def test_a_body_without_an_end_ends_with_the_copys_time(
    start_proxy: StartProxy, start_upstream: StartUpstream
) -> None:
    async def drip(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(10):
            await peer.send(b"x")
            await gateway.pass_time(3)  # less than its idle timeout
        await peer.rest()

    upstream, mirror = await start_upstream(), await start_upstream(drip)
    gateway = await start_proxy(config(upstream.url, mirror.url, copies="timeouts: {total: 20s}"))

    assert await ask(gateway, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") == 200
    await until(lambda: mirror.connections)

    await until(lambda: not counts(gateway))


@pytest.mark.parametrize("copied", [False, True])
async def test_copies_carry_credentials_only_where_the_route_says_so(
    start_proxy: StartProxy, start_upstream: StartUpstream, copied: bool
) -> None:
    upstream, mirror = await start_upstream(), await start_upstream()
    extra = f", credentials: {str(copied).lower()}" if copied else ""
    gateway = await start_proxy(config(upstream.url, mirror.url, extra=extra))
    credentials = b"authorization: Bearer t\r\nCookie: a=b\r\nX-Kept: 1\r\nCOOKIE: c=d\r\n"

    assert await ask(gateway, b"PUT / HTTP/1.1\r\nHost: x\r\n" + credentials + b"Content-Length: 2\r\n\r\nhi") == 200
    await until(lambda: mirror.bodies)

    assert field(upstream.heads[0], b"authorization") == b"Bearer t"
    assert field(mirror.heads[0], b"authorization") == (b"Bearer t" if copied else None)
    cookies = [each for value in fields(mirror.heads[0], b"cookie") for each in value.split(b"; ")]
    assert cookies == ([b"a=b", b"c=d"] if copied else [])
    assert field(mirror.heads[0], b"x-kept") == b"1"
    assert mirror.bodies == [b"hi"]


class Keys(Plugin[Any]):
    """Looks for keys in a field and in a parameter."""

    name = "keys"
    credential_headers = frozenset({"X-Partner"})
    credential_parameters = frozenset({"key"})

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> None:
        request.headers["X-Saw"] = request.headers.get("x-partner", "")


@pytest.mark.parametrize("copied", [False, True])
@pytest.mark.parametrize("place", ["gateway-wide", "route", "target"])
async def test_copies_come_without_the_credentials_that_the_routes_plugins_look_for(
    start_proxy: StartProxy, start_upstream: StartUpstream, place: str, copied: bool
) -> None:
    upstream, mirror = await start_upstream(), await start_upstream()
    bound = {each: "plugins: [{name: keys}]" if each == place else "" for each in ("gateway-wide", "route", "target")}
    gateway = await start_proxy(
        f"""
{bound["gateway-wide"]}
upstreams:
  - {{name: main, endpoints: [{{url: "{upstream.url}"}}]}}
routes:
  - id: all
    path_prefix: /
    {bound["route"]}
    targets:
      - {{target: main, {bound["target"]}}}
    mirror: {{target: "{mirror.url}", credentials: {str(copied).lower()}}}
""",
        [Keys],
    )

    assert await ask(gateway, b"GET /?a=1&key=k HTTP/1.1\r\nHost: x\r\nX-Partner: p\r\nX-Kept: 1\r\n\r\n") == 200
    await until(lambda: mirror.heads)

    assert [field(upstream.heads[0], name) for name in (b"x-partner", b"x-saw", b"x-kept")] == [b"p", b"p", b"1"]
    assert upstream.heads[0].startswith(b"GET /?a=1&key=k ")
    assert mirror.heads[0].startswith(b"GET /?a=1&key=k " if copied else b"GET /?a=1 ")
    assert field(mirror.heads[0], b"x-partner") == (b"p" if copied else None)
    assert field(mirror.heads[0], b"x-kept") == b"1"


async def test_requests_wait_for_a_copy_in_their_upstream_and_copies_for_nothing(
    start_proxy: StartProxy, start_upstream: StartUpstream
) -> None:
    go = asyncio.Event()
    upstream = await start_upstream()

    async def wait(peer: Peer) -> None:
        while True:
            await upstream.read_request(peer)
            await go.wait()
            await peer.send(OK)

    mirror = await start_upstream(wait)
    text = config(upstream.url, mirror.url, copies="limits: {max_connections: 1}")
    gateway = await start_proxy(text + "  - {id: direct, path: /direct, target: copies}\n")
    assert await ask(gateway, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") == 200
    await until(lambda: len(upstream.heads) == 2)

    direct = spawn(ask(gateway, b"GET /direct HTTP/1.1\r\nHost: x\r\n\r\n"), name="direct")
    await until(lambda: counts(gateway).get("copies pending"))
    assert await ask(gateway, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") == 200
    go.set()

    assert await asyncio.wait_for(direct, 30) == 200
    await until(lambda: not counts(gateway))
    assert [head.split()[1] for head in upstream.heads] == [b"/", b"/", b"/", b"/direct"]


async def test_each_mirror_of_a_list_gets_a_copy(start_proxy: StartProxy, start_upstream: StartUpstream) -> None:
    upstream, one, two = await start_upstream(), await start_upstream(), await start_upstream()
    gateway = await start_proxy(f"""
upstreams:
  - {{name: main, endpoints: [{{url: "{upstream.url}"}}]}}
  - {{name: one, endpoints: [{{url: "{one.url}"}}]}}
  - {{name: two, endpoints: [{{url: "{two.url}"}}]}}
routes:
  - {{id: all, path_prefix: /, target: main, mirror: [{{target: one}}, {{target: two}}]}}
""")

    assert await ask(gateway, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab") == 200

    await until(lambda: one.bodies and two.bodies)
    assert (one.bodies, two.bodies) == ([b"ab"], [b"ab"])


user: ContextVar[str] = ContextVar("user", default="nobody")


class Names(Plugin[Any]):
    """Sets a context variable in the request's hooks."""

    name = "names"

    @hookimpl
    async def gateway_pre_proxy(self, request: Request) -> None:
        user.set(request.query_string)
        if request.path == "/forwards":
            await request.forward()


class Signs(Plugin[Any]):
    """Signs a copy with what the request's hooks have set."""

    name = "signs"

    @hookimpl
    async def gateway_attempt(self, request: Request, attempt: UpstreamAttempt) -> None:
        attempt.headers["X-User"] = user.get()
        user.set("the mirror's")


@pytest.mark.parametrize("path", ["/plain", "/forwards"])
async def test_the_hooks_of_a_mirror_run_in_a_copy_of_the_requests_context(
    start_proxy: StartProxy, start_upstream: StartUpstream, path: str
) -> None:
    upstream, mirror = await start_upstream(), await start_upstream()
    bindings = "plugins: [{name: signs}]"
    gateway = await start_proxy(
        config(upstream.url, mirror.url, copies=bindings) + "plugins: [{name: names}]", [Names, Signs]
    )

    for name in ("ann", "bob"):
        assert await ask(gateway, f"GET {path}?{name} HTTP/1.1\r\nHost: x\r\n\r\n".encode()) == 200

    await until(lambda: len(mirror.heads) == 2 and not counts(gateway))
    assert [field(head, b"x-user") for head in mirror.heads] == [b"ann", b"bob"]
    assert [field(head, b"x-user") for head in upstream.heads] == [None, None]
