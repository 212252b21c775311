"""How long one client waits beside floods of pipelined requests, slow readers and silent connections.

    python benchmarks/fairness.py                                      # every case, the gateway and installed peers
    python benchmarks/fairness.py --cases 404,429 --connections 1,200 --schemes plain --gates gateway --seconds 4

In each case one client sends a request every 10 ms (or after the response to the last one) and the longest of its
waits is the figure, while other connections send 4 MB of pipelined requests each, do not read, or say nothing. `idle`
is the wait when nothing else happens. The gateway or peer has CPU 0 for itself if there are several.
Exit status 1 if the gateway's worst wait is 100 ms or more in a case.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import multiprocessing
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from fairness_gates import (  # type: ignore[import-not-found]  # a neighbour, as scripts import it
    Ports,
    command_of,
    installed,
    make_certificate,
)

FLOODS = ["404", "401", "429", "405", "redirect", "plugin", "proxied"]
OTHERS = ["idle", "slow-readers", "silent-tls", "many-idle"]
FLOOD_BYTES = 4 * 2**20
BIG = 100_000_000
LIMIT = 0.1
LONGEST = 20.0
"""Seconds after which a wait counts as that long, and its case ends."""
LOADS = multiprocessing.get_context("fork")
Load = multiprocessing.process.BaseProcess | None


def free_ports() -> Ports:
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(4)]
        return Ports(*[each.getsockname()[1] for each in found])


# -- what runs beside the prober, each in a process of its own


class Upstream(asyncio.Protocol):
    """Answers each request with 2 bytes; ``/big`` with 100 MB, as fast as they are taken."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.left = 0
        self.is_paused = False

    def data_received(self, data: bytes) -> None:
        if data.startswith(b"GET /big"):
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BIG)
            self.left = BIG
            self.send()
        else:
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" * data.count(b"\r\n\r\n"))

    def send(self) -> None:
        while self.left and not self.is_paused and not self.transport.is_closing():
            piece = b"x" * min(self.left, 262144)
            self.left -= len(piece)
            self.transport.write(piece)

    def pause_writing(self) -> None:
        self.is_paused = True

    def resume_writing(self) -> None:
        self.is_paused = False
        self.send()


async def serve_upstream(port: int) -> None:
    loop = asyncio.get_running_loop()
    # asyncio 3.11 reports connections that are reset while it writes to them, which every case ends with.
    loop.set_exception_handler(lambda _loop, _context: None)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    server = await loop.create_server(Upstream, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


def client_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def flood(port: int, tls: bool, path: str, connections: int) -> None:
    """Send pipelined requests over many connections, and read what comes."""
    request = b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % path.encode()
    data = request * (FLOOD_BYTES // len(request))

    async def one() -> None:
        while True:
            with contextlib.suppress(OSError):
                context = client_tls() if tls else None
                reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)

                async def read(reader: asyncio.StreamReader = reader) -> None:
                    while await reader.read(2**20):
                        pass

                reading = asyncio.create_task(read())
                while not reading.done():
                    for start in range(0, len(data), 2**17):
                        writer.write(data[start : start + 2**17])
                        await writer.drain()

    await asyncio.gather(*[one() for _ in range(connections)])


async def read_slowly(port: int, connections: int) -> None:
    """Read 100 MB at 256 kB a second each."""

    async def one() -> None:
        sock = socket.create_connection(("127.0.0.1", port))
        sock.sendall(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
        sock.setblocking(False)
        while await asyncio.get_running_loop().sock_recv(sock, 25600):  # noqa: ASYNC110 - it is to be slow
            await asyncio.sleep(0.1)

    await asyncio.gather(*[one() for _ in range(connections)])


async def stay(port: int, is_silent: bool, connections: int) -> None:
    """Hold connections open: silent, or idle after one request; open them again when they are closed."""

    async def one() -> None:
        while True:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                if not is_silent:
                    writer.write(b"GET /404 HTTP/1.1\r\nHost: a\r\n\r\n")
                while await reader.read(65536):
                    pass
                writer.close()
            await asyncio.sleep(0.1)

    await asyncio.gather(*[one() for _ in range(connections)])


def run_apart(main: Callable[..., Awaitable[None]], *args: object) -> multiprocessing.process.BaseProcess:
    async def forever() -> None:
        await main(*args)
        await asyncio.Event().wait()

    def begin() -> None:
        if (cpus := os.cpu_count() or 1) > 1:
            os.sched_setaffinity(0, range(1, cpus))
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, 5)
        asyncio.run(forever())

    process = LOADS.Process(target=begin, daemon=True)
    process.start()
    return process


# -- measuring


async def one_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"GET /probe HTTP/1.1\r\nHost: a\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"the probe got {head!r}")
    if b"chunked" in head.lower():
        await reader.readuntil(b"0\r\n\r\n")
    else:
        await reader.readexactly(2)


async def probe(ports: Ports, tls: bool, seconds: float, begin: Callable[[], Load], settle: float = 0) -> list[float]:
    """Return the waits of a client that sends a request every 10 ms.

    :param settle: seconds from the moment when the load begins; making a thousand connections is not the case.
    """
    context = client_tls() if tls else None
    reader, writer = await asyncio.open_connection("127.0.0.1", ports.tls if tls else ports.plain, ssl=context)
    await one_request(reader, writer)
    waits: list[float] = []
    load = begin()
    await asyncio.sleep(settle)
    end = time.monotonic() + seconds
    try:
        while (start := time.monotonic()) < end:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(one_request(reader, writer), LONGEST)
            waits.append(time.monotonic() - start)
            await asyncio.sleep(max(0.0, 0.01 - waits[-1]))
    finally:
        if load is not None:
            load.kill()
            load.join()
        writer.close()
    return sorted(waits)


def start_load(case: str, ports: Ports, tls: bool, connections: int) -> Load:
    port = ports.tls if tls else ports.plain
    if case == "idle":
        return None
    if case == "slow-readers":
        return run_apart(read_slowly, ports.plain, 50)
    if case == "silent-tls":
        return run_apart(stay, ports.tls, True, 200)
    if case == "many-idle":
        return run_apart(stay, ports.plain, False, 1000)
    return run_apart(flood, port, tls, case, connections)


async def wait_for(port: int, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            if time.monotonic() > end:
                raise
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return


async def measure(gate: str, cases: list[tuple[str, bool, int]], seconds: float) -> float:
    """Print a line for each case; return the worst wait of all."""
    ports, worst = free_ports(), 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_certificate(folder)
        command, environ = command_of(gate, ports, folder)
        pin = ["taskset", "-c", "0"] if (os.cpu_count() or 1) > 1 else []
        process = subprocess.Popen([*pin, *command], env={**os.environ, **environ}, stderr=subprocess.DEVNULL)  # noqa: ASYNC220
        upstream = run_apart(serve_upstream, ports.upstream)
        server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", ports.probe)
        try:
            await wait_for(ports.plain)
            await wait_for(ports.upstream)
            for case, tls, connections in cases:
                waits = await probe(
                    ports, tls, seconds, partial(start_load, case, ports, tls, connections), 2.0 * (case == "many-idle")
                )
                worst = max(worst, waits[-1])
                many = f"{connections:4d}" if case in FLOODS else "    "
                print(
                    f"{gate:8s} {'tls' if tls else 'plain':5s} {case:12s} {many}  "
                    f"worst {waits[-1] * 1e3:7.1f} ms  p99 {waits[int(len(waits) * 0.99)] * 1e3:7.1f} ms  "
                    f"median {waits[len(waits) // 2] * 1e3:6.1f} ms  ({len(waits)} requests)",
                    flush=True,
                )
                await asyncio.sleep(0.3)
        finally:
            server.close()
            upstream.kill()
            process.terminate()
            process.wait()
    return worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default=",".join([*FLOODS, *OTHERS]))
    parser.add_argument("--connections", default="1,200")
    parser.add_argument("--schemes", default="plain,tls")
    parser.add_argument("--gates", default=",".join(installed()))
    parser.add_argument("--seconds", type=float, default=3.0)
    arguments = parser.parse_args()
    with contextlib.suppress(OSError):
        # Also that of the gateway: what is measured is its delay, not that of the system. The load gets less.
        os.setpriority(os.PRIO_PROCESS, 0, -10)
    if (cpus := os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, range(1, cpus))
    cases = [
        (case, scheme == "tls", connections)
        for scheme in arguments.schemes.split(",")
        for case in arguments.cases.split(",")
        for connections in ([int(each) for each in arguments.connections.split(",")] if case in FLOODS else [0])
    ]
    worst = 0.0
    for gate in arguments.gates.split(","):
        found = asyncio.run(measure(gate, cases, arguments.seconds))
        worst = max(worst, found) if gate == "gateway" else worst
    if worst >= LIMIT:
        sys.exit(1)


if __name__ == "__main__":
    main()
