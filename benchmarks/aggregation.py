"""What `aggregate` costs a request beside plain proxying, and for how long it keeps the loop.

    python -m benchmarks.aggregation           # microseconds of processor time per request, milliseconds of pauses

The upstream is in another process, whose time does not count, and responds with 1 KiB of JSON over connections that
stay open. `proxied` is a route that sends requests to it. Pauses are the longest steps between which other tasks run,
for the largest response that is the default and the shape that takes longest. Compare figures of one run only.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from typing import Final

import uvloop
from gateway_plugin_aggregate.calls import json_bytes
from gateway_plugin_aggregate.config import LONGEST_WITHOUT_PAUSE
from gateway_plugin_aggregate.shaping import allowing, denying, renaming
from gateway_plugin_sdk.strict_json import read_json

from benchmarks.pipeline import prepare
from benchmarks.responding import Receiving
from benchmarks.service import service
from benchmarks.transformation import SHAPES, seconds
from benchmarks.validation import filled

BODY: Final = json.dumps(
    {"id": 7, "items": [{"id": n, "name": f"item {n}", "price": n * 1.5} for n in range(22)]}
).encode()
RESPONSE: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
    len(BODY),
    BODY,
)


def route(url: str, calls: int) -> str:
    made = ", ".join(f"{{name: c{n}, target: '{url}', path: '/{n}', group: c{n}}}" for n in range(calls))
    return f"{{id: c{calls}, path: /c{calls}, plugins: [{{name: aggregate, config: {{calls: [{made}]}}}}]}}"


async def costs(url: str, rounds: int, count: int) -> None:
    routes = [f"{{id: p, path: /p, target: '{url}'}}", *(route(url, calls) for calls in (1, 2, 3))]
    proxy = await prepare("routes: [" + ", ".join(routes) + "]")
    server = proxy.server_for(proxy.holder.current.config.listen[0].address)
    cases = {"proxied": "/p", "aggregate, 1 call": "/c1", "aggregate, 2 calls": "/c2", "aggregate, 3 calls": "/c3"}
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):  # in turn: the machine is not equally quick all the time
        for name, path in cases.items():
            wire, client = Receiving(), server()
            client.connection_made(wire)
            request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n".encode()
            start = time.process_time()
            for _ in range(count):
                await wire.receive(len(BODY), client, request)
            times[name].append((time.process_time() - start) / count * 1e6)
    for name, taken in times.items():
        print(f"{name:40s} {statistics.median(taken):8.2f} us")


def pauses(rounds: int) -> None:
    steps = {
        "allow": allowing(["/*/a", "/*/b", "/a"]),
        "deny": denying(["/*/a", "/*/*/b"]),
        "rename": renaming({"/*/a": "x"}),
        "write": json_bytes,
    }
    texts = {name: filled(*shape, size=LONGEST_WITHOUT_PAUSE) for name, shape in SHAPES.items()}
    for name, step in {"read": None, **steps}.items():
        took = {
            shape: seconds(lambda: read_json(text), rounds)  # noqa: B023 - now
            if step is None
            else min(seconds(lambda: step(value), 1) for value in [read_json(text) for _ in range(rounds)])  # noqa: B023 - now
            for shape, text in texts.items()
        }
        slowest = max(took, key=took.__getitem__)
        print(f"{name + f', body of {len(texts[slowest])} bytes':40s} {took[slowest] * 1e3:8.2f} ms, {slowest}")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--count", type=int, default=1000)
    arguments = parser.parse_args()
    with service(RESPONSE) as url:
        await costs(url, arguments.rounds, arguments.count)
    pauses(arguments.rounds)


if __name__ == "__main__":
    uvloop.run(main())
