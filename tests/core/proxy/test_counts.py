"""What is counted while requests are under way comes back to nothing, whichever way they end."""

from __future__ import annotations

import asyncio

import pytest

from tests.core.proxy.kit import Peer, Proxied, StartProxy, StartUpstream, counts, field, until

GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize("mirror", ["", ", mirror: {target: u}"])
@pytest.mark.parametrize("is_warm", [False, True])
async def test_a_path_that_cannot_be_rewritten_is_a_400_whether_or_not_a_connection_waits(
    start_proxy: StartProxy, start_upstream: StartUpstream, is_warm: bool, mirror: str
) -> None:
    upstream = await start_upstream()
    gateway = await start_proxy(f"""
upstreams: [{{name: u, endpoints: [{{url: "{upstream.url}"}}]}}]
routes:
  - {{id: stripped, path: "/v:rest", target: u, strip_path: true{mirror}}}
  - {{id: all, path_prefix: /, target: u}}
""")
    if is_warm:
        await gateway.ask(GET)

    for _ in range(2):
        status, _, _ = await asyncio.wait_for(gateway.ask(b"GET /v.. HTTP/1.1\r\nHost: x\r\n\r\n"), 30)
        assert status == 400

    assert (await gateway.ask(GET))[0] == 200
    await until(lambda: not counts(gateway))
    assert upstream.connections == 1, "the connection that was not used is lost"


async def test_who_waited_for_a_connection_has_the_whole_time_for_its_response(proxied: Proxied) -> None:
    async def slow(peer: Peer) -> None:
        while True:
            await peer.head()
            await gateway.pass_time(5)  # three of them take longer than the timeout
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    gateway, _ = await proxied(
        slow, upstream_extra="    limits: {max_connections: 1, pending_timeout: 60s}\n    timeouts: {response: 12s}"
    )

    responses = await asyncio.gather(*[gateway.ask(GET) for _ in range(3)])

    assert [status for status, _, _ in responses] == [200, 200, 200]
    assert counts(gateway) == {}


async def test_who_waited_for_a_connection_and_gets_no_response_is_told_so(proxied: Proxied) -> None:
    async def responds_once(peer: Peer) -> None:
        head = await peer.head()
        if field(head, b"x-first"):
            await until(lambda: gateway.proxy.holder.current.upstreams["u"].admission.load.pending)
            await peer.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
            return
        await gateway.pass_time(31)
        await peer.rest()

    gateway, _ = await proxied(
        responds_once, upstream_extra="    limits: {max_connections: 1}\n    timeouts: {response: 30s}"
    )
    marked = GET.replace(b"\r\n\r\n", b"\r\nX-First: 1\r\n\r\n")

    async def second() -> int:
        await until(lambda: counts(gateway).get("u active"))
        return (await gateway.ask(GET))[0]

    first, status = await asyncio.gather(gateway.ask(marked), second())

    assert (first[0], status) == (200, 504)
    assert counts(gateway) == {}
