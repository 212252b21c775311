"""Response bodies of upstreams that hooks read, replace and filter, over sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from gateway_core.errors import BodyTooLargeError
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import BodyFilter, Headers, Request, Response

from tests.core.proxy.bodies import (
    BIND,
    CHUNKED,
    CLOSING,
    FIELDS,
    GET,
    GET_TE,
    WHOLE,
    Upper,
    adds,
    chunks,
    collected,
    hook,
)
from tests.core.proxy.kit import Peer, Proxied, counts, field, until


async def test_a_filter_changes_the_body_and_what_the_head_says_of_it(proxied: Proxied) -> None:
    made: list[Upper] = []

    def factory() -> Upper:
        made.append(Upper())
        return made[-1]

    gateway, _ = await proxied(WHOLE, extra=BIND, plugins=[adds(factory)])
    client = await gateway.connect()

    for count in (1, 2):
        await client.send(GET)
        head = await client.head()
        assert await chunks(client) == b"ABCDEF"
        await client.exactly(2)
        assert field(head, b"etag") == b'W/"1"'
        for name in (b"content-length", b"content-digest", b"repr-digest", b"digest", b"content-md5"):
            assert field(head, name) is None
        assert field(head, b"x-kept") == b"1"
        assert len(made) == count
    assert made[0].closed == [None]
    assert made[0].contexts == {"/"}
    await until(lambda: not counts(gateway))


@pytest.mark.parametrize("kind", ["bytes", "list", "generator", "awaitable", "awaitable of a generator"])
async def test_a_filter_may_give_bytes_pieces_or_awaitables_of_both(proxied: Proxied, kind: str) -> None:
    def pieces(data: bytes) -> Iterator[bytes]:
        yield data[:1]
        yield b""
        yield data[1:]

    async def later(result: bytes | Iterable[bytes]) -> bytes | Iterable[bytes]:
        await asyncio.sleep(0)
        return result

    class Gives(BodyFilter):
        def feed(self, data: bytes) -> Any:
            given: dict[str, Callable[[], Any]] = {
                "bytes": lambda: data,
                "list": lambda: [data],
                "generator": lambda: pieces(data),
                "awaitable": lambda: later(data),
                "awaitable of a generator": lambda: later(pieces(data)),
            }
            return given[kind]()

        def finish(self, trailers: Headers) -> bytes:
            return b"."

    gateway, _ = await proxied(WHOLE, extra=BIND, plugins=[adds(Gives)])
    client = await gateway.connect()
    await client.send(GET)
    await client.head()

    assert await chunks(client) == b"abcdef."


async def test_a_body_that_is_set_goes_out_with_its_length(proxied: Proxied) -> None:
    async def run(response: Response) -> None:
        response.set_body(b"other")

    gateway, upstream = await proxied(WHOLE, extra=BIND, plugins=hook(run))
    client = await gateway.connect()

    for _ in range(2):
        await client.send(GET)
        status, head, body = await client.response()
        assert (status, body, field(head, b"etag"), field(head, b"digest")) == (200, b"other", b'W/"1"', None)
    assert len(upstream.heads) == 2


async def test_for_head_a_body_that_is_set_says_its_length(proxied: Proxied) -> None:
    async def run(response: Response) -> None:
        assert not response.has_body
        response.set_body(b"other")

    gateway, _ = await proxied(WHOLE[:-6], extra=BIND, plugins=hook(run))

    data = await gateway.send(CLOSING.replace(b"GET", b"HEAD"))

    assert field(data, b"content-length") == b"5"
    assert data.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("upstream", [WHOLE, CHUNKED + b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n"], ids=["length", "chunks"])
async def test_a_body_that_was_read_goes_on_as_it_came(proxied: Proxied, upstream: bytes) -> None:
    seen: list[bytes] = []

    async def run(response: Response) -> None:
        seen.extend((await response.read(), await response.read(6)))

    gateway, _ = await proxied(upstream, extra=BIND, plugins=hook(run))
    client = await gateway.connect()

    for _ in range(2):
        await client.send(GET)
        status, head, body = await client.response()
        assert (status, body) == (200, b"abcdef")
        assert field(head, b"digest") == field(upstream, b"digest")
    assert seen == [b"abcdef"] * 4


async def test_a_read_waits_for_what_comes_later(proxied: Proxied) -> None:
    gate = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"a" * 100_000)
        await gate.wait()
        await peer.send(b"b" * 100_000)
        await peer.rest()

    async def run(response: Response) -> None:
        response.headers["x-early"] = "1"
        gate.set()
        assert len(await response.read()) == 200_000

    gateway, _ = await proxied(script, extra=BIND, plugins=hook(run))
    client = await gateway.connect()
    await client.send(GET)

    status, head, body = await client.response()

    assert (status, field(head, b"x-early"), body) == (200, b"1", b"a" * 100_000 + b"b" * 100_000)


async def test_a_caught_limit_leaves_the_body_from_its_first_byte(proxied: Proxied) -> None:
    async def run(response: Response) -> None:
        with pytest.raises(BodyTooLargeError):
            await response.read(3)
        response.headers["x-caught"] = "1"

    gateway, _ = await proxied(WHOLE, extra=BIND, plugins=hook(run))

    status, head, body = await gateway.ask(GET)

    assert (status, field(head, b"x-caught"), body) == (200, b"1", b"abcdef")


@pytest.mark.parametrize(("on_error", "status"), [("deny", 502), ("continue", 200)])
async def test_an_uncaught_limit_is_502_unless_the_binding_continues(
    proxied: Proxied, on_error: str, status: int
) -> None:
    async def run(response: Response) -> None:
        await response.read(3)

    gateway, _ = await proxied(WHOLE, f"plugins: [{{name: p, on_error: {on_error}}}]", plugins=hook(run))

    got, _, body = await gateway.ask(GET)

    assert (got, body == b"abcdef") == (status, status == 200)


async def test_what_a_filter_holds_passes_when_the_upstream_pauses(proxied: Proxied) -> None:
    gate = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(CHUNKED + b"3\r\nabc\r\n")
        await gate.wait()
        await peer.send(b"3\r\ndef\r\n0\r\n\r\n")
        await peer.rest()

    class Holds(BodyFilter):
        def __init__(self) -> None:
            self._held = b""

        def feed(self, data: bytes) -> bytes:
            self._held += data
            return b""

        def flush(self) -> bytes:
            held, self._held = self._held, b""
            return held

        def finish(self, trailers: Headers) -> bytes:
            return self.flush() + b"!"

    gateway, _ = await proxied(script, extra=BIND, plugins=[adds(Holds)])
    client = await gateway.connect()
    await client.send(GET)

    await client.head()
    assert await client.exactly(8) == b"3\r\nabc\r\n"
    gate.set()

    assert await chunks(client) == b"def!"


@pytest.mark.parametrize(
    ("request_bytes", "response"),
    [(CLOSING.replace(b"GET", b"HEAD"), WHOLE[:-6]), (CLOSING, b"HTTP/1.1 304 N\r\n" + FIELDS + b"\r\n")],
    ids=["HEAD", "304"],
)
async def test_without_a_body_the_head_changes_and_no_filter_is_made(
    proxied: Proxied, request_bytes: bytes, response: bytes
) -> None:
    made: list[BodyFilter] = []
    gateway, _ = await proxied(response, extra=BIND, plugins=[adds(collected(made))])

    data = await gateway.send(request_bytes)

    assert field(data, b"etag") == b'W/"1"'
    assert field(data, b"content-length") is None
    assert field(data, b"digest") is None
    assert data.endswith(b"\r\n\r\n")
    assert made == []


async def test_content_length_0_is_no_body(proxied: Proxied) -> None:
    made: list[BodyFilter] = []
    response = b'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nETag: "1"\r\n\r\n'
    gateway, _ = await proxied(response, extra=BIND, plugins=[adds(collected(made))])

    status, head, body = await gateway.ask(GET)

    assert (status, body, field(head, b"content-length"), made) == (200, b"", b"0", [])
    assert field(head, b"etag") == b'"1"'


class Trailing(BodyFilter):
    def finish(self, trailers: Headers) -> bytes:
        trailers["x-added"] = "1"
        trailers["content-length"] = "7"
        return b""


@pytest.mark.one_protocol(reason="framing")
@pytest.mark.parametrize(
    ("request_bytes", "expected"),
    [(GET_TE, b"0\r\nX-Came: 1\r\nx-added: 1\r\n\r\n"), (GET, b"0\r\nX-Came: 1\r\n\r\n")],
    ids=["TE", "no TE"],
)
async def test_a_filter_may_add_trailers_where_te_allows_it(
    proxied: Proxied, request_bytes: bytes, expected: bytes
) -> None:
    response = CHUNKED + b"3\r\nabc\r\n0\r\nX-Came: 1\r\n\r\n"
    gateway, _ = await proxied(response, extra=BIND, plugins=[adds(Trailing)])
    client = await gateway.connect()

    await client.send(request_bytes)
    await client.head()

    assert await client.exactly(8) == b"3\r\nabc\r\n"
    assert await client.exactly(len(expected)) == expected


@pytest.mark.parametrize("forwards", [False, True])
async def test_a_body_that_is_assigned_goes_in_place_of_the_upstreams(proxied: Proxied, forwards: bool) -> None:
    class Assigns(Plugin[Any]):
        name = "p"

        @hookimpl
        async def gateway_pre_proxy(self, request: Request) -> None:
            if forwards:
                await request.forward()

        @hookimpl
        def gateway_response(self, request: Request, response: Response) -> None:
            response.body = b"mine" if request.path == "/some" else b""

    gateway, _ = await proxied(WHOLE, BIND, "", [Assigns])

    for path, body in [(b"/some", b"mine"), (b"/none", b"")]:
        got = await gateway.ask(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert (got[0], got[2], field(got[1], b"content-length")) == (200, body, b"%d" % len(body))
        assert (field(got[1], b"x-kept"), field(got[1], b"etag")) == (b"1", b'W/"1"')
        assert field(got[1], b"content-digest") is None
    assert counts(gateway) == {}
