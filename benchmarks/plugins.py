"""What plugins add to a request: their hooks alone, and the whole pipeline with them beside the one without.

    python -m benchmarks.plugins                  # microseconds per request, best of several runs
    python -m benchmarks.plugins auth             # one case
    python -m benchmarks.plugins auth --profile   # where they go

The hooks are those of a chain as the gateway resolves it. The pipeline is that of `pipeline.py`. Compare figures of
one run only.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import cProfile
import hashlib
import hmac
import json
import operator
import pstats
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway_core.messages import Record, Request, Response
from gateway_core.proxy.wire.request_fields import RequestFacts
from gateway_core.proxy.wire.request_head import RequestHead, read_head
from gateway_core.routing import Match

from benchmarks.pipeline import ANSWER, measure, prepare, round_trip

SECRET = "a secret of thirty-two characters"
PLUGINS = {
    "auth": f'{{name: auth, config: {{secret: "{SECRET}", algorithms: [HS256]}}}}',
    "ratelimit": "{name: ratelimit, config: {rate: 1000000, burst: 1000000}}",
    "logger": "{name: logger, config: {format: json, path: /dev/null}}",
}
ROUNDS = 15
CASES = {"plain": [], **{name: [name] for name in PLUGINS}, "all": list(PLUGINS)}
HEAD = "Host: 127.0.0.1:8080\r\nUser-Agent: benchmark\r\nAuthorization: Bearer {token}"
ANSWER_BLOCK = b"\r\nServer: nginx\r\nDate: Sun, 22 Nov 2026 23:43:29 GMT\r\nContent-Type: text/plain"


@dataclass(slots=True)
class Client:
    """Where the requests come from."""

    client_ip: str = "127.0.0.1"
    peer_ip: str = "127.0.0.1"
    scheme: str = "http"
    config_version: str = ""
    is_trusted: bool = False
    peer: Any = None
    read_path: Any = None


@dataclass(slots=True)
class Inbound:
    """A head as the data path has it."""

    facts: RequestFacts
    method: str = "GET"
    target: str = "/api/users/123"
    raw_path: str = "/api/users/123"
    path: str = "/api/users/123"
    path_flags: int = 0
    query_string: str = ""


def config(plugins: list[str]) -> str:
    listed = ", ".join(PLUGINS[name] for name in plugins)
    return f"""
upstreams:
  - {{name: u, endpoints: [{{url: "http://127.0.0.1:9001"}}]}}
routes:
  - {{id: api, path: "/api/users/:id", target: u, plugins: [{listed}]}}
"""


def token() -> str:
    def segment(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    claims = {"sub": "alice", "iss": "https://issuer.example", "exp": int(time.time()) + 86400, "roles": ["a", "b"]}
    text = ".".join(segment(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
    return f"{text}.{segment(hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).digest())}"


async def hooks_alone(plugins: list[str], head: str) -> Callable[[], None]:
    """Return a function that takes a fresh request and a fresh response through the hooks of a chain."""
    proxy = await prepare(config(plugins))
    found = proxy.holder.current.router.match("GET", "127.0.0.1", "/api/users/123", "", lambda _name: ())
    assert isinstance(found, Match)
    route = found.payload
    chain, info = route.chain, route.info
    pre_proxy, response_hooks, log = (
        tuple(hook.call for hook in hooks) for hooks in (chain.pre_proxy, chain.response, chain.log)
    )
    read = read_head(f"GET /api/users/123 HTTP/1.1\r\n{head}\r\n\r\n".encode(), 0, 65536, 100)
    assert isinstance(read, RequestHead)
    client = Client()
    inbound = Inbound(read.facts)

    def run() -> None:
        request = Request.for_head(inbound, client, "0123456789abcdef0123456789abcdef", 1.0, "1.1")
        request.route = info
        for call in pre_proxy:
            assert call(request) is None
        response = Response.streamed(200, "OK", ANSWER_BLOCK)
        for call in response_hooks:
            call(request, response)
        if log:
            record = Record()
            for call in log:
                call(request, response, record)

    return run


async def whole(plugins: list[str], head: str) -> Callable[[], None]:
    request = f"GET /api/users/123 HTTP/1.1\r\n{head}\r\n\r\n".encode()
    return round_trip(await prepare(config(plugins)), [request], ANSWER)


def profile(name: str, run: Callable[[], None]) -> None:
    profiler = cProfile.Profile()
    profiler.enable()
    for _ in range(20000):
        run()
    profiler.disable()
    print(name)
    pstats.Stats(profiler).sort_stats("tottime").print_stats(40)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", choices=[*CASES, []], default=[])
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    head = HEAD.format(token=token())
    chosen = {name: CASES[name] for name in arguments.cases or CASES}
    runs = {
        name: (await hooks_alone(plugins, head), await whole(plugins, head))
        for name, plugins in {"plain": [], **chosen}.items()
    }
    if arguments.profile:
        for name in chosen:
            profile(name, runs[name][0])
        return
    best = {name: [float("inf")] * 2 for name in runs}
    for _ in range(ROUNDS):  # in turns, so that what else the machine does meets all of them
        for name, pair in runs.items():
            best[name] = [min(old, measure(run, 2000, 1)) for old, run in zip(best[name], pair, strict=True)]
    print("us per request     hooks    whole")
    for name in runs:
        alone, through = best[name] if name == "plain" else map(operator.sub, best[name], best["plain"])
        print(f"{name:15s} {alone:+8.2f} {through:+8.2f}")


if __name__ == "__main__":
    asyncio.run(main())
