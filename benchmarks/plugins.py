"""What the first-party plugins add to a request: the pipeline with them beside the one without, on real traffic.

    python -m benchmarks.plugins                    # microseconds per request that each case adds
    python -m benchmarks.plugins auth               # cases with this in their name
    python -m benchmarks.plugins "all, varied" -p   # where the first such case's time goes

In `repeated` cases one client sends one request again and again. In `varied` ones 400 users do, each with a head and a
bearer token of its own; no target and no ``traceparent`` comes twice. `new tokens` are verified once each, beside
PyJWT's ``decode`` of the same ones.

Part of what a case adds is what the gateway takes to run hooks at all, so each plugin is also compared with one that
does nothing in hooks of the same phases: `own` is the difference.

Those that respond themselves, `static`, `mock` and hits of the `cache`, are shown beside a route's ``respond`` with the
same body; what threads take to read files counts. `nginx` is what a hit takes over sockets with
the kernel's part, beside nginx as a proxy of the same upstream. `validate` is shown beside plugins that only read the
body, and that parse it as well.

Time is processor time of the process, with what is done in later turns of the loop and in other threads, such as log
lines. A round measures the bare pipeline before and after each case; what is shown is the median of the differences.
Compare figures of one run only.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import cProfile
import hashlib
import hmac
import json
import pstats
import random
import statistics
import time
from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import Final

import jwt
from gateway_plugin_sdk import ConfigModel, Identity, Plugin, Record, Request, Response, UpstreamAttempt, hookimpl

from benchmarks.pipeline import ANSWER, prepare, round_trip
from benchmarks.responding import BROWSER, beside_nginx, own_responses, validated_requests

SECRET: Final = "a secret of thirty-two characters"
AUTH: Final = f'{{name: auth, config: {{secret: "{SECRET}", algorithms: [HS256], issuer: bench}}}}'
RATELIMIT: Final = "{name: ratelimit, config: {rate: 1000000, burst: 1000000}}"
BY_IDENTITY: Final = "{name: ratelimit, config: {rate: 1000000, burst: 1000000, key: identity}}"
COMPRESS: Final = "{name: compress, config: {types: [text/html]}}"
CORS: Final = '{name: cors, config: {origins: ["https://shop.example.com"], credentials: true}}'
HEADERS: Final = "{name: headers, config: {request: {set: {X-Api: v2}, remove: [x-debug]}, security: true}}"
IP: Final = "{name: ip, config: {allow: [0.0.0.0/1, 128.0.0.0/1], deny: [192.0.2.0/24]}}"
LOGGER: Final = "{name: logger, config: {sinks: [{type: file, path: /dev/null}]}}"
AUTHORIZE: Final = (
    "{name: authorize, config: {rule: {any: [{groups: [admins]}, {methods: [GET, HEAD], roles: [reader]}]}}}"
)
AUTHORIZE_PATHS: Final = (
    "{name: authorize, config: {rule: {any: [{groups: [admins]}, {path_prefixes: [/api/users], roles: [reader]}]}}}"
)
UPSTREAM_BEARER: Final = "{name: upstream-auth, config: {bearer: {token: abc}}}"
UPSTREAM_AWS: Final = (
    "{name: upstream-auth, config: {aws: {access_key_id: AK, secret_access_key: SK, region: eu, service: s3,"
    " payload: unsigned}}}"
)
PLUGINS: Final = {
    "no-op pre-proxy": ["{name: decides}"],
    "no-op pre-proxy and response": ["{name: decides_and_responds}"],
    "no-op response": ["{name: responds}"],
    "no-op match and response": ["{name: matches_and_responds}"],
    "no-op attempt": ["{name: attempts}"],
    "removes a field": ["{name: removes}"],
    "no-op log": ["{name: logs}"],
    "no-op all": ["{name: decides}", "{name: decides_and_responds}", "{name: logs}"],
    "auth": [AUTH],
    "ratelimit": [RATELIMIT],
    "logger": [LOGGER],
    "compress, which does not apply": [COMPRESS],
    "cors": [CORS],
    "headers": [HEADERS],
    "ip": [IP],
    "auth and no-op pre-proxy": [AUTH, "{name: decides}"],
    "authorize behind auth": [AUTH, AUTHORIZE],
    "authorize paths behind auth": [AUTH, AUTHORIZE_PATHS],
    "new callers and no-op pre-proxy": ["{name: names_callers}", "{name: decides}"],
    "authorize for new callers": ["{name: names_callers}", AUTHORIZE],
    "authorize paths for new callers": ["{name: names_callers}", AUTHORIZE_PATHS],
    "upstream-auth, bearer": [UPSTREAM_BEARER],
    "upstream-auth, aws": [UPSTREAM_AWS],
    "all": [AUTH, BY_IDENTITY, LOGGER],
}
SAME_PHASES: Final = {
    "auth": "no-op pre-proxy",
    "ratelimit": "no-op pre-proxy and response",
    "logger": "no-op log",
    "compress, which does not apply": "no-op response",
    "cors": "no-op match and response",
    "headers": "no-op pre-proxy and response",
    "ip": "no-op pre-proxy",
    "removes a field": "no-op pre-proxy",
    "authorize behind auth": "auth and no-op pre-proxy",
    "authorize paths behind auth": "auth and no-op pre-proxy",
    "authorize for new callers": "new callers and no-op pre-proxy",
    "authorize paths for new callers": "new callers and no-op pre-proxy",
    "upstream-auth, bearer": "no-op attempt",
    "upstream-auth, aws": "no-op attempt",
    "all": "no-op all",
}
"""The case with the same hooks that do nothing, by the name of the plugin's."""
USERS: Final = 400
REQUESTS: Final = 8000
TURN: Final = 16
"""Requests in one turn of the event loop, as under load."""

PROGRAM: Final = (
    "User-Agent: okhttp/4.%d.0\r\nAccept: */*\r\nAccept-Encoding: gzip\r\nX-Api-Version: %d\r\n"
    "X-Client-Id: %016x\r\nX-Session-Id: %032x\r\n"
)


class Decides(Plugin[ConfigModel]):
    """Has a hook before the upstream."""

    name = "decides"
    config_model = ConfigModel

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> None:
        """Do nothing."""


class DecidesAndResponds(Plugin[ConfigModel]):
    """Has a hook before the upstream and one behind it."""

    name = "decides_and_responds"
    config_model = ConfigModel

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> None:
        """Do nothing."""

    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> None:
        """Do nothing."""


class Responds(Plugin[ConfigModel]):
    """Has a hook behind the upstream."""

    name = "responds"
    config_model = ConfigModel

    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> None:
        """Do nothing."""


class MatchesAndResponds(Plugin[ConfigModel]):
    """Has a hook at the match and one behind the upstream."""

    name = "matches_and_responds"
    config_model = ConfigModel
    responses = "all"

    @hookimpl
    def gateway_route_match(self, request: Request) -> None:
        """Do nothing."""

    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> None:
        """Do nothing."""


class NamesCallers(Plugin[ConfigModel]):
    """Gives every request a caller that was never seen before."""

    name = "names_callers"
    config_model = ConfigModel
    provides = frozenset({"identity"})

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> None:
        """Set an identity with claims of its own."""
        claims = {"sub": "alice", "iss": "bench", "exp": 1, "groups": ["staff", "users"], "roles": ["reader"]}
        request.identity = Identity("alice", "bench", MappingProxyType(claims))


class Attempts(Plugin[ConfigModel]):
    """Has a hook before each attempt."""

    name = "attempts"
    config_model = ConfigModel

    @hookimpl
    def gateway_attempt(self, request: Request, attempt: UpstreamAttempt) -> None:
        """Do nothing."""


class Removes(Plugin[ConfigModel]):
    """Has a hook before the upstream that removes a field, as plugins do with credentials."""

    name = "removes"
    config_model = ConfigModel

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> None:
        """Remove Accept."""
        request.headers.remove("accept")


class Logs(Plugin[ConfigModel]):
    """Has a hook at the end."""

    name = "logs"
    config_model = ConfigModel

    @hookimpl
    def gateway_log(self, request: Request, response: Response, record: Record) -> None:
        """Do nothing."""


NO_OPS: Final = (Decides, DecidesAndResponds, Responds, MatchesAndResponds, NamesCallers, Attempts, Removes, Logs)


def config(plugins: Sequence[str]) -> str:
    return f"""
upstreams:
  - {{name: u, endpoints: [{{url: "http://127.0.0.1:9001"}}]}}
routes:
  - {{id: api, path: "/api/users/:id", target: u, plugins: [{", ".join(plugins)}]}}
"""


def token(number: int) -> str:
    def segment(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    expires = int(time.time()) + 10**7
    claims = {"sub": f"user-{number}", "user_id": number, "roles": ["reader"], "iss": "bench", "exp": expires}
    text = ".".join(segment(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
    return f"{text}.{segment(hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).digest())}"


def repeated() -> list[bytes]:
    head = f"Host: 127.0.0.1:8080\r\nUser-Agent: curl/8.1\r\nAccept: */*\r\nAuthorization: Bearer {token(0)}\r\n\r\n"
    return [f"GET /api/users/123?page=2 HTTP/1.1\r\n{head}".encode()]


def varied(tokens: Sequence[str], seed: int) -> list[bytes]:
    rnd = random.Random(seed)
    clients = []
    for each in tokens:
        head = rnd.choice([BROWSER, BROWSER, PROGRAM]) % (
            rnd.randrange(100, 140), rnd.randrange(10), rnd.getrandbits(64), rnd.getrandbits(64),
        )  # fmt: skip
        clients.append(f"Host: shop.example.com\r\n{head}Authorization: Bearer {each}\r\n")
    order = clients if len(clients) >= REQUESTS else [rnd.choice(clients) for _ in range(REQUESTS)]
    return [
        f"GET /api/users/{rnd.randrange(10**6)}?page={rnd.randrange(50)} HTTP/1.1\r\n{client}"
        f"traceparent: 00-{rnd.getrandbits(128) | 1:032x}-00f067aa0ba902b7-01\r\n\r\n".encode()
        for client in order
    ]


async def measure(run: Callable[[], None], count: int) -> float:
    """Return the microseconds of processor time that a request takes."""
    start = time.process_time()
    for _ in range(count // TURN):
        for _ in range(TURN):
            run()
        await asyncio.sleep(0)
    await asyncio.sleep(0.05)  # what was put off until there is time
    return (time.process_time() - start) / count * 1e6


async def added(run: Callable[[], None], bare: Callable[[], None], rounds: int, count: int) -> tuple[float, float]:
    """Return what the bare pipeline takes, and what is added to it."""
    costs, differences = [], []
    for _ in range(rounds):
        before, cost, after = await measure(bare, count), await measure(run, count), await measure(bare, count)
        costs += [before, after]
        differences.append(cost - (before + after) / 2)
    return statistics.median(costs), statistics.median(differences)


def decode_all(tokens: Sequence[str]) -> float:
    """Return the microseconds that PyJWT's ``decode`` takes for each token."""
    start = time.process_time()
    for each in tokens:
        jwt.decode(each, SECRET, algorithms=["HS256"], issuer="bench")
    return (time.process_time() - start) / len(tokens) * 1e6


async def compare(traffic: dict[str, list[bytes]], wanted: str, rounds: int, count: int) -> None:
    for kind, requests in traffic.items():
        bare = round_trip(await prepare(config([])), requests, ANSWER)
        names = [name for name in PLUGINS if wanted in f"{name}, {kind}"]
        # Those without a plugin first, as the others are compared with them.
        needed = dict.fromkeys([SAME_PHASES[name] for name in names if name in SAME_PHASES] + names)
        costs: dict[str, float] = {}
        for name in needed:
            run = round_trip(await prepare(config(PLUGINS[name]), NO_OPS), requests, ANSWER)
            cost, costs[name] = await added(run, bare, rounds, count)
            own = f", own {costs[name] - costs[SAME_PHASES[name]]:+.2f}" if name in SAME_PHASES else ""
            print(f"{name + ', ' + kind:40s} {costs[name]:+8.2f} us   (without {cost:.2f}{own})")


async def new_tokens(seed: int, rounds: int, count: int) -> None:
    costs, decodes = [], []
    number = USERS
    bare = round_trip(await prepare(config([])), varied([token(0)], seed), ANSWER)
    proxy = await prepare(config([AUTH]))
    for _ in range(rounds):
        tokens = [token(number + each) for each in range(count)]
        number += count
        run = round_trip(proxy, varied(tokens, seed), ANSWER)
        costs.append(await measure(run, count) - await measure(bare, count))
        decodes.append(decode_all(tokens))
    print(f"{'auth, new tokens':40s} {statistics.median(costs):+8.2f} us   (PyJWT {statistics.median(decodes):.2f})")


async def profile(requests: list[bytes], plugins: Sequence[str], count: int) -> None:
    run = round_trip(await prepare(config(plugins), NO_OPS), requests, ANSWER)
    await measure(run, count)
    profiler = cProfile.Profile()
    profiler.enable()
    await measure(run, count)
    profiler.disable()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(70)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", nargs="?", default="")
    parser.add_argument("-p", "--profile", action="store_true")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--count", type=int, default=8000)
    arguments = parser.parse_args()
    traffic = {
        "repeated": repeated(),
        "varied": varied([token(each) for each in range(USERS)], arguments.seed),
    }
    if arguments.profile:
        cases = [(n, k) for k in traffic for n in PLUGINS if arguments.case in f"{n}, {k}"]
        name, kind = min(cases, key=lambda case: len(case[0]))
        await profile(traffic[kind], PLUGINS[name], arguments.count)
        return
    await compare(traffic, arguments.case, arguments.rounds, arguments.count)
    if arguments.case in "static mock respond cache":
        await own_responses(arguments.rounds, 1000)
    if arguments.case in "cache hit nginx":
        beside_nginx()
    if arguments.case in "validate":
        await validated_requests(arguments.rounds, 2000)
    if arguments.case in "auth, new tokens":
        await new_tokens(arguments.seed, arguments.rounds, 3200)


if __name__ == "__main__":
    asyncio.run(main())
