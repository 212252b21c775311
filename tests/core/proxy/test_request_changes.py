"""Request bodies that hooks read, replace, filter and observe, over sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from gateway_core.errors import BodyTooLargeError
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import BodyFilter, Headers, Record, Request, Response
from gateway_core.proxy.response_stream import PIECES_PER_TURN

from tests.core.proxy.bodies import BIND, GET, FailsAt, Noted, Upper, collected, current
from tests.core.proxy.kit import Peer, Plugins, Proxied, StartProxy, StartUpstream, counts, field, until

POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\nDigest: x\r\n\r\nabcdef"
CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
EXPECTS = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\nExpect: 100-continue\r\n\r\n"
RETRIES = "    retries: {attempts: 3, on: [connect-failure, reset, 503], max_body_bytes: 1000, methods: [POST]}"


def hook(run: Callable[[Request], Any], records: list[Record] | None = None, **policy: Any) -> Plugins:
    """Return a plugin with an awaited pre-proxy hook."""

    class Hooked(Plugin[Any]):
        name = "p"

        @hookimpl
        async def gateway_pre_proxy(self, request: Request) -> Response | None:
            current.set(request.raw_path)
            result = await run(request)
            assert result is None or isinstance(result, Response)
            return result

        @hookimpl
        def gateway_log(self, record: Record) -> None:
            if records is not None:
                records.append(record)

    return [Hooked]


def filters(factory: Callable[[], BodyFilter], *, observe: bool = False) -> Plugins:
    """Return a plugin that adds a filter to each request."""

    async def run(request: Request) -> None:
        request.add_body_filter(factory, observe=observe)

    return hook(run)


def payload(body: bytes) -> bytes:
    """Return what is in chunks."""
    parts, rest = [], body
    while rest and (size := int(rest.partition(b"\r\n")[0], 16)):
        rest = rest.partition(b"\r\n")[2]
        parts.append(rest[:size])
        rest = rest[size + 2 :]
    return b"".join(parts)


@pytest.mark.parametrize("request_bytes", [POST, CHUNKED + b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n"])
async def test_a_filter_changes_the_body_once_and_the_framing(proxied: Proxied, request_bytes: bytes) -> None:
    made: list[BodyFilter] = []
    gateway, upstream = await proxied(extra=BIND, plugins=filters(collected(made)))
    client = await gateway.connect()

    for count in (1, 2):
        await client.send(request_bytes)
        assert (await client.response())[0] == 200
        assert len(made) == count
    assert [payload(body) for body in upstream.bodies] == [b"ABCDEF"] * 2
    for head in upstream.heads:
        assert field(head, b"content-length") is None
        assert field(head, b"transfer-encoding") == b"chunked"
        assert field(head, b"digest") is None
    first = made[0]
    assert isinstance(first, Upper)
    assert first.closed == [None]
    assert first.contexts == {"/"}
    await until(lambda: not counts(gateway))


async def test_a_body_that_is_set_goes_up_with_its_length(proxied: Proxied) -> None:
    async def run(request: Request) -> None:
        request.set_body(b"other body")

    gateway, upstream = await proxied(extra=BIND, plugins=hook(run))
    client = await gateway.connect()

    for request in (POST, GET, POST):
        await client.send(request)
        assert (await client.response())[0] == 200
    assert upstream.bodies == [b"other body"] * 3
    assert [field(head, b"content-length") for head in upstream.heads] == [b"10"] * 3
    assert field(upstream.heads[0], b"digest") is None


async def test_a_body_that_is_set_replaces_reads_and_filters_and_keeps_its_coding(proxied: Proxied) -> None:
    async def run(request: Request) -> None:
        await request.read()
        request.add_body_filter(Upper)
        request.set_body(b"other")

    gateway, upstream = await proxied(extra=BIND, plugins=hook(run))

    assert (await gateway.ask(POST.replace(b"Digest: x", b"Content-Digest: x\r\nContent-Encoding: odd")))[0] == 200
    (head,) = upstream.heads
    assert upstream.bodies == [b"other"]
    assert (field(head, b"content-digest"), field(head, b"content-encoding")) == (None, b"odd")


async def test_a_request_of_content_length_0_has_no_body(proxied: Proxied) -> None:
    made: list[BodyFilter] = []
    gateway, upstream = await proxied(extra=BIND, plugins=filters(collected(made)))

    assert (await gateway.ask(POST[:-6].replace(b": 6", b": 0")))[0] == 200
    (head,) = upstream.heads
    assert (made, field(head, b"content-length"), field(head, b"digest")) == ([], b"0", b"x")


async def test_a_hook_sees_whether_there_is_a_body(proxied: Proxied) -> None:
    seen: list[bool] = []

    async def run(request: Request) -> None:
        seen.append(request.has_body)
        if request.method == "PUT":
            for data in (b"", b"other"):
                request.set_body(data)
                seen.append(request.has_body)

    gateway, _ = await proxied(extra=BIND, plugins=hook(run))
    empty = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"

    for request in (GET, POST, CHUNKED + b"1\r\nx\r\n0\r\n\r\n", empty, POST.replace(b"POST", b"PUT")):
        assert (await gateway.ask(request))[0] == 200

    assert seen == [False, True, True, False, True, False, True]


async def test_an_empty_body_that_is_set_is_none(proxied: Proxied) -> None:
    async def run(request: Request) -> None:
        request.set_body(b"")
        request.add_body_filter(Upper)

    gateway, upstream = await proxied(extra=BIND, plugins=hook(run))
    client = await gateway.connect()

    for request in (POST, GET):
        await client.send(request)
        assert (await client.response())[0] == 200
    assert [field(head, b"content-length") for head in upstream.heads] == [b"0", None]
    assert [field(head, b"transfer-encoding") for head in upstream.heads] == [None, None]


@pytest.mark.parametrize("request_bytes", [POST, CHUNKED + b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n"])
async def test_a_read_gives_what_the_filters_so_far_make(proxied: Proxied, request_bytes: bytes) -> None:
    seen: list[bytes] = []

    class Dots(BodyFilter):
        def finish(self, trailers: Headers) -> bytes:
            return b"..."

    async def run(request: Request) -> None:
        seen.append(await request.read())
        request.add_body_filter(Upper)
        seen.append(await request.read())
        request.add_body_filter(Dots)

    gateway, upstream = await proxied(extra=BIND, plugins=hook(run))
    client = await gateway.connect()
    await client.send(request_bytes)

    assert (await client.response())[0] == 200
    assert seen == [b"abcdef", b"ABCDEF"]
    assert payload(upstream.bodies[0]) == b"ABCDEF..."


async def test_a_read_behind_a_filter_goes_up_with_its_length(proxied: Proxied) -> None:
    async def run(request: Request) -> None:
        request.add_body_filter(Upper)
        await request.read()

    gateway, upstream = await proxied(extra=BIND, plugins=hook(run))

    assert (await gateway.ask(POST))[0] == 200
    assert upstream.bodies == [b"ABCDEF"]
    assert field(upstream.heads[0], b"content-length") == b"6"


@pytest.mark.parametrize("with_filter", [True, False])
async def test_a_caught_limit_leaves_the_body_from_its_first_byte(proxied: Proxied, with_filter: bool) -> None:
    async def run(request: Request) -> None:
        if with_filter:
            request.add_body_filter(Upper)
        with pytest.raises(BodyTooLargeError):
            await request.read(3)

    gateway, upstream = await proxied(extra=BIND, plugins=hook(run))

    assert (await gateway.ask(POST))[0] == 200
    if with_filter:
        assert payload(upstream.bodies[0]) == b"ABCDEF"
    else:
        assert upstream.bodies[0] == b"abcdef"


@pytest.mark.parametrize("with_filter", [True, False])
async def test_an_uncaught_limit_is_413(proxied: Proxied, with_filter: bool) -> None:
    async def run(request: Request) -> None:
        if with_filter:
            request.add_body_filter(Upper)
        await request.read(3)

    gateway, upstream = await proxied(extra=BIND, plugins=hook(run))

    assert (await gateway.ask(POST))[0] == 413
    assert upstream.heads == []


async def test_limits_count_what_the_client_sent(proxied: Proxied) -> None:
    class Long(BodyFilter):
        def feed(self, data: bytes) -> Any:
            return [data] * 100

    extra = BIND + "\nlimits: {max_body_bytes: 10}"
    gateway, upstream = await proxied(extra=extra, plugins=filters(Long))
    assert (await gateway.ask(POST))[0] == 200
    assert payload(upstream.bodies[0]) == b"abcdef" * 100

    over = CHUNKED + b"6\r\nabcdef\r\n6\r\nabcdef\r\n0\r\n\r\n"
    assert (await gateway.ask(over))[0] == 413
    await until(lambda: not counts(gateway))


async def test_a_filter_that_makes_many_pieces_leaves_every_turn_of_the_loop_to_others(proxied: Proxied) -> None:
    made_in_turn = [0]

    class Many(BodyFilter):
        def feed(self, data: bytes) -> Iterator[bytes]:
            for _ in range(5000):
                made_in_turn[-1] += 1
                yield b"x"

    gateway, upstream = await proxied(extra=BIND, plugins=filters(Many))
    loop = asyncio.get_running_loop()

    def turn() -> None:
        made_in_turn.append(0)
        ticking[0] = loop.call_soon(turn)

    ticking = [loop.call_soon(turn)]
    assert (await gateway.ask(POST))[0] == 200
    ticking[0].cancel()

    assert len(payload(upstream.bodies[0])) == sum(made_in_turn)
    assert max(made_in_turn) <= PIECES_PER_TURN


@pytest.mark.parametrize("change", ["filter", "set"])
async def test_a_retry_sends_what_filters_made_once(
    start_proxy: StartProxy, start_upstream: StartUpstream, change: str
) -> None:
    made: list[BodyFilter] = []
    answers = [b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"]
    bodies: list[bytes] = []

    async def script(peer: Peer) -> None:
        while True:
            head = await peer.head()
            if field(head, b"content-length"):
                bodies.append(await peer.exactly(int(field(head, b"content-length") or b"0")))
            else:
                bodies.append(payload(await peer.reader.readuntil(b"0\r\n\r\n")))
            await peer.send(answers[len(bodies) - 1])

    async def run(request: Request) -> None:
        if change == "set":
            request.set_body(b"ABCDEF")
        else:
            request.add_body_filter(collected(made))

    upstream = await start_upstream(script)
    config = f"""
upstreams:
  - name: u
    endpoints: [{{url: "{upstream.url}"}}]
    retries: {{attempts: 3, on: [503], methods: [POST], max_body_bytes: 1000}}
routes:
  - {{id: all, path_prefix: /, target: u}}
{BIND}
"""
    gateway = await start_proxy(config, hook(run))

    assert (await gateway.ask(POST))[0] == 200
    assert bodies == [b"ABCDEF"] * 2
    assert len(made) == (1 if change == "filter" else 0)


async def test_a_mirror_gets_the_body_as_it_goes_up(start_proxy: StartProxy, start_upstream: StartUpstream) -> None:
    upstream, mirror = await start_upstream(), await start_upstream()
    config = f"""
upstreams:
  - name: u
    endpoints: [{{url: "{upstream.url}"}}]
  - name: m
    endpoints: [{{url: "{mirror.url}"}}]
routes:
  - {{id: all, path_prefix: /, target: u, mirror: {{target: m}}}}
{BIND}
"""
    gateway = await start_proxy(config, filters(Upper))

    assert (await gateway.ask(POST))[0] == 200
    await until(lambda: mirror.bodies)
    assert mirror.bodies == [b"ABCDEF"]
    assert payload(upstream.bodies[0]) == b"ABCDEF"


async def test_an_observer_sees_the_body_once_and_the_framing_stays(proxied: Proxied) -> None:
    made: list[BodyFilter] = []
    gateway, upstream = await proxied(extra=BIND, plugins=filters(collected(made), observe=True))

    assert (await gateway.ask(POST))[0] == 200
    assert upstream.bodies == [b"abcdef"]
    assert (field(upstream.heads[0], b"content-length"), field(upstream.heads[0], b"digest")) == (b"6", b"x")
    (observer,) = made
    assert isinstance(observer, Noted)
    assert b"".join(observer.fed) == b"abcdef"
    assert observer.closed == [None]


async def test_an_observer_that_fails_is_dropped(proxied: Proxied) -> None:
    gateway, upstream = await proxied(extra=BIND, plugins=filters(lambda: FailsAt(0), observe=True))

    assert (await gateway.ask(POST))[0] == 200
    assert upstream.bodies == [b"abcdef"]


async def test_a_filter_that_fails_is_500_and_the_upstream_sees_a_cut(proxied: Proxied) -> None:
    seen: list[bytes] = []

    async def script(peer: Peer) -> None:
        seen.append(await peer.rest())

    records: list[Record] = []
    made = FailsAt(1)

    async def run(request: Request) -> None:
        request.add_body_filter(lambda: made)

    gateway, _ = await proxied(script, extra=BIND, plugins=hook(run, records))
    client = await gateway.connect()
    await client.send(CHUNKED + b"3\r\nabc\r\n")
    await until(lambda: made.fed)
    await client.send(b"3\r\ndef\r\n")

    assert (await client.response())[0] == 500
    await until(lambda: seen)
    assert seen[0].endswith(b"3\r\nabc\r\n")
    assert len(made.closed) == 1
    await until(lambda: records)
    assert records[0].reason == "plugin.failed"
    await until(lambda: not counts(gateway))
