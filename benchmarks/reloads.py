"""What reloads cost the requests beside them: failures, latency, and what grows.

    python benchmarks/reloads.py                              # 1,000 edits under mixed traffic, 1 worker
    python benchmarks/reloads.py --workers 2 --edits 300
    python benchmarks/reloads.py --routes 10000 --edits 20    # p99 beside reloads of many routes

Traffic is mixed: kept and new connections, GET and POST with a chunked body, responses of the gateway itself, a route
with a rate limit, and a route that each edit changes. Each edit puts a new file in the place of the old one and is
waited for until a request shows that it is in force. Every request counts: a failure is whatever is not the expected
status, or breaks off, or does not connect. Latency is that of a client of its own, which asks every 5 ms, between edits
and beside them. Memory and descriptors are those of the serving processes (and, with several, of the supervisor), after
the first tenth and at the end. Exit status 1 if a request failed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

PATIENCE = 60.0
BODY = b"x" * 1024
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class UpstreamServer(asyncio.Protocol):
    """Responds to each request, of which it waits for the end of a chunked body."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._left = b""

    def data_received(self, data: bytes) -> None:
        self._left += data
        while (end := self._left.find(b"\r\n\r\n")) >= 0:
            head, rest = self._left[:end].lower(), self._left[end + 4 :]
            if b"transfer-encoding: chunked" in head:
                if b"0\r\n\r\n" not in rest:
                    return
                rest = rest.partition(b"0\r\n\r\n")[2]
            self._left = rest
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY))


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of request."""

    name: str
    head: bytes
    status: bytes = b"200"
    body: bytes = b""
    is_kept: bool = True


KINDS = (
    Kind("get", b"GET /plain?q=1 HTTP/1.1\r\nHost: test\r\nCookie: a=b\r\n\r\n"),
    Kind("new connection", b"GET /plain HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n", is_kept=False),
    Kind(
        "post",
        b"POST /plain HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n",
        body=b"5\r\nhello\r\n0\r\n\r\n",
    ),
    Kind("redirect", b"GET /away HTTP/1.1\r\nHost: test\r\n\r\n", status=b"308"),
    Kind("limited", b"GET /limited HTTP/1.1\r\nHost: test\r\n\r\n"),
    Kind("edited", b"GET /edited HTTP/1.1\r\nHost: test\r\n\r\n", status=b"308"),
)


def configuration(number: int, workers: int, upstream: int, routes: int) -> str:
    """Return one whose route ``edited`` shows the number; the others come and go or stay."""
    more = "".join(
        f"  - {{id: r{each}, path: /r/{each}/:id, methods: [GET], target: u}}\n"
        for each in range(number, number + routes)
    )
    return (
        f"listen: 127.0.0.1:0\nworkers: {workers}\n"
        f"upstreams:\n  - {{name: u, endpoints: [{{url: 'http://127.0.0.1:{upstream}'}}]}}\n"
        "routes:\n"
        "  - {id: plain, path_prefix: /plain, target: u}\n"
        "  - {id: away, path: /away, redirect: {path: /there}}\n"
        "  - {id: limited, path: /limited, target: u, "
        "plugins: [{name: ratelimit, config: {rate: 1000000, key: client_ip}}]}\n"
        f"  - {{id: edited, path: /edited, redirect: {{path: /is/{number}}}}}\n{more}"
    )


@dataclass(slots=True)
class Load:
    """Clients that never rest, and what became of their requests."""

    port: int
    is_over: bool = False
    responses: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)

    async def run(self, kind: Kind) -> None:
        """Send requests of one kind until it is over."""
        while not self.is_over:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError as error:
                self.failures[f"{kind.name}: no connection ({error.strerror})"] += 1
                continue
            with contextlib.closing(writer.transport):
                await self._use(kind, reader, writer)

    async def _use(self, kind: Kind, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not self.is_over:
            try:
                status, head = await ask(kind, reader, writer)
            except (asyncio.IncompleteReadError, OSError) as error:
                self.failures[f"{kind.name}: {type(error).__name__}"] += 1
                return
            self.responses[kind.name] += 1
            if status != kind.status:
                self.failures[f"{kind.name}: {status.decode()}"] += 1
            await asyncio.sleep(0.005)
            if not kind.is_kept or b"connection: close" in head.lower():
                return


async def ask(kind: Kind, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[bytes, bytes]:
    """Send one request and return the status and the head of its response."""
    writer.write(kind.head + kind.body)
    head = await reader.readuntil(b"\r\n\r\n")
    length = LENGTH.search(head)
    await reader.readexactly(int(length[1]) if length else 0)
    return head[9:12], head


class Prober:
    """Asks every 5 ms, and notes how long each response took while an edit was made, and while none was."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.is_reloading = False
        self.is_over = False
        self.waits: dict[bool, list[float]] = {False: [], True: []}

    async def run(self) -> None:
        """Ask until it is over."""
        while not self.is_over:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            with contextlib.closing(writer.transport), contextlib.suppress(asyncio.IncompleteReadError, OSError):
                while not self.is_over:
                    began, was_reloading = time.perf_counter(), self.is_reloading
                    _, head = await ask(KINDS[0], reader, writer)
                    self.waits[was_reloading or self.is_reloading].append(time.perf_counter() - began)
                    await asyncio.sleep(0.005)
                    if b"connection: close" in head.lower():
                        break

    def p99(self, *, is_reloading: bool) -> float:
        """Return the 99th percentile in milliseconds."""
        return statistics.quantiles(self.waits[is_reloading] or [0.0, 0.0], n=100)[98] * 1000


async def in_force(port: int, number: int) -> None:
    """Wait until the configuration of a number serves on some connection."""
    wanted = f"/is/{number}".encode()
    async with asyncio.timeout(PATIENCE):
        while True:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            with contextlib.closing(writer.transport):
                _, head = await ask(KINDS[-1], reader, writer)
            if wanted + b"\r\n" in head:
                return
            await asyncio.sleep(0.01)


def processes(root: int) -> list[int]:
    """Return a process and its children that stay: those that have no child's argument ``check``."""
    found = [root]
    for name in Path("/proc").iterdir():
        if name.name.isdigit():
            with contextlib.suppress(OSError):
                parent = int((name / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == root and b"check" not in (name / "cmdline").read_bytes():
                    found.append(int(name.name))
    return sorted(found)


def usage(root: int) -> tuple[float, int]:
    """Return memory in MiB and open descriptors of the processes that stay."""
    memory, descriptors = 0.0, 0
    for pid in processes(root):
        with contextlib.suppress(OSError):
            memory += (
                int((Path("/proc") / str(pid) / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
            )
            descriptors += len(list((Path("/proc") / str(pid) / "fd").iterdir()))
    return memory, descriptors


async def measure(options: argparse.Namespace, folder: Path) -> int:
    """Run it and print the figures; return the exit status."""
    loop = asyncio.get_running_loop()
    upstream = await loop.create_server(UpstreamServer, "127.0.0.1", 0)
    upstream_port = upstream.sockets[0].getsockname()[1]
    file, log = folder / "gateway.yaml", folder / "log"
    file.write_text(configuration(0, options.workers, upstream_port, options.routes))
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: ASYNC220  # it is to run beside this
            [sys.executable, "-m", "gateway_core.cli", "run", "-c", str(file)], stderr=output
        )
    try:
        port = await asyncio.to_thread(listening, log)
        load, prober = Load(port), Prober(port)
        async with asyncio.TaskGroup() as group:
            for kind in KINDS:
                group.create_task(load.run(kind))
            group.create_task(prober.run())
            await asyncio.sleep(2)
            began, early = time.perf_counter(), usage(process.pid)
            durations: list[float] = []
            for number in range(1, options.edits + 1):
                if number == max(options.edits // 10, 2):
                    early = usage(process.pid)
                started, prober.is_reloading = time.perf_counter(), True
                new = file.with_suffix(".new")
                new.write_text(configuration(number, options.workers, upstream_port, options.routes))
                new.rename(file)
                await in_force(port, number)
                durations.append(time.perf_counter() - started)
                await asyncio.sleep(options.pause)
                prober.is_reloading = False
                await asyncio.sleep(options.rest)
            late = usage(process.pid)
            load.is_over = prober.is_over = True
        took = time.perf_counter() - began
        print(f"{options.edits} edits in {took:.0f} s, in force after {statistics.median(durations):.2f} s (median)")
        print(f"requests: {sum(load.responses.values())} {dict(load.responses)}")
        print(f"failures: {sum(load.failures.values())} {dict(load.failures)}")
        calm, beside = prober.p99(is_reloading=False), prober.p99(is_reloading=True)
        print(f"p99: {calm:.1f} ms between edits, {beside:.1f} ms beside them")
        print(f"memory: {early[0]:.1f} -> {late[0]:.1f} MiB; descriptors: {early[1]} -> {late[1]}")
        return 1 if load.failures else 0
    finally:
        process.terminate()
        process.wait(PATIENCE)
        upstream.close()


def listening(log: Path) -> int:
    """Wait for the port."""
    end = time.monotonic() + PATIENCE
    while (found := re.search(r"listening on http://127.0.0.1:(\d+)", log.read_text())) is None:
        if time.monotonic() > end:
            raise TimeoutError(log.read_text())
        time.sleep(0.05)
    return int(found[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edits", type=int, default=1000)
    parser.add_argument("--routes", type=int, default=20, help="routes beside those of the traffic")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--pause", type=float, default=0.02, help="seconds after an edit that count as beside it")
    parser.add_argument("--rest", type=float, default=0.05, help="seconds between edits")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        raise SystemExit(asyncio.run(measure(options, Path(folder))))


if __name__ == "__main__":
    main()
