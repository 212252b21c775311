"""What a poll of the live view costs a worker: reading what was counted in a second, and its JSON.

    python benchmarks/live_view.py                    # 500 routes, 500 endpoints of 50 upstreams
    python benchmarks/live_view.py --upstreams 500    # as many upstreams

A worker is polled once a second for all streams of ``GET /api/v1/events`` together, so 10 ms are 1 % of its processor.
Each route and endpoint that was in use had three requests. Time is processor time; what is shown is the least and the
median of the rounds. Compare figures of one run only.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
from pathlib import Path
from typing import Final

from gateway_core.packages import PluginRegistry
from gateway_core.process.engine import Engine
from gateway_core.process.socket_table import SocketTable
from gateway_core.process.traffic_meter import TrafficMeter
from gateway_core.reload.bundle import ConfigBundle
from gateway_core.snapshot import load

ROUTES: Final = 500
ACTIVE: Final = (0, 1, 50, 500)
DURATIONS: Final = (0.002, 0.004, 0.03)


def config(upstreams: int) -> str:
    """Return a configuration with as many endpoints as routes."""
    each = ROUTES // upstreams
    document = {
        "listen": "127.0.0.1:0",
        "upstreams": [
            {"name": f"u{n}", "endpoints": [{"url": f"http://127.0.0.1:{10000 + n * each + m}"} for m in range(each)]}
            for n in range(upstreams)
        ],
        "routes": [{"id": f"route-{n}", "path_prefix": f"/r{n}", "target": f"u{n % upstreams}"} for n in range(ROUTES)],
    }
    return json.dumps(document)


async def started(sockets: SocketTable, text: str) -> Engine:
    """Return an engine that has a configuration in force."""
    engine = Engine(sockets)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gateway.yaml"
        path.write_text(text)
        loaded = load([path], registry=PluginRegistry(), environ={})
    prepared = await engine.prepare(ConfigBundle(loaded.version, tuple(loaded.to_lines()), loaded.config.workers))
    sockets.bind(prepared.config.listen)
    await engine.commit(prepared)
    return engine


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--upstreams", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    sockets = SocketTable()
    engine = await started(sockets, config(options.upstreams))
    meter, metrics = TrafficMeter(engine), engine.metrics
    routes = [counts for _, counts in metrics.routes.items()]
    endpoints = [counts for _, counts in metrics.endpoints.items()]
    meter.read()  # notes where the counters are
    for active in ACTIVE:
        spent, size = [], 0
        for _ in range(options.rounds):
            for route, endpoint in zip(routes[:active], endpoints[:active], strict=True):
                for seconds in DURATIONS:
                    route.add(200 << 2, seconds, 1000)
                    endpoint.respond(200, seconds)
            text, seconds = meter.timed()
            size = len(text)
            spent.append(seconds * 1000)
        median = statistics.median(spent)
        print(f"{active:4d} in use: {min(spent):6.2f} ms, median {median:6.2f} ms, {size:7d} bytes")
    await engine.stop(0)
    sockets.keep_only(())


if __name__ == "__main__":
    asyncio.run(main())
