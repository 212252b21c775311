"""What HTTP/2 costs beside installed peers: CPU microseconds a request, of the whole process tree.

    python benchmarks/http2.py same        # one request again and again, 16 connections of 8 streams
    python benchmarks/http2.py paths       # 2,000 targets, and 8 more fields
    python benchmarks/http2.py post        # a body of 1 KiB
    python benchmarks/http2.py mixed       # a browser's fields, of which traceparent and a cookie always change
    python benchmarks/http2.py one         # one stream for each connection
    python benchmarks/http2.py grpc        # unary calls to an upstream of HTTP/2 that sends trailers
    python benchmarks/http2.py download    # 64 MiB, in milliseconds of CPU: the mean of several, since ticks are 10 ms
    python benchmarks/http2.py upload      # 16 MiB over a round trip of 50 ms, in MiB per second: more is better
    python benchmarks/http2.py idle        # KiB of an idle connection after one request with a browser's fields
        [--tls] [--contestants gateway,nginx,envoy] [--envoy PATH] [--rounds 3] [--requests 20000]

Contestants take turns on CPU 0; load and upstream have CPU 1. h2load (Debian: nghttp2-client) makes most loads, curl
two of them; `mixed` and `idle` are made here, with the library hpack. nginx is needed, as the upstream.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import re
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import hpack
from contestants import (  # type: ignore[import-not-found]  # a neighbour, as scripts import it
    BODY,
    ENVOY,
    ENVOY_TLS,
    GATEWAY,
    NGINX,
    Bench,
    Running,
    find_envoy,
    free_port,
    make_certificate,
    running,
)

CONNECTIONS, STREAMS = 16, 8
MIB = 1 << 20
DOWNLOADS = 20
ROUND_TRIP = 0.05
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"
WINDOW = b"\0\0\4\x08\0\0\0\0\0\x7f\0\0\0"
SCENARIOS = ("same", "paths", "post", "mixed", "one", "grpc", "download", "upload", "idle")
UPSTREAM = """
worker_processes 1; daemon off; pid {folder}/upstream.pid; error_log /dev/null;
events {{ worker_connections 16384; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 600s; default_type {kind}; root {folder};
  client_max_body_size 0; client_body_temp_path {folder}/u-cb; proxy_temp_path {folder}/u-pt;
  fastcgi_temp_path {folder}/u-ft; uwsgi_temp_path {folder}/u-ut; scgi_temp_path {folder}/u-st;
  server {{
    listen 127.0.0.1:{port} {http2} backlog=8192; {trailers}
    location = /big {{ }}
    location = /upload {{ proxy_pass http://127.0.0.1:{port}/; }}
    location / {{ return 200 "{body}"; }}
  }}
}}
"""
ENVOY_HTTP2 = """
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
"""
BROWSER = [
    ("sec-ch-ua", '"Chromium";v="130", "Not?A_Brand";v="99"'), ("sec-ch-ua-mobile", "?0"),
    ("sec-ch-ua-platform", '"Linux"'), ("upgrade-insecure-requests", "1"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0"),
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"),
    ("sec-fetch-site", "none"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"),
    ("accept-encoding", "gzip, deflate, br, zstd"), ("accept-language", "en-US,en;q=0.9,de;q=0.8"),
]  # fmt: skip


# -- contestants


def command_of(bench: Bench, name: str, port: int, scenario: str, *, tls: bool) -> list[str]:
    """Write a contestant's configuration; return the command that starts it."""
    folder = bench.folder
    cert, key = folder / "cert.pem", folder / "key.pem"
    values = {"port": port, "upstream": bench.upstream, "folder": folder, "workers": 1, "name": name}
    is_grpc = scenario == "grpc"
    if name == "nginx":
        certificate = f"ssl_certificate {cert}; ssl_certificate_key {key};" if tls else ""
        text = NGINX.format(**values, tls=" ssl http2" if tls else " http2", certificate=certificate)
        text = text.replace("client_body_temp_path", "client_max_body_size 0; client_body_temp_path")
        if is_grpc:
            text = re.sub(r"proxy_pass.*?\$request_id;", "grpc_pass grpc://u;", text, flags=re.DOTALL)
        (folder / "nginx.conf").write_text(text)
        return ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    if name == "envoy":
        text = ENVOY.format(**values, certificate=ENVOY_TLS.format(folder=folder) if tls else "")
        text = text.replace("[http/1.1]", "[h2]")
        if is_grpc:
            text = text.replace("    type: STATIC", "    type: STATIC" + ENVOY_HTTP2.rstrip())
        (folder / "envoy.yaml").write_text(text)
        return [
            bench.envoy,
            "-c",
            str(folder / "envoy.yaml"),
            "--concurrency",
            "1",
            "-l",
            "off",
            "--use-dynamic-base-id",
        ]
    text = GATEWAY.format(**values, tls=f", tls: {{cert: {cert}, key: {key}}}" if tls else "")
    text = text.replace("idle_timeout: 10m", "idle_timeout: 10m, max_body_bytes: 1GiB")
    (folder / "gateway.yaml").write_text(text.replace("name: u,", "name: u, protocol: http2,") if is_grpc else text)
    return [sys.executable, "-m", "gateway_core.cli", "run", "-c", str(folder / "gateway.yaml")]


@contextlib.contextmanager
def upstream(folder: Path, scenario: str) -> Iterator[int]:
    """Run the upstream; yield its port."""
    port, file, is_grpc = free_port(), folder / "upstream.conf", scenario == "grpc"
    (folder / "big").write_bytes(bytes(64 * MIB))
    trailers = "add_trailer grpc-status 0; error_page 405 =200 $uri;" if is_grpc else ""
    kind, body = ("application/grpc", BODY[:100]) if is_grpc else ("text/plain", BODY)
    values = {"kind": kind, "body": body, "http2": "http2" if is_grpc else "", "trailers": trailers}
    file.write_text(UPSTREAM.format(folder=folder, port=port, **values))
    with running(["nginx", "-p", str(folder), "-c", str(file)], port, 1):
        yield port


# -- loads


def h2load(folder: Path, scenario: str, url: str, count: int) -> None:
    """Send so many requests."""
    options: list[str] = []
    if scenario == "paths":
        targets = [f"{url}/{number * 37 % 99991}?page={number % 50}" for number in range(2000)]
        (folder / "targets").write_text("\n".join(targets))
        options = ["-i", str(folder / "targets")]
        for number in range(8):
            options += ["-H", f"x-custom-header-{number}: some-value-{number}-abcdefghijklmnop"]
    elif scenario in {"post", "grpc"}:
        (folder / "body").write_bytes(b"\0\0\0\0\x60" + bytes(96) if scenario == "grpc" else b"y" * 1024)
        kind = "application/grpc" if scenario == "grpc" else "text/plain"
        options = ["-d", str(folder / "body"), "-H", f"content-type: {kind}", "-H", "te: trailers"]
    streams = 1 if scenario == "one" else STREAMS
    load = ["h2load", "-t1", f"-c{CONNECTIONS}", f"-m{streams}", f"-n{count}", *options]
    out = subprocess.run(["taskset", "-c", "1", *load, url], capture_output=True, text=True, check=True).stdout
    good = re.search(r"status codes: (\d+) 2xx", out)
    if good is None or int(good[1]) != count:
        print(f"  {out}")


class Client:
    """A connection that sends a browser's requests, no two of them alike."""

    def __init__(self, port: int, number: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), 20)
        self.sock.sendall(PREFACE + WINDOW)
        self._encoder = hpack.Encoder()
        self._chance = random.Random(number)
        self._next = 1
        self._rest = b""

    def headers(self) -> bytes:
        """Return HEADERS of one more request."""
        fields = [(":method", "GET"), (":scheme", "http"), (":authority", "shop.example"), (":path", "/api/users/123")]
        trace, cookie = self._chance.randbytes(24).hex(), self._chance.randbytes(16).hex()
        changing = [("traceparent", f"00-{trace[:32]}-{trace[32:]}-01"), ("cookie", f"session={cookie}; theme=dark")]
        block = self._encoder.encode([*fields, *BROWSER, *changing])
        stream, self._next = self._next, self._next + 2
        return len(block).to_bytes(3, "big") + b"\x01\x05" + stream.to_bytes(4, "big") + block

    def wait(self, count: int) -> None:
        """Read until so many responses are complete."""
        while count:
            data = self.sock.recv(262_144)
            if not data:
                raise SystemExit("a connection was closed")
            data, position = self._rest + data, 0
            while len(data) - position >= 9:
                end = position + 9 + int.from_bytes(data[position : position + 3], "big")
                if end > len(data):
                    break
                count -= data[position + 3] in {0, 1} and data[position + 4] & 1
                position = end
            self._rest = data[position:]


def mixed(folder: Path, scenario: str, url: str, count: int) -> None:  # noqa: ARG001 - as `h2load`
    """Send so many requests over all connections; all are made before the first is sent, so that they come in time."""
    port = int(url.split(":")[2].partition("/")[0])
    os.sched_setaffinity(0, {1})
    clients = [Client(port, number) for number in range(CONNECTIONS)]
    turns = [
        [b"".join([client.headers() for _ in range(STREAMS)]) for client in clients]
        for _ in range(count // CONNECTIONS // STREAMS)
    ]
    for turn in turns:
        for client, requests in zip(clients, turn, strict=True):
            client.sock.sendall(requests)
        for client in clients:
            client.wait(STREAMS)
    for client in clients:
        client.sock.close()


def curl(url: str, *options: str) -> None:
    """Transfer one body."""
    command = ["taskset", "-c", "1", "curl", "-sk", "--http2-prior-knowledge", "-o", "/dev/null", *options, url]
    subprocess.run(command, check=True)


async def _delay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass bytes on half a round trip later."""
    loop = asyncio.get_running_loop()
    while data := await reader.read(262_144):
        loop.call_later(ROUND_TRIP / 2, writer.write, data)
    loop.call_later(ROUND_TRIP / 2, writer.close)


async def _far_away(port: int, work: Callable[[int], None]) -> None:
    """Run a client whose round trip to a port is longer than it is here."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_delay(reader, back), _delay(there, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    await asyncio.to_thread(work, server.sockets[0].getsockname()[1])
    server.close()


# -- measurements


def transfer(contestant: Running, folder: Path, scenario: str, port: int) -> float:
    """Return milliseconds of CPU for a download, or MiB per second of an upload from far away."""
    if scenario == "download":
        for _ in ("warm", "measured"):
            before = contestant.cpu_seconds()
            for _ in range(DOWNLOADS):
                curl(f"http://127.0.0.1:{port}/big")
        return float(contestant.cpu_seconds() - before) * 1e3 / DOWNLOADS
    (folder / "upload").write_bytes(bytes(16 * MIB))
    began = time.monotonic()
    send = lambda far: curl(f"http://127.0.0.1:{far}/upload", "-T", str(folder / "upload"))  # noqa: E731
    asyncio.run(_far_away(port, send))
    return 16 / (time.monotonic() - began)


def idle(contestant: Running, port: int, count: int = 2000) -> float:
    """Return the KiB of a connection that is idle after one request."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    warm = [Client(port, number) for number in range(100)]
    for client in warm:
        client.sock.sendall(client.headers())
        client.wait(1)
    before, opened = contestant.rss_mib(), []
    for number in range(count):
        opened.append(client := Client(port, number))
        client.sock.sendall(client.headers())
        client.wait(1)
    time.sleep(6)  # heads of idle connections are forgotten after a few seconds
    after = contestant.rss_mib()
    for client in [*warm, *opened]:
        client.sock.close()
    return float(after - before) * 1024 / count


def measure(bench: Bench, scenario: str, name: str, count: int, *, tls: bool) -> float:
    """Return what a contestant costs."""
    port = free_port()
    with running(command_of(bench, name, port, scenario, tls=tls), port) as contestant:
        if scenario in {"download", "upload"}:
            return transfer(contestant, bench.folder, scenario, port)
        if scenario == "idle":
            return idle(contestant, port)
        url = f"http{'s' if tls else ''}://127.0.0.1:{port}/api/users/123"
        load = mixed if scenario == "mixed" else h2load
        load(bench.folder, scenario, url, 2048)
        before = contestant.cpu_seconds()
        load(bench.folder, scenario, url, count)
        return float(contestant.cpu_seconds() - before) / count * 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenario", choices=SCENARIOS)
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--contestants", default="")
    parser.add_argument("--envoy", default="")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=20_480)
    arguments = parser.parse_args()
    scenario, tls = arguments.scenario, arguments.tls
    if tls and scenario in {"mixed", "download", "upload", "idle"}:
        parser.error(f"{scenario} is measured without TLS")
    results: dict[str, list[float]] = {}
    print(f"{sys.executable} {sys.version.split()[0]}, {scenario}{' over TLS' if tls else ''}")
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)
        make_certificate(folder)
        bench = Bench(folder, stack.enter_context(upstream(folder, scenario)), find_envoy(arguments.envoy))
        chosen = arguments.contestants.split(",") if arguments.contestants else ["gateway", *bench.names()]
        for _ in range(arguments.rounds):
            for each in chosen:
                results.setdefault(each, []).append(measure(bench, scenario, each, arguments.requests, tls=tls))
                print(f"  {each:9} {results[each][-1]:8.1f}", flush=True)
    medians = {each: statistics.median(found) for each, found in results.items()}
    first = medians[next(iter(medians))]
    print(json.dumps({each: round(cost, 1) for each, cost in medians.items()}))
    print("ratio to", json.dumps({each: round(first / cost, 2) for each, cost in medians.items() if cost}))


if __name__ == "__main__":
    main()
