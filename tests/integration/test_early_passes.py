"""What plugins say of a request by its head alone is what their hooks do: the same traffic with and without hooks.

A binding with a timeout has its hooks called, whatever its plugin says.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.core.proxy.kit import RunningProxy, run_proxy

APP = "https://app.example.com"
BINDINGS = [
    f"{{name: cors, config: {{origins: ['{APP}'], credentials: true, expose: [X-Total]}}}}",
    "{name: cors, id: any, config: {origins: ['*']}}",
    "{name: headers, config: {request: {set: {X-Api: v2}, remove: [x-debug]}, security: true}}",
    "{name: headers, id: added, config: {request: {add: {X-Api: v2}, default: {X-Debug: a}}, response: {set: {X: a}}}}",
    "{name: headers, id: renamed, config: {request: {rename: {X-Debug: X-Traced}}, hide_server: true}}",
    "{name: headers, id: filled, config: {request: {set: {X-Method: '{method}'}}, security: true}}",
    "{name: ip, config: {deny: [192.0.2.0/24]}}",
    "{name: compress, config: {types: [text/html], min_size: 1}}",
    "{name: compress, id: both, config: {types: [text/html], min_size: 1, requests: {max_size: 1KiB}}}",
]
DENYING = "{name: ip, config: {deny: [127.0.0.0/8]}}"
REQUESTS = [
    b"GET / HTTP/1.1\r\n",
    b"GET / HTTP/1.1\r\nOrigin: https://app.example.com\r\n",
    b"GET / HTTP/1.1\r\nOrigin: https://evil.test\r\n",
    b"GET / HTTP/1.1\r\nOrigin: https://app.example.com\r\norigin: https://app.example.com\r\n",
    b"GET / HTTP/1.1\r\nOrigin: https://app.example.com\r\nConnection: origin\r\n",
    b"HEAD / HTTP/1.1\r\nOrigin: https://app.example.com\r\n",
    b"OPTIONS / HTTP/1.1\r\nOrigin: https://app.example.com\r\n",
    b"OPTIONS / HTTP/1.1\r\nOrigin: https://app.example.com\r\nAccess-Control-Request-Method: GET\r\n",
    b"GET / HTTP/1.1\r\nX-Debug: 1\r\n",
    b"GET / HTTP/1.1\r\nx_debug: 1\r\nX-Api: mine\r\n",
    b"GET / HTTP/1.1\r\nAccept-Encoding: gzip\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Encoding: unknown\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 3\r\n",
]
RESPONSES = [
    b'Content-Type: text/html\r\nVary: Accept\r\nETag: "a"\r\n',
    b"Content-Type: text/plain\r\nAccess-Control-Allow-Origin: *\r\nX-Frame-Options: DENY\r\nServer: s\r\n",
    b"Content-Type: text/html\r\nCache-Control: no-transform\r\n",
]
CHANGING = re.compile(rb"\r\n(?:Date|X-Request-Id): [^\r]*")

REQUEST_ID = re.compile(rb"[0-9a-f]{32}")


def comparable(head: bytes) -> list[bytes]:
    """Return the lines of a head, ordered by their names, without what is of one request only."""
    first, *lines = CHANGING.sub(b"", head).removesuffix(b"\r\n\r\n").split(b"\r\n")
    return [first.replace(b"/hooked", b"/early"), *sorted(lines, key=lambda line: line.partition(b":")[0].lower())]


class Upstream:
    """Responds to requests with one response after the other, and keeps their heads."""

    def __init__(self) -> None:
        self.heads: list[list[bytes]] = []
        self.fields = b""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(comparable(head))
            if head.startswith(b"POST"):
                await reader.readexactly(3)
            body = b"" if head.startswith(b"HEAD") else b"x" * 100
            writer.write(
                b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 100\r\n" + self.fields + b"\r\n" + body
            )
            await writer.drain()
        finally:
            writer.close()


async def exchanged(gateway: RunningProxy, start: bytes) -> tuple[list[bytes], bytes]:
    """Return what a client gets."""
    client = await gateway.connect()
    close = b"" if b"Connection" in start else b"Connection: close\r\n"
    await client.send(start + b"Host: x\r\n" + close + b"\r\n" + (b"abc" if start.startswith(b"POST") else b""))
    head = await client.head()
    length = re.search(rb"\r\nContent-Length: ([0-9]+)", head)
    body = b"" if start.startswith(b"HEAD") else await client.exactly(int(length[1])) if length else await client.rest()
    client.close()
    return comparable(head), REQUEST_ID.sub(b"", body)


async def outcomes(gateway: RunningProxy, upstream: Upstream, path: bytes) -> list[tuple[object, ...]]:
    """Return what clients and upstream get, of each request twice: what was seen before may go another way."""
    found: list[tuple[object, ...]] = []
    for upstream.fields in RESPONSES:
        for start in REQUESTS:
            for _ in range(2):
                upstream.heads.clear()
                received = await exchanged(gateway, start.replace(b" / ", b" " + path + b" "))
                found.append((start, upstream.fields, *received, upstream.heads.copy()))
    return found


def with_hooks(bindings: Sequence[str]) -> list[str]:
    return [f"{each[:-1]}, timeout: 60s}}" for each in bindings]


@pytest.mark.parametrize("bindings", [*([each] for each in BINDINGS), [DENYING], BINDINGS[::-1], BINDINGS[1:3]])
async def test_what_plugins_say_of_a_head_is_what_their_hooks_do(tmp_path: Path, bindings: list[str]) -> None:
    upstream = Upstream()
    server = await asyncio.start_server(upstream, "127.0.0.1", 0)
    config = f"""
upstreams: [{{name: u, endpoints: [{{url: "http://127.0.0.1:{server.sockets[0].getsockname()[1]}"}}]}}]
routes:
  - {{id: early, path: /early, target: u, plugins: [{", ".join(bindings)}]}}
  - {{id: hooked, path: /hooked, target: u, plugins: [{", ".join(with_hooks(bindings))}]}}
"""
    async with server, run_proxy(config, tmp_path) as gateway:
        assert gateway.proxy.holder.current.routes["hooked"].early is None

        early = await outcomes(gateway, upstream, b"/early")

        assert early == await outcomes(gateway, upstream, b"/hooked")
