"""What one request costs in our own code: both heads, the pipeline and the relay, without sockets or an event loop.

    python benchmarks/pipeline.py                    # microseconds per request, best of several runs
    python benchmarks/pipeline.py --profile varied   # where they go

The first four cases repeat one request, whose head is remembered. Clients do not repeat theirs: in the others no head
and no target comes twice. `close` makes a connection for each request, and ends it. Compare figures of one run only;
for whole-system figures see README.md beside this file.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import os
import pstats
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

from gateway_core.clock import SystemClock
from gateway_core.hooks import Plugin, PluginServices
from gateway_core.leases import Leases
from gateway_core.metrics import Metrics
from gateway_core.packages import PluginRegistry
from gateway_core.proxy import Proxy
from gateway_core.proxy.upstream.connection import UpstreamConnection
from gateway_core.snapshot import Environment, SnapshotHolder, compile_snapshot, load
from gateway_core.upstreams.runtime import UpstreamRuntime

CONFIG = """
upstreams:
  - {name: u, endpoints: [{url: "http://127.0.0.1:9001"}]}
routes:
  - {id: api, path: "/api/users/:id", target: u}
"""
TRUSTING = "trusted_proxies: [127.0.0.0/8]\n" + CONFIG
ANSWER = (
    b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Sun, 22 Nov 2026 23:43:29 GMT\r\nContent-Type: text/plain\r\n"
    b"Content-Length: 1024\r\nConnection: keep-alive\r\n\r\n" + b"x" * 1024
)
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"400\r\n" + b"x" * 1024 + b"\r\n0\r\n\r\n"
)
PLAIN = b"GET /api/users/123 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n"
FIELDS = b"".join(b"X-Custom-Header-%d: some-value-%d-abcdefghijklmnop\r\n" % (n, n) for n in range(25))
HEADERS = PLAIN[:-2] + FIELDS + b"\r\n"
POST = PLAIN.replace(b"GET", b"POST")[:-2] + b"Content-Length: 1024\r\n\r\n" + b"y" * 1024

# Requests of each case that do not repeat; so many that none is remembered by the time it comes again.
DIFFERENT = 5000
BROWSER = (
    b"GET /api/users/%d?page=%d HTTP/1.1\r\nHost: shop.example.com\r\n"
    b"User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/131.0.0.0 Safari/537.36\r\n"
    b"Accept: application/json, text/plain, */*\r\nAccept-Language: en-US,en;q=0.9\r\n"
    b"Accept-Encoding: gzip, deflate, br, zstd\r\nReferer: https://shop.example.com/category/%d?page=2\r\n"
    b"Authorization: Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJ1c2VyLTEifQ.%040x\r\n"
    b"Cookie: sid=%032x; _ga=GA1.2.1234567890.1700000000; csrftoken=0a1b2c3d4e5f60718293a4b5c6d7e8f9; consent=all\r\n"
    b"traceparent: 00-%032x-00f067aa0ba902b7-01\r\nCache-Control: no-cache\r\n"
    b"Sec-Fetch-Dest: empty\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Site: same-origin\r\n"
    b'sec-ch-ua: "Chromium";v="131", "Not.A/Brand";v="24"\r\nsec-ch-ua-mobile: ?0\r\nsec-ch-ua-platform: "Windows"\r\n'
    b"\r\n"
)


def varied(number: int) -> bytes:
    head = b"GET /api/users/%d HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nAccept: */*\r\nX-Client-Id: %016x\r\n\r\n"
    return head % (number, number)


def browser(number: int) -> bytes:
    return BROWSER % ((number,) * 6)


def closing(number: int) -> bytes:
    return varied(number)[:-2] + b"Connection: close\r\n\r\n"


def posted(number: int) -> bytes:
    body = b'{"number": %d, "text": "%s"}' % (number, b"y" * 200)
    more = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    return varied(number).replace(b"GET", b"POST")[:-2] + more + body


def proxied(number: int) -> bytes:
    return varied(number)[:-2] + b"X-Forwarded-For: 203.0.113.%d\r\nX-Forwarded-Proto: https\r\n\r\n" % (number % 256)


def forged(number: int) -> bytes:
    return varied(number)[:-2] + b"X-Forwarded-For: 203.0.113.%d\r\nX-Real-IP: 10.0.0.1\r\n\r\n" % (number % 256)


class Wire(asyncio.Transport):
    """A transport that goes nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.written = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += len(data)

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Do nothing: nothing is kept."""

    def abort(self) -> None:
        """Do nothing: there is no connection."""

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        pass

    def close(self) -> None:
        pass

    def get_extra_info(self, name: str, default: object = None) -> object:
        return ("127.0.0.1", 40000) if name in {"peername", "sockname"} else default


async def prepare(text: str = CONFIG, plugins: Sequence[type[Plugin[Any]]] = ()) -> Proxy:
    clock, metrics, registry = SystemClock(), Metrics(), PluginRegistry()
    for plugin in plugins:
        registry.register(plugin)
    holder = SnapshotHolder()
    proxy = Proxy(holder, clock=clock, metrics=metrics)
    services = PluginServices(fetch=proxy.fetches.open)
    environment = Environment(registry, Leases(), UpstreamRuntime(clock), clock, metrics, services=services)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gateway.yaml"
        path.write_text(text)
        loaded = load([path], registry=environment.registry, environ=os.environ)
    holder.swap((await compile_snapshot(loaded, environment)).snapshot)
    return proxy


def round_trip(proxy: Proxy, requests: Sequence[bytes], answer: bytes) -> Callable[[], None]:
    """Return a function that takes the next of some requests through the proxy."""
    upstream = proxy.holder.current.upstreams["u"]
    endpoint = upstream.endpoints[0]
    pool = proxy.upstreams.pool_for(endpoint, upstream)
    connection = UpstreamConnection(pool)
    connection.connection_made(Wire())
    pool.give_back(connection)
    server = proxy.server_for(proxy.holder.current.config.listen[0].address)
    client = server()
    client.connection_made(Wire())
    following = cycle(requests).__next__

    def connect_and_run() -> None:
        client = server()
        client.connection_made(Wire())
        client.data_received(following())
        connection.data_received(answer)
        client.connection_lost(None)

    def run() -> None:
        client.data_received(following())
        connection.data_received(answer)

    return connect_and_run if b"Connection: close" in requests[0] else run


def measure(run: Callable[[], None], count: int = 5000, rounds: int = 9) -> float:
    best = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        for _ in range(count):
            run()
        best = min(best, (time.process_time() - start) / count)
    return best * 1e6


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("cases", nargs="*", help="names of cases; default: all")
    arguments = parser.parse_args()
    cases: dict[str, tuple[str, Sequence[bytes], bytes]] = {
        "plain": (CONFIG, [PLAIN], ANSWER),
        "headers": (CONFIG, [HEADERS], ANSWER),
        "post": (CONFIG, [POST], ANSWER),
        "chunked": (CONFIG, [PLAIN], CHUNKED),
        "varied": (CONFIG, [varied(number) for number in range(DIFFERENT)], ANSWER),
        "close": (CONFIG, [closing(number) for number in range(DIFFERENT)], ANSWER),
        "browser": (CONFIG, [browser(number) for number in range(DIFFERENT)], ANSWER),
        "proxied": (TRUSTING, [proxied(number) for number in range(DIFFERENT)], ANSWER),
        "posted": (CONFIG, [posted(number) for number in range(DIFFERENT)], ANSWER),
        "forged": (CONFIG, [forged(number) for number in range(DIFFERENT)], ANSWER),
    }
    for name in arguments.cases or cases:
        config, requests, answer = cases[name]
        run = round_trip(await prepare(config), requests, answer)
        if arguments.profile:
            profile = cProfile.Profile()
            profile.enable()
            for _ in range(20000):
                run()
            profile.disable()
            print(name)
            pstats.Stats(profile).sort_stats("tottime").print_stats(70)
        else:
            print(f"{name:8s} {measure(run):6.2f} us")


if __name__ == "__main__":
    asyncio.run(main())
