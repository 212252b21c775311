"""What a hit of the cache costs, beside a route's own response with the same body.

    python -m benchmarks.cache_hits    # microseconds of processor time per request, median of several rounds

Compare figures of one run only.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import Final

from benchmarks.pipeline import prepare
from benchmarks.plugins import BROWSER, Receiving

ROUNDS: Final = 9
REQUESTS: Final = 1000
BODY: Final = b"x" * 1024


async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Respond to each request of a connection with what a cache stores."""
    while head := await reader.readline():
        if head == b"\r\n":
            writer.write(b"HTTP/1.1 200 OK\r\nCache-Control: max-age=3600\r\nContent-Length: 1024\r\n\r\n" + BODY)


async def main() -> None:
    origin = await asyncio.start_server(respond, "127.0.0.1", 0)
    binding = "{name: cache, config: {cookies: ignore, client_directives: false}}"
    proxy = await prepare(f"""
routes:
  - {{id: own, path: /own, respond: {{body: {BODY.decode()}}}}}
  - {{id: cached, path: /cached, target: "http://127.0.0.1:{origin.sockets[0].getsockname()[1]}", plugins: [{binding}]}}
""")
    server = proxy.server_for(proxy.holder.current.config.listen[0].address)
    browser = BROWSER % (131, 4, 7, 9)
    cases = {"respond": ("/own", ""), "hit": ("/cached", ""), "hit of a browser": ("/cached", browser)}
    for name, (path, fields) in cases.items():
        wire, client = Receiving(), server()
        client.connection_made(wire)
        request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n{fields}\r\n".encode()
        times = []
        for _ in range(ROUNDS):
            start = time.process_time()
            for _ in range(REQUESTS):
                await wire.receive(len(BODY), client, request)
            times.append((time.process_time() - start) / REQUESTS * 1e6)
        print(f"{name:20s} {statistics.median(times):8.2f} us")
    origin.close()


if __name__ == "__main__":
    asyncio.run(main())
