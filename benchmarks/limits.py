"""Whether a limit holds over several workers: a real gateway under more requests than it allows.

    python benchmarks/limits.py                       # 4 workers, 10 s, 200 a second, a burst of 50
    python benchmarks/limits.py --workers 2 --seconds 5 --rate 1000 --burst 1

Exit status 1 if more passed than the limit x 1.05 and the burst, or less than 0.9 of it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

CONFIG = """
listen: 127.0.0.1:0
workers: {workers}
routes:
  - id: limited
    path_prefix: /
    target: http://127.0.0.1:{upstream}
    plugins:
      - {{name: ratelimit, config: {{rate: {rate}, burst: {burst}, key: constant}}}}
"""
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
CONNECTIONS = 32


async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    writer.close()


async def client(port: int, end: float, counts: Counter[int]) -> None:
    """Send requests one after the other, on a connection that lives for 50 of them, so that all workers get some."""
    while time.monotonic() < end:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(50):
            writer.write(REQUEST)
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            await reader.readexactly(int(length[1]) if length else 0)
            counts[int(head[9:12])] += 1
            if time.monotonic() >= end:
                break
        writer.close()
        await writer.wait_closed()


async def measure(arguments: argparse.Namespace) -> Counter[int]:
    server = await asyncio.start_server(upstream, "127.0.0.1", 0)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "gateway.yaml"
        file.write_text(CONFIG.format(upstream=server.sockets[0].getsockname()[1], **vars(arguments)))
        command = [sys.executable, "-m", "gateway_core.cli", "run", "-c", str(file)]
        gateway = await asyncio.create_subprocess_exec(*command, stderr=subprocess.PIPE)
        assert gateway.stderr is not None
        try:
            while not (found := re.search(rb"listening on http://127.0.0.1:(\d+)", await gateway.stderr.readline())):
                pass
            counts: Counter[int] = Counter()
            end = time.monotonic() + arguments.seconds
            await asyncio.gather(*[client(int(found[1]), end, counts) for _ in range(CONNECTIONS)])
        finally:
            gateway.send_signal(signal.SIGTERM)
            await gateway.communicate()
            server.close()
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--burst", type=int, default=50)
    arguments = parser.parse_args()
    counts = asyncio.run(measure(arguments))
    limit = arguments.rate * arguments.seconds
    passed, most = counts[200], limit * 1.05 + arguments.burst
    print(f"{counts.total()} requests to {arguments.workers} workers: {dict(counts)}")
    print(f"{passed} passed, where the limit is {limit:g} and a burst of {arguments.burst}: {passed / limit:.3f}")
    if not (limit + arguments.burst) * 0.9 <= passed <= most:
        sys.exit(1)


if __name__ == "__main__":
    main()
