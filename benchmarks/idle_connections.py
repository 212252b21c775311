"""What idle connections cost: memory of the whole process tree after one request on each of them.

    python benchmarks/idle_connections.py [--connections 10000] [--heads small,browser]
        [--contestants gateway,nginx,envoy] [--envoy PATH] [--wait 6]

Each connection sends one request with a small head or a browser's, no two of them alike, and is idle from then on.
`at first` is the memory before the first of them. The gateway forgets the heads of idle connections after a few
seconds, so it is measured after that. The client needs as many file descriptors. nginx is needed as the upstream.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import socket
import sys
import tempfile
import time
from pathlib import Path

from contestants import (  # type: ignore[import-not-found]  # a neighbour, as scripts import it
    Bench,
    command_of,
    find_envoy,
    free_port,
    nginx_upstream,
    running,
)
from pipeline import browser, varied  # type: ignore[import-not-found]  # likewise

HEADS = {"small": varied, "browser": browser}
AT_ONCE = 100


def open_all(port: int, count: int, kind: str) -> list[socket.socket]:
    """Open connections, have each served once, and return them."""
    opened: list[socket.socket] = []
    for first in range(0, count, AT_ONCE):
        group = [socket.create_connection(("127.0.0.1", port), 20) for _ in range(min(AT_ONCE, count - first))]
        for number, sock in enumerate(group, first):
            sock.sendall(HEADS[kind](number))
        for sock in group:
            received = b""
            while b"\r\n\r\n" not in received or len(received.partition(b"\r\n\r\n")[2]) < 1024:
                received += sock.recv(65536)
        opened += group
    return opened


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--heads", default="small,browser")
    parser.add_argument("--contestants", default="")
    parser.add_argument("--envoy", default="")
    parser.add_argument("--wait", type=float, default=6)
    arguments = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    print(f"{sys.executable} {sys.version.split()[0]}, {arguments.connections} connections")
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)
        bench = Bench(folder, stack.enter_context(nginx_upstream(folder)), find_envoy(arguments.envoy))
        chosen = arguments.contestants.split(",") if arguments.contestants else ["gateway", *bench.names()]
        for kind in arguments.heads.split(","):
            for each in chosen:
                port = free_port()
                with running(command_of(bench, each, port, tls=False), port) as contestant:
                    before = contestant.rss_mib()
                    opened = open_all(port, arguments.connections, kind)
                    time.sleep(arguments.wait)
                    after = contestant.rss_mib()
                    for sock in opened:
                        sock.close()
                one = (after - before) * 1024 / arguments.connections
                print(f"  {kind:8} {each:9} {before:6.1f} MiB at first, {after:6.1f} then: {one:.1f} KiB a connection")


if __name__ == "__main__":
    main()
