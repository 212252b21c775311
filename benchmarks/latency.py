"""How long requests take at a constant rate: p50, p99 and p99.9 at half of the maximum, beside nginx.

    python benchmarks/latency.py [--contestants gateway,nginx] [--envoy PATH] [--slow] [--rounds 3] [--seconds 5]
        [--connections 64] [--share 0.5]

wrk sends as fast as it is answered, so a server that stalls is asked less and its waits are not seen. Here h2load finds
the maximum of each contestant, and then sends at a share of the lowest one: each of its connections has a schedule of
its own (``--rps``) and writes down how long each request took. A connection whose response is late sends its next
request late; so there are many, and the share of the schedule that was kept is printed: below 99 % nothing is proven.

The contestant has CPU 0; h2load and the upstream have CPU 1, which at half of the maximum is idle for most of the time:
what they wait for each other is in the figures of all contestants alike. `--slow` has an upstream that takes 20 ms.
nginx and h2load are needed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from contestants import (  # type: ignore[import-not-found]  # a neighbour, as scripts import it
    Bench,
    command_of,
    find_envoy,
    free_port,
    nginx_upstream,
    running,
)

TAKES = 0.02
WARM_UP = 1.0
SLOW_CONNECTIONS = 8
"""Times as many connections where each request takes long."""


class Waits(NamedTuple):
    """Milliseconds that requests took, and the share of the schedule that was kept."""

    p50: float
    p99: float
    p999: float
    kept: float


def h2load(port: int, connections: int, *options: str) -> str:
    """Send requests over HTTP/1.1 from CPU 1; return what h2load prints."""
    url = f"http://127.0.0.1:{port}/api/users/123"
    command = ["taskset", "-c", "1", "h2load", "--h1", f"-c{connections}", *options, url]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def maximum(port: int, connections: int) -> float:
    """Return the requests a second that are served at most."""
    found = re.search(r"([\d.]+) req/s", h2load(port, connections, "-D3"))
    assert found is not None
    return float(found[1])


def at_rate(port: int, rate: float, connections: int, seconds: float) -> Waits:
    """Send requests at a rate; return how long they took, those of the first second left out."""
    with tempfile.TemporaryDirectory() as name:
        log = Path(name) / "log"
        timing = [f"--rps={rate / connections:.3f}", f"-D{seconds + WARM_UP:.0f}", f"--log-file={log}"]
        h2load(port, connections, *timing)
        rows = [line.split("\t") for line in log.read_text().splitlines()]
    begin = min(int(row[0]) for row in rows) + WARM_UP * 1e6
    counted = [row for row in rows if int(row[0]) >= begin]
    if wrong := [row for row in counted if row[1] != "200"]:
        print(f"  {len(wrong)} responses are none of 200")
    waits = sorted(int(row[2]) / 1e3 for row in counted)
    p50, p99, p999 = (waits[int(len(waits) * part)] for part in (0.5, 0.99, 0.999))
    return Waits(p50, p99, p999, len(waits) / (rate * seconds))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contestants", default="")
    parser.add_argument("--envoy", default="")
    parser.add_argument("--slow", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--share", type=float, default=0.5)
    arguments = parser.parse_args()
    connections = arguments.connections * (SLOW_CONNECTIONS if arguments.slow else 1)
    print(f"{sys.executable} {sys.version.split()[0]}, {connections} connections, {os.cpu_count()} CPUs")
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)
        if arguments.slow:
            upstream = free_port()
            command = [sys.executable, str(Path(__file__).parent / "floor_server.py"), str(upstream)]
            stack.enter_context(running([*command, "--delay", str(TAKES)], upstream, cpu=1))
        else:
            upstream = stack.enter_context(nginx_upstream(folder))
        bench = Bench(folder, upstream, find_envoy(arguments.envoy))
        chosen = arguments.contestants.split(",") if arguments.contestants else ["gateway", *bench.names()]
        started = {}
        for each in chosen:
            port = started[each] = free_port()
            stack.enter_context(running(command_of(bench, each, port, tls=False), port))
        most = {each: maximum(port, connections) for each, port in started.items()}
        rate = min(most.values()) * arguments.share
        print("  maxima", {each: round(found) for each, found in most.items()}, f"-> {rate:.0f} a second")
        results: dict[str, list[Waits]] = {each: [] for each in started}
        for _ in range(arguments.rounds):
            for each, port in started.items():
                found = at_rate(port, rate, connections, arguments.seconds)
                results[each].append(found)
                shown = f"p50 {found.p50:6.2f} ms  p99 {found.p99:6.2f} ms  p99.9 {found.p999:6.2f} ms"
                print(f"  {each:9} {shown}  ({found.kept:.1%} of the schedule)")
    p99 = {each: statistics.median(waits.p99 for waits in found) for each, found in results.items()}
    first = next(iter(p99))
    print(f"p99 of {first} to", {each: round(p99[first] / found, 2) for each, found in p99.items()})


if __name__ == "__main__":
    main()
