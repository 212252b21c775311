"""What one request costs in our own code: both heads, the pipeline and the relay, without sockets or an event loop.

    python benchmarks/pipeline.py            # microseconds per request, best of several runs
    python benchmarks/pipeline.py --profile  # where they go

Compare figures of one run only; for whole-system figures see README.md beside this file.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import os
import pstats
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from gateway_core.clock import SystemClock
from gateway_core.leases import Leases
from gateway_core.metrics import Metrics
from gateway_core.plugins import PluginRegistry
from gateway_core.proxy import Proxy
from gateway_core.proxy.upstream_connection import UpstreamConnection
from gateway_core.snapshot import Environment, SnapshotHolder, compile_snapshot, load
from gateway_core.upstreams.runtime import UpstreamRuntime

CONFIG = """
upstreams:
  - {name: u, endpoints: [{url: "http://127.0.0.1:9001"}]}
routes:
  - {id: api, path: "/api/users/:id", target: u}
"""
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


class Wire(asyncio.Transport):
    """A transport that goes nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.written = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += len(data)

    def is_closing(self) -> bool:
        return False

    def get_extra_info(self, name: str, default: object = None) -> object:
        return ("127.0.0.1", 40000) if name in {"peername", "sockname"} else default


async def prepare(text: str = CONFIG) -> Proxy:
    clock, metrics = SystemClock(), Metrics()
    environment = Environment(PluginRegistry(), Leases(), UpstreamRuntime(clock), clock, metrics)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gateway.yaml"
        path.write_text(text)
        loaded = load([path], registry=environment.registry, environ=os.environ)
    holder = SnapshotHolder()
    holder.swap((await compile_snapshot(loaded, environment)).snapshot)
    return Proxy(holder, clock=clock, metrics=metrics)


def round_trip(proxy: Proxy, request: bytes, answer: bytes) -> Callable[[], None]:
    """Return a function that takes one request through the proxy."""
    upstream = proxy.holder.current.upstreams["u"]
    endpoint = upstream.endpoints[0]
    pool = proxy.make_pool(endpoint, upstream)
    connection = UpstreamConnection(pool)
    connection.connection_made(Wire())
    pool.give_back(connection)
    lane = proxy.server_for(proxy.holder.current.config.listen[0])()
    lane.connection_made(Wire())

    def run() -> None:
        lane.data_received(request)
        connection.data_received(answer)

    return run


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
    arguments = parser.parse_args()
    cases = {
        "plain": (PLAIN, ANSWER),
        "headers": (HEADERS, ANSWER),
        "post": (POST, ANSWER),
        "chunked": (PLAIN, CHUNKED),
    }
    for name, (request, answer) in cases.items():
        run = round_trip(await prepare(), request, answer)
        if arguments.profile:
            profile = cProfile.Profile()
            profile.enable()
            for _ in range(20000):
                run()
            profile.disable()
            print(name)
            pstats.Stats(profile).sort_stats("tottime").print_stats(70)
            return
        print(f"{name:8s} {measure(run):6.2f} us")


if __name__ == "__main__":
    asyncio.run(main())
