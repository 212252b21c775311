"""What new connections and TLS cost: CPU microseconds a request, of the whole process tree.

    python benchmarks/connections.py close                     # a new connection for every request
    python benchmarks/connections.py tls                       # kept connections over TLS 1.3
    python benchmarks/connections.py tlsnew                    # a full TLS handshake for every request
    python benchmarks/connections.py tlsresume --workers 2     # a resumed handshake for every request
        [--contestants gateway,floor,nginx,envoy] [--envoy PATH] [--rounds 3] [--seconds 4]

Contestants take turns on CPU 0; load and upstream have CPU 1. `floor` is a server of a few lines on the same event
loop (`floor_server.py`), for TLS both accepted by the loop and by hand; `floor-relay` asks an upstream as well.
`tlsresume` asks with one ticket after the other, over eight connections at a time, and reports how many were resumed.
wrk makes the other loads. nginx is needed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

from contestants import (  # type: ignore[import-not-found]  # a neighbour, as scripts import it
    Bench,
    command_of,
    find_envoy,
    free_port,
    make_certificate,
    nginx_upstream,
    running,
)

CLIENTS = 8
TLS_CONNECTIONS = 16
CONNECTIONS = 64
PATH = "/api/users/123"
REQUEST = f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()


class Load(NamedTuple):
    """What a load has brought."""

    requests: int
    resumed: int = 0


def wrk(scenario: str, port: int, seconds: float) -> Load:
    """Send requests as fast as they are answered."""
    close = ["-H", "Connection: close"] if scenario != "tls" else []
    count = TLS_CONNECTIONS if scenario == "tlsnew" else CONNECTIONS
    url = f"http{'s' if scenario.startswith('tls') else ''}://127.0.0.1:{port}{PATH}"
    command = ["taskset", "-c", "1", "wrk", "-t1", f"-c{count}", f"-d{seconds:.0f}s", *close, url]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if wrong := re.search(r"Non-2xx.*|Socket errors.*", out):
        print(f"  {wrong[0]}")
    return Load(int(re.search(r"(\d+) requests in", out)[1]))  # type: ignore[index]  # wrk always says


def resume(port: int, seconds: float) -> Load:
    """Connect again and again with the session of the connection before."""
    end, results = time.monotonic() + seconds, []

    def client() -> None:
        os.sched_setaffinity(0, {1})
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        session, requests, resumed = None, 0, 0
        while time.monotonic() < end:
            plain = socket.create_connection(("127.0.0.1", port))
            with context.wrap_socket(plain, server_hostname="localhost", session=session) as sock:
                sock.sendall(REQUEST)
                while sock.recv(65536):
                    pass
                requests += 1
                resumed += bool(sock.session_reused)
                session = sock.session  # TLS 1.3 sends tickets behind the handshake
        results.append(Load(requests, resumed))

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Load(sum(each.requests for each in results), sum(each.resumed for each in results))


def measure(bench: Bench, scenario: str, name: str, seconds: float, workers: int) -> tuple[float, float]:
    """Return CPU microseconds a request, and the share of resumed handshakes."""
    port = free_port()
    command = command_of(bench, name, port, tls=scenario.startswith("tls"), workers=workers)
    with running(command, port) as contestant:
        load = resume if scenario == "tlsresume" else partial(wrk, scenario)
        load(port, 1)
        before = contestant.cpu_seconds()
        found = load(port, seconds)
        used = contestant.cpu_seconds() - before
    return used / max(found.requests, 1) * 1e6, found.resumed / max(found.requests, 1)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenario", choices=["close", "tls", "tlsnew", "tlsresume"])
    parser.add_argument("--contestants")
    parser.add_argument("--envoy", default="")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    scenario = arguments.scenario
    floors = ["floor-ssl", "floor-accept"] if scenario.startswith("tls") else ["floor", "floor-relay"]
    results: dict[str, list[tuple[float, float]]] = {}
    print(f"{sys.executable} {sys.version.split()[0]}, {scenario}, workers {arguments.workers}")
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)
        make_certificate(folder)
        bench = Bench(folder, stack.enter_context(nginx_upstream(folder)), find_envoy(arguments.envoy))
        chosen = arguments.contestants.split(",") if arguments.contestants else ["gateway", *floors, *bench.names()]
        for _ in range(arguments.rounds):
            for each in chosen:
                found = measure(bench, scenario, each, arguments.seconds, arguments.workers)
                results.setdefault(each, []).append(found)
                print(
                    f"  {each:13} {found[0]:7.1f} us" + (f"  {found[1]:.1%} resumed" if scenario == "tlsresume" else "")
                )
    medians = {each: statistics.median(cost for cost, _ in found) for each, found in results.items()}
    first = next(iter(medians))
    print(json.dumps({each: round(cost, 1) for each, cost in medians.items()}))
    print(f"{first} to", json.dumps({each: round(medians[first] / cost, 2) for each, cost in medians.items()}))


if __name__ == "__main__":
    main()
