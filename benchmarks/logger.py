"""What access logs cost per request, their lines included: requests through the pipeline with them and without.

`plugins.py` measures what stands in a request's way; this one adds what is done when there is time, until the line is
out.

    python benchmarks/logger.py                # microseconds per request that each form adds
    python benchmarks/logger.py json            # only cases whose name has this in it
    python benchmarks/logger.py json -p         # where they go

Time is processor time of the whole process, so that work in other threads and in later turns of the loop counts too.
A round measures the bare gateway right before and after each case; what is shown is the median of the differences.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import json
import os
import pstats
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from gateway_core.clock import SystemClock
from gateway_core.hooks import Plugin
from gateway_core.metrics import Metrics
from gateway_core.packages import InstanceLeases, PluginRegistry
from gateway_core.proxy import Proxy
from gateway_core.proxy.upstream.connection import UpstreamConnection
from gateway_core.snapshot import Environment, SnapshotHolder, compile_snapshot, load
from gateway_core.upstreams.runtime import UpstreamRuntime
from gateway_plugin_sdk import Record, Request, Response, hookimpl

ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Sun, 22 Nov 2026 23:43:29 GMT\r\nContent-Type: text/plain\r\n"
    b"Content-Length: 1024\r\nConnection: keep-alive\r\n\r\n" + b"x" * 1024
)
REQUEST: Final = (
    b"GET /api/users/123?page=2 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: curl/8.1\r\nAccept: */*\r\n\r\n"
)
TURN: Final = 16
"""Requests in one turn of the event loop, as under load."""


class Idle(Plugin[Any]):
    """Does nothing in the log phase: what is left is what the core does for anybody who logs."""

    name = "idle"

    @hookimpl
    def gateway_log(self, request: Request, response: Response, record: Record) -> None:
        """Do nothing."""


NULL: Final = {"path": "/dev/null"}
CASES: Final[Mapping[str, Mapping[str, Any]]] = {
    "log phase alone": {"name": "idle"},
    "json": {"name": "logger", "config": NULL},
    "combined": {"name": "logger", "config": {**NULL, "format": "combined"}},
    "template": {"name": "logger", "config": {**NULL, "format": "{time} {method} {path} {status}"}},
}


class Wire(asyncio.Transport):
    """A transport that goes nowhere."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Drop the data."""

    def is_closing(self) -> bool:
        """Return that it is open."""
        return False

    def get_extra_info(self, name: str, default: object = None) -> object:
        """Return an address."""
        return ("127.0.0.1", 40000) if name in {"peername", "sockname"} else default


async def prepare(binding: Mapping[str, Any] | None, folder: Path) -> tuple[Callable[[], None], SnapshotHolder]:
    """Return a function that takes one request through a gateway with one binding."""
    clock, metrics, registry = SystemClock(), Metrics(), PluginRegistry()
    registry.scan()
    registry.register(Idle)
    environment = Environment(registry, InstanceLeases(), UpstreamRuntime(clock), clock, metrics)
    path = folder / "gateway.json"
    path.write_text(
        json.dumps(
            {
                "upstreams": [{"name": "u", "endpoints": [{"url": "http://127.0.0.1:9001"}]}],
                "routes": [
                    {"id": "api", "path": "/api/users/:id", "target": "u", "plugins": [binding] if binding else []}
                ],
            }
        )
    )
    loaded = load([path], registry=registry, environ=os.environ)
    holder = SnapshotHolder()
    holder.swap((await compile_snapshot(loaded, environment)).snapshot)
    return round_trip(Proxy(holder, clock=clock, metrics=metrics)), holder


def round_trip(proxy: Proxy) -> Callable[[], None]:
    """Return a function that takes one request through the proxy."""
    upstream = proxy.holder.current.upstreams["u"]
    pool = proxy.upstreams.pool_for(upstream.endpoints[0], upstream)
    connection = UpstreamConnection(pool)
    connection.connection_made(Wire())
    pool.give_back(connection)
    client = proxy.server_for(proxy.holder.current.config.listen[0].address)()
    client.connection_made(Wire())

    def run() -> None:
        client.data_received(REQUEST)
        connection.data_received(ANSWER)

    return run


async def measure(run: Callable[[], None], count: int) -> float:
    """Return the microseconds of processor time that a request takes."""
    start = time.process_time()
    for _ in range(count // TURN):
        for _ in range(TURN):
            run()
        await asyncio.sleep(0)
    await asyncio.sleep(0.05)  # what was put off until there is time
    return (time.process_time() - start) / count * 1e6


async def compare(wanted: str, rounds: int, count: int) -> None:
    """Print what each binding adds."""
    with tempfile.TemporaryDirectory() as name:
        bare, _ = await prepare(None, Path(name))
        runs = {each: (await prepare(CASES[each], Path(name)))[0] for each in CASES if wanted in each}
        added: dict[str, list[float]] = {each: [] for each in runs}
        costs = []
        for _ in range(rounds):
            for each, run in runs.items():
                before = await measure(bare, count)
                cost = await measure(run, count)
                after = await measure(bare, count)
                costs += [before, after]
                added[each].append(cost - (before + after) / 2)
        print(f"{'bare gateway':28s} {statistics.median(costs):6.2f} us")
        for each, figures in added.items():
            print(f"{each:28s} {statistics.median(figures):+6.2f} us   best {min(figures):+6.2f}")


async def profile(wanted: str, count: int) -> None:
    """Print where the time of the first case goes."""
    case = next(each for each in CASES if wanted in each)
    with tempfile.TemporaryDirectory() as name:
        run, _ = await prepare(CASES[case], Path(name))
        profiler = cProfile.Profile()
        profiler.enable()
        await measure(run, count)
        profiler.disable()
    print(case)
    pstats.Stats(profiler).sort_stats("tottime").print_stats(40)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", nargs="?", default="")
    parser.add_argument("-p", "--profile", action="store_true")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--count", type=int, default=3200)
    arguments = parser.parse_args()
    if arguments.profile:
        asyncio.run(profile(arguments.case, arguments.count))
    else:
        asyncio.run(compare(arguments.case, arguments.rounds, arguments.count))


main()
