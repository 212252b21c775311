"""A connection serves what comes the same however it is cut and whichever event loop runs, request after request."""

from __future__ import annotations

import array
import asyncio
import fcntl
import re
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest
import uvloop
from gateway_core.proxy.downstream.connection import ClientConnection
from gateway_core.proxy.wire.bodies import ChunkDecoder
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.core.proxy.kit import OwnLoop, Peer, RunningProxy, field, run_proxy

T = TypeVar("T")

CONFIG = """
limits: {{header_timeout: 700ms, body_timeout: 700ms, max_body_bytes: 100, max_head_bytes: 4KiB, max_headers: 20}}
upstreams:
  - {{name: u, endpoints: [{{url: "http://127.0.0.1:{port}"}}]}}
routes:
  - {{id: all, path_prefix: /, target: u}}
  - {{id: one, path: "/one/:x", methods: [GET], target: u, strip_path: true}}
"""
LAST = b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Respond to each request with the very bytes that came."""
    peer = Peer(reader, writer)
    try:
        while True:
            head = await peer.head()
            body = await peer.exactly(int(field(head, b"content-length") or b"0"))
            if field(head, b"transfer-encoding"):
                decoder = ChunkDecoder()  # where chunks begin is the sender's, and depends on how they came
                while not decoder.done:
                    body += decoder.feed(await reader.readuntil(b"\r\n"))
                body += decoder.trailer
            # White space around a value means nothing (RFC 9112 section 5.1).
            seen = re.sub(rb"(?m)^([^:\r\n ]+):[ \t]*(.*?)[ \t]*\r\n", rb"\1: \2\r\n", head) + body
            length = len(seen)
            seen = b"" if head.startswith(b"HEAD ") else seen
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (length, seen))
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
        pass
    finally:
        writer.close()


class Side:
    """A gateway with its upstream, on an event loop of its own."""

    def __init__(self, folder: Path, loop: asyncio.AbstractEventLoop) -> None:
        self._own = OwnLoop(loop)
        self.close = self._own.close
        self._gateway = self._own.run(self._start(folder))

    async def _start(self, folder: Path) -> RunningProxy:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        self._own.stack.callback(server.close)
        config = CONFIG.format(port=server.sockets[0].getsockname()[1])
        return await self._own.stack.enter_async_context(run_proxy(config, folder))

    def responses(self, stream: list[list[bytes]]) -> bytes:
        """Send requests, each in its parts; return what comes until the connection is closed."""
        return self._own.run(_responses(self._gateway, stream))


async def _responses(gateway: RunningProxy, stream: list[list[bytes]]) -> bytes:
    """Send one request after the other: what is refused ends the connection, and with it the requests before."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    received = b""
    try:
        accepted = await _accepted(gateway, writer)
        async with asyncio.timeout(20):
            for parts in stream:
                for part in parts:
                    if reader.at_eof() or writer.transport.is_closing():
                        break
                    writer.write(part)
                    while writer.transport.get_write_buffer_size() or _unread(accepted):  # noqa: ASYNC110 - no event
                        await asyncio.sleep(0)
                received += await reader.read(1 << 16)
            received += await reader.read()
    except ConnectionError:
        pass  # it was closed with bytes of ours unread
    finally:
        writer.transport.abort()
    received = re.sub(rb'(?i)(request[-_]id"?: "?)[0-9a-f]{32}', rb"\1ID", received)
    received = re.sub(rb"\r\nDate: [^\r]+", b"\r\nDate: NOW", received)
    return re.sub(rb"(X-Forwarded-Port: |Host: 127\.0\.0\.1:)\d+", rb"\1PORT", received)


async def _accepted(gateway: RunningProxy, writer: asyncio.StreamWriter) -> ClientConnection:
    """Return the gateway's end of a connection."""
    port = writer.get_extra_info("sockname")[1]
    async with asyncio.timeout(30):
        while True:
            for connection in gateway.proxy.connections.open:
                if isinstance(connection, ClientConnection) and connection.client.port == port:
                    return connection
            await asyncio.sleep(0)


def _unread(connection: ClientConnection) -> int:
    """Return how many bytes have arrived that the gateway has not read; 0 once it has closed the connection."""
    transport = connection._transport
    if transport.is_closing():
        return 0
    count = array.array("i", [0])
    fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.FIONREAD, count)
    return count[0]


def cut(data: bytes, places: list[int]) -> list[bytes]:
    bounds = sorted({place % (len(data) + 1) for place in places})
    parts = [data[start:end] for start, end in zip([0, *bounds], [*bounds, len(data)], strict=True)]
    return [part for part in parts if part]


@pytest.fixture(scope="module")
def asyncio_side(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Side]:
    side = Side(tmp_path_factory.mktemp("asyncio"), asyncio.new_event_loop())
    yield side
    side.close()


@pytest.fixture(scope="module")
def uvloop_side(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Side]:
    side = Side(tmp_path_factory.mktemp("uvloop"), uvloop.new_event_loop())
    yield side
    side.close()


FIELDS = st.sampled_from([
    b"Accept: */*", b"X-A: 1", b"x-a:2", b"X-A:   padded \t", b"Cookie: a=b; c=d", b"TE: trailers", b"Via: 1.0 x",
    b"Connection: keep-alive", b"Connection: X-A", b"Connection: close", b"Connection: Upgrade", b"Upgrade: h2c",
    b"X-Forwarded-For: 1.2.3.4", b"X-Request-Id: abc", b"Forwarded: for=1", b"Keep-Alive: 5", b"Expect: nothing",
    b"A : b", b" folded", b"no-colon", b": no-name", b"Bad(name): x", b"Nul: \0", b"High: \xff", b"Ctl: \x01",
    b"Host: y", b"Content-Length: 0", b"Content-Length: x", b"Transfer-Encoding: gzip", b"Lf: a\nb", b"Cr: a\rb",
])  # fmt: skip
METHODS = st.sampled_from([b"GET", b"GET", b"GET", b"POST", b"HEAD", b"PUT", b"OPTIONS", b"M-SEARCH", b"get", b"G(T"])
TARGETS = st.sampled_from([
    b"/", b"/a?b=c", b"/one/1", b"/one/%41%2F", b"/%2e%2e/a", b"/a//b", b"/a/../b", b"/a\\b", b"/a b", b"/\xff",
    b"/a?", b"/%zz", b"/%00", b"http://y/a", b"*", b"a", b'/"<>', b"/{}|^`", b"/a#b", b"/?a/../b", b"//a",
])  # fmt: skip
VERSIONS = st.sampled_from([b"HTTP/1.1"] * 8 + [b"HTTP/1.0", b"HTTP/1.2", b"http/1.1", b"HTTP/2.0"])
BODIES = st.sampled_from([
    (b"", b""), (b"", b""), (b"", b""), (b"Content-Length: 5\r\n", b"hello"), (b"Content-Length: 0\r\n", b""),
    (b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n0\r\n\r\n"),
    (b"Transfer-Encoding: chunked\r\n", b"3;x=y\r\nabc\r\n0\r\nT: 1\r\n\r\n"),
    (b"Transfer-Encoding: chunked\r\n", b"0x3\r\nabc\r\n0\r\n\r\n"),
    (b"Content-Length: 200\r\n", b"z" * 200),
    (b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
])  # fmt: skip


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    framing, body = draw(BODIES)
    fields = draw(st.lists(FIELDS, max_size=3))
    host = draw(st.sampled_from([b"Host: x\r\n"] * 8 + [b"", b"Host: a/b\r\n", b"host:x:80\r\n"]))
    head = b"%b %b %b\r\n" % (draw(METHODS), draw(TARGETS), draw(VERSIONS))
    return head + host + b"".join(line + b"\r\n" for line in fields) + framing + b"\r\n" + body


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(stream=st.lists(st.tuples(requests(), st.lists(st.integers(0, 500), max_size=3)), min_size=1, max_size=3))
def test_it_makes_no_difference_how_requests_are_cut_and_which_loop_runs(
    asyncio_side: Side, uvloop_side: Side, stream: list[tuple[bytes, list[int]]]
) -> None:
    whole = asyncio_side.responses([*([data] for data, _ in stream), [LAST]])
    parts = uvloop_side.responses([*(cut(data, places) for data, places in stream), [LAST]])

    assert whole == parts


def test_a_request_may_be_cut_anywhere(asyncio_side: Side) -> None:
    data = b"POST /one/1?x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nA: b\r\n\r\nhello" + LAST

    whole = asyncio_side.responses([[data]])

    assert whole.count(b"HTTP/1.1 200 OK") == 2
    for place in range(1, len(data)):
        assert asyncio_side.responses([[data[:place], data[place:]]]) == whole
