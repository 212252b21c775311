"""How long requests take at a constant rate: p50 and p99 at half of the maximum, beside nginx.

    python benchmarks/latency.py [--contestants gateway,nginx] [--envoy PATH] [--slow] [--seconds 8] [--connections 64]

wrk sends as fast as it is answered, so a server that stalls is asked less and its waits are not seen. Here h2load finds
the maximum of each contestant, and then requests are sent at half of the lowest one on a schedule that does not wait:
each connection has its own times, and what counts is from the time when a request was due (in Python on uvloop, on
CPU 1; its own delays are in the figures of all contestants alike). `--slow` has an upstream that takes 20 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import uvloop
from contestants import (  # type: ignore[import-not-found]  # a neighbour, as scripts import it
    BODY,
    Bench,
    command_of,
    find_envoy,
    free_port,
    nginx_upstream,
    running,
)

REQUEST = b"GET /api/users/123 HTTP/1.1\r\nHost: localhost\r\n\r\n"
TAKES = 0.02
WARM_UP = 1.0


class Client(asyncio.Protocol):
    """One connection that sends on a schedule and notes how long each response took since it was due."""

    def __init__(self, period: float, first: float, end: float, waits: list[float]) -> None:
        self.period, self.due, self.end, self.waits = period, first, end, waits
        self.loop = asyncio.get_running_loop()
        self.pending: list[float] = []
        self.left = 0
        self.begin = first + WARM_UP

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        self.loop.call_at(self.due, self.send)

    def send(self) -> None:
        now = self.loop.time()
        while self.due <= now:
            self.pending.append(self.due)
            if len(self.pending) == 1:
                self.transport.write(REQUEST)
            self.due += self.period
        if self.due < self.end:
            self.loop.call_at(self.due, self.send)

    def data_received(self, data: bytes) -> None:
        # Responses are alike, and one is awaited before the next request is written.
        if not self.left:
            head = data.partition(b"\r\n\r\n")[0]
            self.left = len(head) + 4 + len(BODY)
        self.left -= len(data)
        if self.left <= 0:
            self.left = 0
            due = self.pending.pop(0)
            if due >= self.begin:
                self.waits.append(self.loop.time() - due)
            if self.pending:
                self.transport.write(REQUEST)


async def at_rate(port: int, rate: float, connections: int, seconds: float) -> list[float]:
    """Send at a rate; return how long each response took."""
    os.sched_setaffinity(0, {1})
    loop, waits = asyncio.get_running_loop(), list[float]()
    start, period = loop.time() + 0.1, connections / rate
    for number in range(connections):
        first = start + period * number / connections
        client = Client(period, first, start + seconds, waits)
        await loop.create_connection(lambda client=client: client, "127.0.0.1", port)  # type: ignore[misc]
    await asyncio.sleep(start + seconds + 1 - loop.time())
    return sorted(waits)


class Slow(asyncio.Protocol):
    """An upstream that takes its time."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:  # noqa: ARG002 - one request at a time
        response = b"HTTP/1.1 200 OK\r\nContent-Length: 1024\r\n\r\n" + BODY.encode()
        asyncio.get_running_loop().call_later(TAKES, self.transport.write, response)


async def serve_slowly(port: int) -> None:
    """Be the upstream that takes its time."""
    server = await asyncio.get_running_loop().create_server(Slow, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


def maximum(port: int, connections: int) -> float:
    """Return the requests a second that h2load gets."""
    command = [
        "taskset",
        "-c",
        "1",
        "h2load",
        "--h1",
        f"-c{connections}",
        "-D4",
        f"http://127.0.0.1:{port}/api/users/123",
    ]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"([\d.]+) req/s", out)
    assert found is not None
    return float(found[1])


def main() -> None:
    """Measure and print."""
    if sys.argv[1:2] == ["--serve-slowly"]:
        uvloop.run(serve_slowly(int(sys.argv[2])))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contestants", default="")
    parser.add_argument("--envoy", default="")
    parser.add_argument("--slow", action="store_true")
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--connections", type=int, default=64)
    arguments = parser.parse_args()
    connections = arguments.connections * 8 if arguments.slow else arguments.connections
    print(f"{sys.executable} {sys.version.split()[0]}, {connections} connections")
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)
        if arguments.slow:
            upstream = free_port()
            command = [sys.executable, __file__, "--serve-slowly", str(upstream)]
            stack.enter_context(running(command, upstream, cpu=1))
        else:
            upstream = stack.enter_context(nginx_upstream(folder))
        bench = Bench(folder, upstream, find_envoy(arguments.envoy))
        chosen = arguments.contestants.split(",") if arguments.contestants else ["gateway", *bench.names()]
        started = {}
        for each in chosen:
            port = started[each] = free_port()
            stack.enter_context(running(command_of(bench, each, port, tls=False), port))
        most = {each: maximum(port, connections) for each, port in started.items()}
        rate = min(most.values()) / 2
        print("  maxima", {each: round(found) for each, found in most.items()}, f"-> {rate:.0f} a second")
        for each, port in started.items():
            waits = uvloop.run(at_rate(port, rate, connections, arguments.seconds))
            p50, p99 = (waits[int(len(waits) * part)] * 1e3 for part in (0.5, 0.99))
            print(f"  {each:9} p50 {p50:7.2f} ms  p99 {p99:7.2f} ms  ({len(waits)} responses)")


if __name__ == "__main__":
    main()
