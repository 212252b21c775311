"""What a connection remembers of its blocks of fields never shows in what they mean."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import Any, ClassVar

import hpack
import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Request
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH

from tests.core.proxy.downstream.http2_client import OK, Got, Http2Client, http2
from tests.core.proxy.downstream.http2_conformance import SETTINGS, raw
from tests.core.proxy.kit import Proxied, RunningProxy, StartProxy, StartUpstream, compile_config

ROUTE = 'routes: [{{id: r, path_prefix: "/", target: "{}"}}]'
HUFFMAN = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)


def block(path: bytes, *, huffman: bool = False, rest: bytes = b"") -> bytes:
    """Return a block that says GET, http, a path that enters no table, and what is in the table already."""
    text = HUFFMAN.encode(path) if huffman else path
    assert len(text) < 127
    return b"\x82\x86\x04" + bytes([len(text) | (0x80 if huffman else 0)]) + text + b"\xbf\xbe" + rest


async def warm(client: Http2Client) -> None:
    """Have the table hold :authority and a field, and two blocks remembered that use them."""
    got = await client.ask(("x-kept", "1"), path="/", authority="x")
    assert got.status == 200
    for path in (b"/first", b"/second", b"/second", b"/second"):
        assert (await send(client, block(path))).status == 200


async def send(client: Http2Client, data: bytes, *, ends: bool = True) -> Got:
    frame = client.fields([], ends=ends)
    frame.data = data
    await client.send(frame, *([] if ends else client.data(frame.stream_id, b"body")))
    return await client.response(frame.stream_id)


async def outcome(gateway: RunningProxy, heads: list[bytes], data: bytes, *, is_warm: bool) -> tuple[object, ...]:
    """Return what a block leads to on a connection that has seen blocks like it, or on one that has not."""
    async with http2(gateway) as client:
        if is_warm:
            await warm(client)
        else:
            await client.ask(("x-kept", "1"), path="/", authority="x")
        del heads[:]
        got = await send(client, data)
    return got.status, got.reset, [re.sub(rb"(?i)x-request-id: [^\r]*", b"", head) for head in heads]


@pytest.mark.parametrize("huffman", [False, True])
@pytest.mark.parametrize(
    "path",
    [
        b"/third", b"/second", b"/a?b=c&d=%20", b"/%2e%2e/x", b"/a;b", b"//a", b"/a/../b", b"/a#b", b"/a b", b"/\x01",
        b"/\xff", b"", b"a", b"*", b"http://y/", b"/a HTTP/1.1\r\nX: 1", b"/" + b"a" * 125,
    ],
)  # fmt: skip
async def test_another_path_means_the_same_as_if_nothing_was_remembered(
    proxied: Proxied, path: bytes, huffman: bool
) -> None:
    gateway, upstream = await proxied(OK)
    if huffman and len(HUFFMAN.encode(path)) > 126:
        return

    remembered = await outcome(gateway, upstream.heads, block(path, huffman=huffman), is_warm=True)

    assert remembered == await outcome(gateway, upstream.heads, block(path, huffman=huffman), is_warm=False)


async def test_requests_whose_paths_differ_reach_the_upstream_as_they_were_sent(proxied: Proxied) -> None:
    gateway, upstream = await proxied(OK)
    paths = [b"/%d" % (number % 150) for number in range(400)]
    async with http2(gateway) as client:
        await client.ask(("x-kept", "1"), path="/", authority="x")
        for path in paths:
            assert (await send(client, block(path))).status == 200
    assert [head.split(b" ")[1] for head in upstream.heads[1:]] == paths
    assert all(b"\r\nx-kept: 1\r\n" in head for head in upstream.heads)


async def test_targets_that_never_come_again_do_not_make_a_connection_forget_what_does(proxied: Proxied) -> None:
    gateway, _ = await proxied(OK)
    async with http2(gateway) as client:
        await warm(client)
        (connection,) = gateway.proxy.connections.open
        memory = connection._streams._heads._plain  # type: ignore[attr-defined]
        before = dict(memory.known), dict(memory._templates)

        for number in range(200):
            assert (await send(client, block(b"/%d" % number))).status == 200

        assert block(b"/second") in memory.known
        assert (memory.known, memory._templates) == before
        assert len(memory._once) < 64


USUAL = [
    (":method", "GET"), (":scheme", "http"), (":authority", "x"), (":path", "/a?b=c"), ("accept", "*/*"),
    ("authorization", "Bearer one"), ("cookie", "a=1"), ("traceparent", f"00-{'1' * 32}-{'2' * 16}-01"), ("x-own", "1"),
]  # fmt: skip
OTHER_VALUES: list[dict[str, str]] = [
    {"cookie": "a=2"}, {"cookie": "a=2", "traceparent": f"00-{'3' * 32}-{'4' * 16}-00", "x-own": "2"},
    {"traceparent": "nonsense"}, {":path": "/other"}, {":path": "/%2e%2e/x", "cookie": "b"}, {":path": "*"},
    {":path": "/a b"}, {":path": "/a HTTP/1.1"}, {":path": ""}, {":authority": "y"}, {":authority": "u@x"},
    {":method": "POST"}, {":method": "HEAD"}, {":method": "CONNECT"}, {":scheme": "https"}, {":scheme": "ftp"},
    {"authorization": "Bearer two"}, {"authorization": "Negotiate two"}, {"cookie": "a\r\nhost: y"}, {"cookie": " a"},
    {"x-own": "v\0"}, {"cookie": "c" * 900}, {"cookie": ""},
    {"accept": "1", "authorization": "2", "cookie": "3", "traceparent": "4", "x-own": "5"},
]  # fmt: skip
OTHER_NAMES: list[dict[str, str]] = [
    {"x-own": "te"}, {"x-own": "cookie"}, {"x-own": "x-forwarded-for"}, {"x-own": "x_own"}, {"x-own": "max-forwards"},
    {"cookie": "content-length"}, {"accept": "host"}, {"accept": "connection"}, {"cookie": "traceparent"},
    {":path": ":protocol"}, {"accept": ":path"}, {":scheme": ":path"}, {"x-own": "X-Own"}, {"x-own": "expect"},
]  # fmt: skip


@pytest.mark.parametrize(
    ("names", "values"), [*[({}, each) for each in OTHER_VALUES], *[(each, {}) for each in OTHER_NAMES]], ids=str
)
async def test_fields_that_are_like_others_mean_the_same_as_if_nothing_was_remembered(
    proxied: Proxied, names: dict[str, str], values: dict[str, str]
) -> None:
    gateway, upstream = await proxied(OK, extra="limits: {max_head_bytes: 1024}")
    fields = [(names.get(name, name), values.get(name, value)) for name, value in USUAL]
    outcomes = []
    for before in ([], [USUAL, USUAL]):
        async with http2(gateway) as client:
            for each in before:
                frame = client.fields(each)
                await client.send(frame)
                assert (await client.response(frame.stream_id)).status == 200
            del upstream.heads[:]
            frame = client.fields(fields)
            await client.send(frame)
            got = await client.response(frame.stream_id)
            heads = [re.sub(rb"(?i)x-request-id: [^\r]*", b"", head) for head in upstream.heads]
            outcomes.append((got.status, got.reset, heads))
    assert outcomes[0] == outcomes[1]


async def test_requests_whose_cookies_traces_and_paths_differ_are_routed_by_their_paths(
    start_proxy: StartProxy, start_upstream: StartUpstream
) -> None:
    one = await start_upstream(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none")
    two = await start_upstream(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo")
    routes = [
        f'{{id: {path}, path_prefix: "/{path}", target: "{each.url}"}}' for path, each in (("a", one), ("b", two))
    ]
    config = f"routes: [{', '.join(routes)}]"
    gateway = await start_proxy(config)
    async with http2(gateway) as client:
        for number in range(60):  # which is more than the table holds
            path, cookie = f"/{'ab'[number % 2]}/{number}", ("cookie", f"{number}" * 40)
            got = await client.ask(("accept", "*/*"), cookie, ("traceparent", f"{number}"), path=path)
            assert got.body == (b"one", b"two")[number % 2]
    heads = {head.split(b" ")[1]: head for head in (*one.heads, *two.heads)}
    assert all(b"\r\ncookie: %b\r\n" % (path[3:] * 40) in head for path, head in heads.items())
    assert len(heads) == 60


async def test_fields_that_are_like_others_are_not_read_as_heads(proxied: Proxied) -> None:
    gateway, _ = await proxied(OK)
    async with http2(gateway) as client:
        for number in range(3):  # from the second one on they come as indices for the most part
            await client.ask(("cookie", f"{number}"), ("accept", "*/*"), path=f"/{number}")
        connection: Any = next(iter(gateway.proxy.connections.open))
        memory = connection._streams._heads._plain
        (model,) = memory.models.values()

        await client.ask(("cookie", "3"), ("accept", "*/*"), path="/other")

        assert list(memory.models.values()) == [model]


async def test_a_block_means_something_else_once_the_table_is_another(proxied: Proxied) -> None:
    gateway, upstream = await proxied(OK)
    async with http2(gateway) as client:
        await warm(client)
        # An entry more: the indices that were :authority and x-kept are x-kept and the new field now.
        added = hpack.Encoder().encode([("x-new", "2")], huffman=False)
        assert (await send(client, block(b"/second", rest=added))).status == 200

        got = await send(client, block(b"/second"))

        assert got.status == 400, "it has no host"
    assert b"\r\nx-new: 2\r\n" in upstream.heads[-1]


async def test_the_same_block_with_a_body_behind_it_is_another_request(proxied: Proxied) -> None:
    gateway, upstream = await proxied(OK)
    async with http2(gateway) as client:
        await warm(client)
        post = b"\x83" + block(b"/second")[1:]
        for ends in (True, False, False, True, False):
            assert (await send(client, post, ends=ends)).status == 200
    chunked = [b"chunked" in head.lower() for head in upstream.heads[-5:]]
    assert chunked == [False, True, True, False, True]


async def test_a_list_of_fields_that_is_too_long_is_refused_whatever_was_remembered(proxied: Proxied) -> None:
    gateway, _ = await proxied(OK, extra="limits: {max_head_bytes: 1024}")
    rest = b"".join([b"\x00\x01a\x7f\x2b" + b"v" * 170 for _ in range(4)])
    async with http2(gateway) as client:
        await client.ask(("x-kept", "1"), path="/", authority="x")
        assert [(await send(client, block(b"/a", rest=rest))).status for _ in range(3)] == [200, 200, 200]

        assert (await send(client, block(b"/" + b"a" * 120, rest=rest))).status == 431


async def test_a_block_takes_the_new_route_after_a_reload(
    start_proxy: StartProxy, start_upstream: StartUpstream
) -> None:
    one = await start_upstream(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none")
    two = await start_upstream(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo")
    gateway = await start_proxy(ROUTE.format(one.url))
    async with http2(gateway) as client:
        await warm(client)

        await gateway.reload(ROUTE.format(two.url))

        assert [(await send(client, block(path))).body for path in (b"/second", b"/third")] == [b"two", b"two"]
        assert (await client.ask(("x-kept", "2"), path="/", authority="x")).body == b"two"


class Swaps(Plugin[Any]):
    name = "p"
    swaps: ClassVar[list[Callable[[], object]]] = []

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> None:
        if self.swaps:
            self.swaps.pop()()


async def test_a_request_that_waits_for_its_turn_takes_the_new_route_after_a_reload(
    start_proxy: StartProxy, start_upstream: StartUpstream
) -> None:
    one = await start_upstream(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none")
    two = await start_upstream(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo")
    config = 'routes: [{{id: r, path_prefix: "/", target: "{}", plugins: [{{name: p}}]}}]'
    gateway = await start_proxy(config.format(one.url), [Swaps])
    new = await compile_config(config.format(two.url), gateway.environment, gateway.folder)
    async with http2(gateway) as client:
        await warm(client)
        Swaps.swaps.append(lambda: gateway.proxy.holder.swap(new))
        frames = [client.fields([]) for _ in range(3)]
        for frame in frames:
            frame.data = block(b"/second")

        await client.send(*frames)

        assert [(await client.response(frame.stream_id)).body for frame in frames] == [b"one", b"two", b"two"]


async def test_an_idle_connection_forgets_its_heads(proxied: Proxied) -> None:
    gateway, _ = await proxied(OK)
    async with http2(gateway) as client:
        await warm(client)
        (connection,) = gateway.proxy.connections.open
        remembered = [connection.remembers]

        connection.forget_heads()

        assert [*remembered, connection.remembers] == [True, False]
        assert (await send(client, block(b"/second"))).status == 200


async def test_a_block_that_is_cut_off_ends_the_connection(proxied: Proxied) -> None:
    gateway, _ = await proxied(OK)
    async with http2(gateway) as client:
        await warm(client)
        frame = client.fields([])
        frame.data = block(b"/second")[:6]
        await client.send(frame)
        await client.end()
    assert [code for _, code in client.goaways] == [9]


async def test_a_client_that_reduces_its_table_learns_that_it_is_empty(proxied: Proxied) -> None:
    """The first block behind the acknowledgement begins with a size (RFC 7541 section 4.2), also where it is small."""
    gateway, _ = await proxied(OK)
    async with http2(gateway, {1: 0}) as client:
        client.decoder.max_allowed_table_size = 0  # from here on it refuses a block that does not say so
        assert (await client.ask()).status == 200
        assert (await client.ask()).status == 200
    async with http2(gateway) as client:
        assert (await client.ask()).status == 200
        await client.send(raw(SETTINGS, 0, 0, struct.pack(">HIHI", 1, 100, 1, 65536)))
        await client.settle()
        client.decoder.max_allowed_table_size = 100
        assert (await client.ask(("te", "trailers"), path="/none")).status == 200
