"""Another try, and none: through the wire."""

from __future__ import annotations

import asyncio

import pytest
from gateway_core.tasks import spawn

from tests.core.proxy.kit import Handler, Peer, Proxied, RawUpstream, StartProxy, StartUpstream, field, fields, until
from tests.ports import free_port

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
PUT = POST.replace(b"POST", b"PUT")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy"


def upstream_of(*ports: int, more: str = "retries: {attempts: 2, backoff_base: 1ms}") -> str:
    endpoints = "".join(f'\n      - {{id: e{n}, url: "http://127.0.0.1:{port}"}}' for n, port in enumerate(ports))
    return f"""
upstreams:
  - name: u
    endpoints: {endpoints}
    {more}
routes:
  - {{id: all, path_prefix: /, target: u}}
"""


def scripted(*responses: bytes, reads_body: bool = True) -> tuple[Handler, list[bytes]]:
    """Return a handler that gives one response after the other (none is a reset), and the requests that it saw."""
    left, seen = list(responses), list[bytes]()

    async def serve(peer: Peer) -> None:
        while True:
            head = await peer.head()
            body = await peer.exactly(int(field(head, b"content-length") or b"0")) if reads_body else b""
            seen.append(head.split(b" ")[0] + b" " + body)
            response = left.pop(0) if left else OK
            if not response:
                peer.reset()
                return
            await peer.send(response)

    return serve, seen


@pytest.mark.parametrize("request_bytes", [GET, POST])
async def test_a_refused_connection_is_tried_at_another_endpoint_whatever_the_method(
    start_proxy: StartProxy, start_upstream: StartUpstream, request_bytes: bytes
) -> None:
    upstream = await start_upstream()
    gateway = await start_proxy(upstream_of(free_port(), upstream.port))

    for _ in range(4):
        assert (await gateway.ask(request_bytes))[0] == 200
    assert len(upstream.heads) == 4


@pytest.mark.parametrize("request_bytes", [GET, PUT])
async def test_a_503_is_tried_again_for_methods_that_may(proxied: Proxied, request_bytes: bytes) -> None:
    script, seen = scripted(BUSY, BUSY)
    gateway, _ = await proxied(script, upstream_extra="    retries: {attempts: 2, backoff_base: 1ms}")

    assert (await gateway.ask(request_bytes))[0] == 200
    assert len(seen) == 3
    assert len(set(seen)) == 1


async def test_tries_come_to_an_end(proxied: Proxied) -> None:
    script, seen = scripted(*[BUSY] * 9)
    gateway, _ = await proxied(script, upstream_extra="    retries: {attempts: 2, backoff_base: 1ms}")

    status, _, body = await gateway.ask(GET)

    assert (status, body) == (503, b"busy")
    assert len(seen) == 3


@pytest.mark.parametrize("response", [BUSY, b""])
async def test_a_post_is_never_sent_twice(proxied: Proxied, response: bytes) -> None:
    script, seen = scripted(response, response)
    gateway, _ = await proxied(script, upstream_extra="    retries: {attempts: 2, backoff_base: 1ms}")

    assert (await gateway.ask(POST))[0] in {502, 503}
    assert len(seen) == 1


async def test_a_reset_before_the_response_is_tried_again_with_the_body(proxied: Proxied) -> None:
    script, seen = scripted(b"", b"")
    gateway, _ = await proxied(script, upstream_extra="    retries: {attempts: 2, backoff_base: 1ms}")

    assert (await gateway.ask(PUT))[0] == 200
    assert seen == [b"PUT abc"] * 3


async def test_a_body_that_was_not_kept_is_not_sent_again(proxied: Proxied) -> None:
    script, seen = scripted(BUSY)
    gateway, _ = await proxied(
        script, upstream_extra="    retries: {attempts: 2, backoff_base: 1ms, max_body_bytes: 2}"
    )

    assert (await gateway.ask(PUT))[0] == 503
    assert len(seen) == 1


async def test_a_response_that_began_is_not_begun_again(proxied: Proxied) -> None:
    requests = 0

    async def truncate(peer: Peer) -> None:
        nonlocal requests
        await peer.head()
        requests += 1
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly")
        peer.close()

    gateway, _ = await proxied(truncate, upstream_extra="    retries: {attempts: 2, backoff_base: 1ms}")

    assert (await gateway.send(GET)).endswith(b"only")
    assert requests == 1


async def test_each_try_has_its_own_time(start_proxy: StartProxy, start_upstream: StartUpstream) -> None:
    async def never(peer: Peer) -> None:
        await peer.rest()

    silent, upstream = await start_upstream(never), await start_upstream()
    gateway = await start_proxy(
        upstream_of(silent.port, upstream.port, more="retries: {attempts: 1, per_try_timeout: 10s}")
    )

    for _ in range(2):
        assert (await gateway.passing(11, gateway.ask(GET)))[0] == 200
    assert silent.connections == 1


async def test_the_whole_request_has_its_time(proxied: Proxied) -> None:
    async def never(peer: Peer) -> None:
        await peer.rest()

    gateway, _ = await proxied(
        never, upstream_extra="    retries: {attempts: 9, per_try_timeout: 10s}\n    timeouts: {total: 25s}"
    )

    assert (await gateway.passing(11, gateway.ask(GET)))[0] == 504


async def test_a_budget_bounds_the_retries(proxied: Proxied) -> None:
    script, seen = scripted(*[BUSY] * 9)
    gateway, _ = await proxied(
        script, upstream_extra="    retries: {attempts: 5, budget_minimum: 0, budget_percent: 0}"
    )

    assert (await gateway.ask(GET))[0] == 503
    assert len(seen) == 1


async def serve_once(peer: Peer) -> None:
    """Respond to one request a connection, then reset it at the sight of a second one."""
    head = await peer.head()
    await peer.exactly(int(field(head, b"content-length") or b"0"))
    await peer.send(OK)
    await peer.head()
    peer.reset()


@pytest.mark.one_protocol(reason="a kept connection that is closed says nothing about its request over HTTP/1 only")
async def test_replacing_a_stale_connection_is_no_try_and_no_failure(proxied: Proxied) -> None:
    gateway, upstream = await proxied(
        serve_once,
        upstream_extra=(
            "    circuit_breaker: {minimum_requests: 1, failure_ratio: 0.1}\n"
            "    limits: {max_connections: 1, max_pending: 1}"
        ),
    )

    for _ in range(5):
        assert (await gateway.ask(GET))[0] == 200

    assert upstream.connections == 5
    [current] = gateway.proxy.holder.current.upstreams.values()
    assert current.admission.load.active == 0
    assert [endpoint.active for endpoint in current.endpoints] == [0]


@pytest.mark.one_protocol(reason="a kept connection that is closed says nothing about its request over HTTP/1 only")
async def test_a_stale_connection_does_not_lose_a_probe_of_the_breaker(proxied: Proxied) -> None:
    connections = 0

    async def stale_after_two(peer: Peer) -> None:
        nonlocal connections
        connections += 1
        responses = [OK, BUSY] if connections == 1 else [OK]
        for response in responses:
            await peer.head()
            await peer.send(response)
        await peer.head()
        peer.reset()

    gateway, _ = await proxied(
        stale_after_two,
        upstream_extra="    circuit_breaker: {minimum_requests: 2, open_for: 10s, half_open_requests: 1}",
    )
    [upstream] = gateway.proxy.holder.current.upstreams.values()
    breaker = upstream.endpoints[0].breaker
    assert breaker is not None
    assert [(await gateway.ask(GET))[0] for _ in range(2)] == [200, 503]
    assert breaker.state.value == "open"
    await gateway.pass_time(11)

    assert (await gateway.ask(GET))[0] == 200

    assert connections == 2
    assert breaker.state.value == "closed"


async def test_an_open_breaker_is_a_503_with_a_time_to_come_back(proxied: Proxied) -> None:
    script, seen = scripted(*[b"HTTP/1.1 500 Bad\r\nContent-Length: 0\r\n\r\n"] * 9)
    gateway, _ = await proxied(
        script, upstream_extra="    circuit_breaker: {minimum_requests: 2, failure_ratio: 0.5, open_for: 20s}"
    )
    statuses = [(await gateway.ask(GET))[0] for _ in range(2)]

    status, head, body = await gateway.ask(GET)

    assert statuses == [500, 500]
    assert status == 503
    assert 1 <= int(fields(head, b"retry-after")[0]) <= 20
    assert b"breaker" not in body
    assert len(seen) == 2


class Gate:
    """An upstream that holds every request until it is let go, and counts how many are there at once."""

    def __init__(self) -> None:
        self.paths: list[bytes] = []
        self.waiting = 0
        self.most = 0
        self._open = asyncio.Semaphore(0)

    def let_go(self, count: int = 1) -> None:
        for _ in range(count):
            self._open.release()

    async def __call__(self, peer: Peer) -> None:
        while True:
            head = await peer.head()
            self.paths.append(head.split(b" ")[1])
            self.waiting += 1
            self.most = max(self.most, self.waiting)
            await self._open.acquire()
            self.waiting -= 1
            await peer.send(OK)


async def test_requests_over_the_limit_wait_their_turn(proxied: Proxied) -> None:
    gate = Gate()
    gateway, _ = await proxied(gate, upstream_extra="    limits: {max_connections: 1, max_pending: 3}")
    [upstream] = gateway.proxy.holder.current.upstreams.values()
    asking = []
    for n in range(4):
        asking.append(spawn(gateway.ask(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % n), name="test"))
        await until(lambda n=n: upstream.admission.load.active + upstream.admission.load.pending == n + 1)  # type: ignore[misc]

    status, head, _ = await gateway.ask(GET)
    gate.let_go(4)
    responses = await asyncio.gather(*asking)

    assert (status, fields(head, b"retry-after")) == (503, [b"1"])
    assert [response[0] for response in responses] == [200] * 4
    assert gate.paths == [b"/%d" % n for n in range(4)]
    assert gate.most == 1
    assert (upstream.admission.load.active, upstream.admission.load.pending) == (0, 0)


async def test_waiting_for_a_connection_comes_to_an_end(proxied: Proxied) -> None:
    gate = Gate()
    gateway, _ = await proxied(
        gate, upstream_extra="    limits: {max_connections: 1, max_pending: 3, pending_timeout: 10s}"
    )
    first = spawn(gateway.ask(GET), name="test")
    await until(lambda: gate.waiting == 1)

    [upstream] = gateway.proxy.holder.current.upstreams.values()
    second = spawn(gateway.ask(GET), name="test")
    await until(lambda: upstream.admission.load.pending == 1)

    await gateway.pass_time(11)

    assert (await second)[0] == 503
    gate.let_go()
    assert (await first)[0] == 200
    assert len(gate.paths) == 1


async def test_a_client_that_leaves_the_queue_leaves_no_trace(proxied: Proxied) -> None:
    gate = Gate()
    gateway, _ = await proxied(gate, upstream_extra="    limits: {max_connections: 1, max_pending: 1}")
    [upstream] = gateway.proxy.holder.current.upstreams.values()
    first = spawn(gateway.ask(GET), name="test")
    await until(lambda: gate.waiting == 1)
    client = await gateway.connect()
    await client.send(GET)
    await until(lambda: upstream.admission.load.pending == 1)

    client.reset()

    await until(lambda: upstream.admission.load.pending == 0)
    gate.let_go(2)
    assert (await first)[0] == 200
    assert (await gateway.ask(GET))[0] == 200


async def test_a_connection_for_an_endpoint_that_is_gone_is_not_kept(proxied: Proxied) -> None:
    gate = Gate()
    gateway, first = await proxied(gate, upstream_extra="    limits: {max_connections: 1, max_pending: 3}")
    [old] = gateway.proxy.holder.current.upstreams.values()
    asking = [spawn(gateway.ask(GET), name="test") for _ in range(2)]
    await until(lambda: old.admission.load.pending == 1)
    [endpoint] = old.endpoints

    await endpoint.aclose()
    gate.let_go(2)

    assert [response[0] for response in await asyncio.gather(*asking)] == [200, 200]
    assert len(first.heads) == 0
    assert not gateway.proxy.upstreams.pools


def names(upstreams: list[RawUpstream]) -> list[int]:
    return [len(upstream.heads) for upstream in upstreams]


async def test_a_sticky_cookie_brings_a_client_back_to_its_endpoint(
    start_proxy: StartProxy, start_upstream: StartUpstream
) -> None:
    upstreams = [await start_upstream() for _ in range(3)]
    gateway = await start_proxy(upstream_of(*(one.port for one in upstreams), more="sticky_cookie: {name: sid}"))
    _, head, _ = await gateway.ask(GET)
    cookie = (field(head, b"set-cookie") or b"").partition(b";")[0]
    [chosen] = [n for n, count in enumerate(names(upstreams)) if count]

    for _ in range(5):
        _, head, _ = await gateway.ask(b"GET / HTTP/1.1\r\nHost: x\r\nCookie: " + cookie + b"\r\n\r\n")
        assert fields(head, b"set-cookie") == []

    assert cookie.startswith(b"sid=")
    assert names(upstreams)[chosen] == 6


async def test_targets_share_the_requests_by_weight(start_proxy: StartProxy, start_upstream: StartUpstream) -> None:
    one, other = await start_upstream(), await start_upstream()
    gateway = await start_proxy(f"""
routes:
  - id: all
    path_prefix: /
    targets: [{{target: "{one.url}", weight: 1}}, {{target: "{other.url}", weight: 0}}]
""")

    for _ in range(5):
        assert (await gateway.ask(GET))[0] == 200

    assert (len(one.heads), len(other.heads)) == (5, 0)


async def test_a_status_below_500_is_retried_where_it_is_listed(proxied: Proxied) -> None:
    statuses = iter([b"429 Too Many", b"200 OK"])

    async def serve(peer: Peer) -> None:
        while True:
            await peer.head()
            await peer.send(b"HTTP/1.1 %b\r\nContent-Length: 0\r\n\r\n" % next(statuses))

    gateway, _ = await proxied(serve, upstream_extra="    retries: {attempts: 1, on: [429]}")

    assert (await gateway.ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"))[0] == 200
