"""What requests cost beside peers: CPU microseconds a request, of the whole process tree.

    python benchmarks/traffic.py plain                # one request again and again, 1 KiB back
    python benchmarks/traffic.py headers | post | chunked
    python benchmarks/traffic.py big                  # 64 MiB, four at a time
    python benchmarks/traffic.py paths --seed 5       # one client's fields, another target each time
    python benchmarks/traffic.py mixed --seed 5       # 400 clients, browsers and programs; each request is another one
    python benchmarks/traffic.py full                 # plain with JWT, rate limit and a JSON line in a log
    python benchmarks/traffic.py mixedfull --seed 5   # mixed with the same, 400 users' tokens
    python benchmarks/traffic.py slow                 # an upstream that takes 20 ms
        [--contestants gateway,nginx,envoy] [--envoy PATH] [--rounds 3] [--seconds 4]

Contestants take turns on CPU 0; wrk and the upstream have CPU 1. Real clients repeat little: `mixed` is what counts,
and a seed that nothing was tuned for. `--contestants gateway,floor-relay` compares with a relay of a few lines on the
same event loop, which reads and changes nothing: what it costs cannot be saved. nginx and wrk are needed.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import hashlib
import hmac
import json
import random
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from contestants import (  # type: ignore[import-not-found]  # a neighbour, as scripts import it
    Bench,
    command_of,
    find_envoy,
    free_port,
    running,
)

SECRET = "a-secret-of-32-bytes-for-benches"
CLIENTS = 400
SCENARIOS = ("plain", "headers", "post", "chunked", "big", "paths", "mixed", "full", "mixedfull", "slow")
REPEATED = ("plain", "headers", "post", "chunked", "big", "full", "slow")
WITH_PLUGINS = ("full", "mixedfull")
BIG = 64 << 20
DELAY = 0.02

PLUGINS = """
plugins:
  - {{name: auth, config: {{secret: "{secret}", issuer: bench}}}}
  - {{name: ratelimit, config: {{rate: 1000000, key: identity}}}}
  - {{name: logger, config: {{sinks: [{{type: file, path: /dev/null}}]}}}}
"""
ENVOY_FILTERS = """
          access_log:
          - name: envoy.access_loggers.file
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
              path: /dev/null
              log_format: {{json_format: {{time: "%START_TIME%", method: "%REQ(:METHOD)%", path: "%REQ(:PATH)%",
                status: "%RESPONSE_CODE%", ms: "%DURATION%", bytes: "%BYTES_SENT%", id: "%REQ(X-REQUEST-ID)%"}}}}
          http_filters:
          - name: envoy.filters.http.jwt_authn
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication
              providers: {{p: {{issuer: bench, local_jwks: {{inline_string: '{jwks}'}}}}}}
              rules: [{{match: {{prefix: /}}, requires: {{provider_name: p}}}}]
          - name: envoy.filters.http.local_ratelimit
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
              stat_prefix: r
              token_bucket: {{max_tokens: 100000000, tokens_per_fill: 100000000, fill_interval: 1s}}
              filter_enabled: {{default_value: {{numerator: 100}}}}
              filter_enforced: {{default_value: {{numerator: 100}}}}
"""
UPSTREAM = """
worker_processes 1; daemon off; pid {folder}/upstream.pid; error_log /dev/null;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000; default_type text/plain; client_body_temp_path {folder}/u-cb;
  proxy_temp_path {folder}/u-pt; fastcgi_temp_path {folder}/u-ft; uwsgi_temp_path {folder}/u-ut;
  scgi_temp_path {folder}/u-st;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ return 200 "{body}"; }}
    location /big {{ root {folder}; sendfile on; }}
    location /chunked {{ ssi on; root {folder}; default_type text/html; try_files /chunked.html =404; }}
  }}
}}
"""
BROWSERS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/{} Safari/605",
    "Mozilla/5.0 (X11; Linux x86_64; rv:{}.0) Gecko/20100101 Firefox/128.0",
)
PROGRAMS = ("python-httpx/0.{}.0", "okhttp/4.{}.0", "curl/8.{}.0", "Go-http-client/1.1")


def encoded(data: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(user: int) -> str:
    """Return a signed token of one user."""
    head = encoded(json.dumps({"alg": "HS256", "typ": "JWT", "kid": "k"}).encode())
    claims = encoded(json.dumps({"sub": f"user-{user}", "iss": "bench", "exp": 4_000_000_000}).encode())
    signature = hmac.new(SECRET.encode(), f"{head}.{claims}".encode(), hashlib.sha256).digest()
    return f"{head}.{claims}.{encoded(signature)}"


def client(number: int, chance: random.Random, *, with_token: bool) -> str:
    """Return the fields that one client sends with each of its requests."""
    version = chance.randrange(100, 140)
    if chance.random() < 0.5:
        names = chance.sample(("sid", "_ga", "_gid", "csrf", "consent", "cart", "lang"), chance.randrange(2, 6))
        cookie = "; ".join(f"{name}={chance.getrandbits(128):032x}" for name in names)
        fields = {
            "User-Agent": chance.choice(BROWSERS).format(version),
            "Accept": "application/json, text/plain, */*",
            "Accept-Language": chance.choice(("en-US,en;q=0.9", "de,en;q=0.8", "fr-FR,fr;q=0.8")),
            "Accept-Encoding": "gzip, deflate, br, zstd",
            "Referer": f"https://shop.example.com/category/{chance.randrange(10_000)}",
            "Cookie": cookie,
            "Sec-Fetch-Dest": "empty",
            "Sec-Fetch-Mode": "cors",
            "Sec-Fetch-Site": "same-origin",
        }
    else:
        fields = {
            "User-Agent": chance.choice(PROGRAMS).format(version),
            "Accept": "*/*",
            "Accept-Encoding": "gzip",
            "X-Client-Id": f"{chance.getrandbits(64):016x}",
        }
    if with_token:
        fields["Authorization"] = f"Bearer {token(number)}"
    return "".join(f"{name}: {value}\\r\\n" for name, value in fields.items())


def lua(scenario: str, seed: int) -> str:
    """Return wrk's script for a scenario."""
    if scenario == "post":
        return 'wrk.method = "POST"; wrk.body = string.rep("y", 1024); wrk.headers["Content-Type"] = "text/plain"'
    if scenario == "full":
        return f'wrk.headers["Authorization"] = "Bearer {token(1)}"'
    if scenario == "headers":
        return "\n".join(f'wrk.headers["X-Field-{n}"] = "the value of field {n}, of some length"' for n in range(25))
    if scenario in REPEATED:
        return ""
    chance = random.Random(seed)  # for a benchmark
    clients = [
        client(n, chance, with_token=scenario == "mixedfull") for n in range(CLIENTS if "mixed" in scenario else 1)
    ]
    trace = 'string.format("traceparent: 00-%016x%016x-%016x-01\\r\\n", r(2^31), r(2^31), r(2^31))'
    rows = ",\n".join(f"'{fields}'" for fields in clients)
    return f"""
local clients = {{{rows}}}
local r = math.random
local host = ""
init = function() math.randomseed({seed}); host = wrk.host .. ":" .. wrk.port end
request = function()
  return "GET /api/users/" .. r(100000) .. "?page=" .. r(50) .. " HTTP/1.1\\r\\nHost: " .. host .. "\\r\\n"
    .. clients[r(#clients)] .. {trace if "mixed" in scenario else '""'} .. "\\r\\n"
end
"""


def command(bench: Bench, name: str, port: int, scenario: str) -> list[str]:
    """Return the command that starts a contestant, with the plugins if the scenario has them."""
    found: list[str] = command_of(bench, name, port, tls=False)
    if scenario in WITH_PLUGINS and name == "gateway":
        with (bench.folder / "gateway.yaml").open("a") as file:
            file.write(PLUGINS.format(secret=SECRET))
    elif scenario in WITH_PLUGINS and name == "envoy":
        file = bench.folder / "envoy.yaml"
        key = {"kty": "oct", "kid": "k", "alg": "HS256", "k": encoded(SECRET.encode())}
        filters = ENVOY_FILTERS.format(jwks=json.dumps({"keys": [key]}))
        file.write_text(file.read_text().replace("          http_filters:\n", filters.lstrip("\n"), 1))
    return found


def measure(bench: Bench, scenario: str, name: str, seconds: int, script: Path) -> float:
    """Return CPU microseconds a request."""
    port = free_port()
    paths = {"big": "/big/64m", "chunked": "/chunked/1"}
    url = f"http://127.0.0.1:{port}{paths.get(scenario, '/api/users/123')}"
    count = 4 if scenario == "big" else 64
    load = ["taskset", "-c", "1", "wrk", "-t1", f"-c{count}", "-s", str(script), url]
    with running(command(bench, name, port, scenario), port) as contestant:
        subprocess.run([*load, "-d1s"], capture_output=True, check=True)
        before = contestant.cpu_seconds()
        out = subprocess.run([*load, f"-d{seconds}s"], capture_output=True, text=True, check=True).stdout
        used: float = contestant.cpu_seconds() - before
    if wrong := re.search(r"Non-2xx.*|Socket errors.*", out):
        print(f"  {name}: {wrong[0]}")
    requests = int(re.search(r"(\d+) requests in", out)[1])  # type: ignore[index]  # wrk always says
    return used / max(requests, 1) * 1e6


@contextlib.contextmanager
def upstream(folder: Path, *, slow: bool) -> Iterator[int]:
    """Run the upstream on CPU 1; yield its port."""
    port = free_port()
    if slow:
        start = [sys.executable, str(Path(__file__).parent / "floor_server.py"), str(port), "--delay", str(DELAY)]
    else:
        (folder / "big").mkdir()
        with (folder / "big" / "64m").open("wb") as file:
            file.truncate(BIG)
        (folder / "chunked.html").write_text("x" * 1024)
        (folder / "upstream.conf").write_text(UPSTREAM.format(folder=folder, port=port, body="x" * 1024))
        start = ["nginx", "-p", str(folder), "-c", str(folder / "upstream.conf")]
    with running(start, port, 1):
        yield port


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenario", choices=SCENARIOS)
    parser.add_argument("--contestants")
    parser.add_argument("--envoy", default="")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--seed", type=int, default=random.randrange(1000))  # any will do
    arguments = parser.parse_args()
    scenario = arguments.scenario
    print(f"{sys.executable} {sys.version.split()[0]}, {scenario}, seed {arguments.seed}")
    results: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)
        script = folder / "load.lua"
        script.write_text(lua(scenario, arguments.seed))
        bench = Bench(
            folder, stack.enter_context(upstream(folder, slow=scenario == "slow")), find_envoy(arguments.envoy)
        )
        peers = [each for each in bench.names() if scenario not in WITH_PLUGINS or each == "envoy"]
        chosen = arguments.contestants.split(",") if arguments.contestants else ["gateway", *peers]
        for _ in range(arguments.rounds):
            for each in chosen:
                found = measure(bench, scenario, each, arguments.seconds, script)
                results.setdefault(each, []).append(found)
                print(f"  {each:8} {found:8.1f} us")
    medians = {each: statistics.median(found) for each, found in results.items()}
    first = next(iter(medians))
    print(json.dumps({each: round(cost, 1) for each, cost in medians.items()}))
    print(f"{first} to", json.dumps({each: round(medians[first] / cost, 2) for each, cost in medians.items()}))


if __name__ == "__main__":
    main()
