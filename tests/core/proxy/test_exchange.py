"""The pipeline, between real sockets."""

from __future__ import annotations

import asyncio

import pytest

from tests.core.proxy.kit import Peer, Proxied, StartProxy, turns, until
from tests.protocols.choice import Protocols

GET = b"GET /a?b=c HTTP/1.1\r\nHost: example.com\r\n\r\n"


def field(head: bytes, name: bytes) -> list[bytes]:
    return [
        line.partition(b":")[2].strip() for line in head.split(b"\r\n")[1:] if line.partition(b":")[0].lower() == name
    ]


@pytest.mark.mixed_protocols
async def test_a_request_goes_upstream_and_its_response_comes_back(proxied: Proxied, protocols: Protocols) -> None:
    gateway, upstream = await proxied()
    client = await gateway.connect()

    await client.send(GET)
    status, head, body = await client.response()

    assert (status, body) == (200, b"ok")
    sent = upstream.heads[0]
    assert sent.startswith(b"GET /a?b=c HTTP/1.1\r\n")
    assert field(sent, b"host") == [b"127.0.0.1:%d" % upstream.port]
    assert field(sent, b"x-forwarded-for") == [b"127.0.0.1"]
    assert field(sent, b"x-forwarded-proto") == [b"http"]
    assert field(sent, b"x-forwarded-host") == [b"example.com"]
    assert field(sent, b"x-forwarded-port") == [b"%d" % gateway.port]
    assert field(sent, b"via") == [f"{protocols.version} gateway".encode()]
    assert field(sent, b"x-request-id") == field(head, b"x-request-id")


async def test_a_connection_serves_one_request_after_another(proxied: Proxied) -> None:
    gateway, upstream = await proxied()
    client = await gateway.connect()

    for _ in range(3):
        await client.send(GET)
        assert (await client.response())[0] == 200

    assert upstream.connections == 1
    assert len(upstream.heads) == 3


async def test_pipelined_requests_get_their_responses_in_order(proxied: Proxied) -> None:
    async def echo_path(peer: Peer) -> None:
        while True:
            head = await peer.head()
            path = head.split(b" ")[1]
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path))

    gateway, _ = await proxied(echo_path)
    client = await gateway.connect()

    await client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % n for n in range(20)))

    for n in range(20):
        assert (await client.response())[2] == b"/%d" % n


async def test_a_body_with_a_length_is_passed_on(proxied: Proxied) -> None:
    gateway, upstream = await proxied()
    client = await gateway.connect()

    await client.send(b"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n01234")
    await until(lambda: gateway.proxy.in_flight)
    await client.send(b"56789")

    assert (await client.response())[0] == 200
    assert upstream.bodies == [b"0123456789"]


async def test_a_chunked_body_is_passed_on_in_chunks(proxied: Proxied) -> None:
    gateway, upstream = await proxied()
    client = await gateway.connect()

    await client.send(b"POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    await client.send(b"0\r\n\r\n")

    assert (await client.response())[0] == 200
    assert upstream.bodies[0].replace(b"5\r\nhello\r\n", b"") == b"0\r\n\r\n"
    assert field(upstream.heads[0], b"transfer-encoding") == [b"chunked"]


async def test_a_chunked_response_stays_whole(proxied: Proxied) -> None:
    async def response(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        await turns()
        await peer.send(b"2;ext=1\r\nde\r\n0\r\nX-Sum: 5\r\nContent-Length: 1\r\n\r\n")
        await peer.head()

    gateway, _ = await proxied(response)
    client = await gateway.connect()

    await client.send(GET)
    head = await client.head()

    assert field(head, b"transfer-encoding") == [b"chunked"]
    assert await client.reader.readuntil(b"\r\n\r\n") == b"3\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n"


async def test_a_response_that_ends_with_its_connection_is_sent_in_chunks(proxied: Proxied) -> None:
    async def response(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\nall of it")
        peer.close()

    gateway, _ = await proxied(response)
    client = await gateway.connect()

    await client.send(GET)
    head = await client.head()

    assert field(head, b"transfer-encoding") == [b"chunked"]
    assert await client.reader.readuntil(b"0\r\n\r\n") == b"9\r\nall of it\r\n0\r\n\r\n"


async def test_a_truncated_response_is_a_visible_break(proxied: Proxied) -> None:
    async def response(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")
        await turns()
        peer.close()

    gateway, _ = await proxied(response)

    response_bytes = await gateway.send(GET)

    assert b"Content-Length: 100\r\n" in response_bytes
    assert response_bytes.endswith(b"\r\n\r\nonly this")


async def test_a_truncated_chunked_response_has_no_last_chunk(proxied: Proxied) -> None:
    async def response(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await turns()
        peer.close()

    gateway, _ = await proxied(response)

    assert not (await gateway.send(GET)).endswith(b"0\r\n\r\n")


@pytest.mark.one_protocol(reason="of HTTP/1.0")
async def test_http_1_0_clients_get_the_body_until_close(proxied: Proxied) -> None:
    gateway, _ = await proxied(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")

    response = await gateway.send(b"GET / HTTP/1.0\r\nHost: x\r\n\r\n")

    assert response.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"chunked" not in response
    assert response.endswith(b"\r\n\r\nhello")


async def test_head_responses_have_no_body_whatever_their_length(proxied: Proxied) -> None:
    gateway, _ = await proxied(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    client = await gateway.connect()

    for _ in range(2):
        await client.send(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert field(await client.head(), b"content-length") == [b"1000"]


async def test_interim_responses_are_passed_on(proxied: Proxied) -> None:
    gateway, _ = await proxied(
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    )
    client = await gateway.connect()

    await client.send(GET)

    assert (await client.head()) == b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    assert (await client.response())[2] == b"ok"


@pytest.mark.one_protocol(reason="framing")
async def test_bytes_behind_a_response_poison_nothing(proxied: Proxied) -> None:
    gateway, upstream = await proxied(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 EVIL\r\n\r\n")
    client = await gateway.connect()

    for _ in range(2):
        await client.send(GET)
        assert (await client.response())[2] == b"ok"

    assert upstream.connections == 2


async def test_what_is_no_response_is_a_502_without_a_word_of_it(proxied: Proxied) -> None:
    gateway, _ = await proxied(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nsecret")
    client = await gateway.connect()

    await client.send(GET)
    status, head, body = await client.response()

    assert status == 502
    assert field(head, b"content-type") == [b"application/problem+json"]
    assert b"secret" not in body
    assert b'"request_id"' in body


async def test_an_endpoint_that_refuses_is_a_502(start_proxy: StartProxy) -> None:
    gateway = await start_proxy('routes: [{id: r, path_prefix: /, target: "http://127.0.0.1:9"}]')
    client = await gateway.connect()

    await client.send(GET)

    assert (await client.response())[0] == 502


async def test_no_route_is_a_404_and_a_wrong_method_a_405_with_allow(start_proxy: StartProxy) -> None:
    gateway = await start_proxy('routes: [{id: r, path: /a, methods: [PUT, GET], target: "http://127.0.0.1:9"}]')
    client = await gateway.connect()

    await client.send(b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await client.response())[0] == 404

    await client.send(b"DELETE /a HTTP/1.1\r\nHost: x\r\n\r\n")
    status, head, _ = await client.response()
    assert (status, field(head, b"allow")) == (405, [b"GET, PUT"])


@pytest.mark.one_protocol(reason="a kept connection that is closed says nothing about its request over HTTP/1 only")
async def test_a_stale_idle_connection_is_replaced_for_a_get_but_not_for_a_post(proxied: Proxied) -> None:
    async def once(peer: Peer) -> None:
        head = await peer.head()
        await peer.exactly(1 if head.startswith(b"POST") else 0)
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await peer.head()
        peer.reset()

    gateway, upstream = await proxied(once)
    client = await gateway.connect()
    await client.send(GET)
    assert (await client.response())[0] == 200

    await client.send(GET)
    assert (await client.response())[0] == 200
    assert upstream.connections == 2

    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx")
    assert (await client.response())[0] == 502
    assert upstream.connections == 2


async def test_a_client_that_leaves_ends_the_upstream_request(proxied: Proxied) -> None:
    left = asyncio.Event()

    async def never(peer: Peer) -> None:
        await peer.head()
        await peer.rest()
        left.set()

    gateway, _ = await proxied(never)
    client = await gateway.connect()
    await client.send(GET)
    await until(lambda: gateway.proxy.in_flight)

    client.reset()

    await asyncio.wait_for(left.wait(), 30)
    assert gateway.proxy.in_flight == 0


async def test_an_upstream_that_does_not_respond_is_a_504(proxied: Proxied) -> None:
    async def never(peer: Peer) -> None:
        await peer.rest()

    gateway, _ = await proxied(never, upstream_extra="    timeouts: {response: 10s}")
    client = await gateway.connect()

    await client.send(GET)

    assert (await gateway.passing(11, client.response()))[0] == 504


async def test_expect_gets_100_and_the_body_goes_on(proxied: Proxied) -> None:
    async def waits(peer: Peer) -> None:
        head = await peer.head()
        assert b"100-continue" in head
        await peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await peer.exactly(3)
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await peer.head()

    gateway, _ = await proxied(waits)
    client = await gateway.connect()

    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
    assert await client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
    await client.send(b"abc")

    assert (await client.response())[0] == 200


async def test_expect_gets_100_from_the_gateway_if_the_upstream_knows_none(proxied: Proxied) -> None:
    gateway, upstream = await proxied()
    client = await gateway.connect()

    await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
    assert await client.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
    await client.send(b"abc")

    assert (await client.response())[0] == 200
    assert upstream.bodies == [b"abc"]


@pytest.mark.http1_upstream
async def test_an_upgrade_becomes_a_tunnel(proxied: Proxied) -> None:
    async def websocket(peer: Peer) -> None:
        head = await peer.head()
        assert b"\r\nUpgrade: websocket\r\n" in head
        await peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nfirst")
        while data := await peer.reader.read(100):
            await peer.send(data.upper())

    gateway, _ = await proxied(websocket)
    client = await gateway.connect()

    await client.send(b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nright behind")
    assert (await client.head()).startswith(b"HTTP/1.1 101 ")
    assert await client.exactly(17) == b"firstRIGHT BEHIND"
    await client.send(b"more")
    assert await client.exactly(4) == b"MORE"

    client.close()
    await client.writer.wait_closed()


@pytest.mark.http1_upstream
async def test_a_refused_upgrade_is_passed_on(proxied: Proxied) -> None:
    gateway, _ = await proxied(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
    client = await gateway.connect()

    for _ in range(2):
        await client.send(b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        assert (await client.response())[0] == 403


async def test_a_body_over_the_limit_is_a_413(proxied: Proxied) -> None:
    gateway, upstream = await proxied(extra="limits: {max_body_bytes: 10}")

    by_length = await gateway.send(
        b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 11\r\n\r\n01234567890"
    )
    by_chunks = await gateway.send(
        b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"b\r\n01234567890\r\n0\r\n\r\n"
    )

    assert by_length.startswith(b"HTTP/1.1 413 ")
    assert by_chunks.startswith(b"HTTP/1.1 413 ")
    assert upstream.heads == []


async def test_every_set_cookie_is_kept_in_order(proxied: Proxied) -> None:
    gateway, _ = await proxied(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n")
    client = await gateway.connect()

    await client.send(GET)

    assert field((await client.response())[1], b"set-cookie") == [b"a=1", b"b=2"]


@pytest.mark.one_protocol(reason="Connection lists fields")
async def test_listed_and_hop_by_hop_fields_end_here(proxied: Proxied) -> None:
    gateway, upstream = await proxied()
    client = await gateway.connect()

    await client.send(
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\n"
        b"Proxy-Authorization: x\r\nUpgrade: h2c\r\nX-Other: 2\r\n\r\n"
    )
    await client.response()

    names = {line.partition(b":")[0].lower() for line in upstream.heads[0].split(b"\r\n")[1:] if line}
    assert names >= {b"x-other"}
    assert not names & {b"x-mine", b"keep-alive", b"proxy-authorization", b"upgrade"}
    assert (field(upstream.heads[0], b"connection"), field(upstream.heads[0], b"te")) == ([b"TE"], [b"trailers"])
