"""What plugins take that respond themselves, or that read bodies; a part of `benchmarks.plugins`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from gateway_plugin_sdk import Plugin, Request, hookimpl

from benchmarks.contestants import Bench, command_of, free_port, nginx_upstream, running
from benchmarks.pipeline import Wire, prepare

CONNECTIONS: Final = 8
BROWSER: Final = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/%d.0.0.0\r\n"
    "Accept: application/json, text/plain, */*\r\nAccept-Language: en-US,en;q=0.9\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\nReferer: https://shop.example.com/category/%d?page=2\r\n"
    "Cookie: sid=%032x; _ga=GA1.2.1234567890.1700000000; csrftoken=%032x\r\n"
    "Sec-Fetch-Dest: empty\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Site: same-origin\r\nCache-Control: no-cache\r\n"
    'sec-ch-ua: "Chromium";v="131", "Not.A/Brand";v="24"\r\nsec-ch-ua-mobile: ?0\r\nsec-ch-ua-platform: "Windows"\r\n'
)


class Receiving(Wire):
    """A transport that signals when enough was written."""

    def __init__(self) -> None:
        super().__init__()
        self._wanted = 0
        self._done: asyncio.Future[None] | None = None

    def pause_reading(self) -> None:
        """Go on: what is sent comes only after a response."""

    def resume_reading(self) -> None:
        """Go on."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        super().write(data)
        if self._done is not None and self.written >= self._wanted and not self._done.done():
            self._done.set_result(None)

    async def receive(self, size: int, client: asyncio.Protocol, request: bytes) -> None:
        """Send a request, and wait until so many bytes of response are there."""
        self._wanted, self._done = self.written + size, None
        client.data_received(request)
        if self.written < self._wanted:  # a hit is written at once
            self._done = asyncio.get_running_loop().create_future()
            await self._done


async def send_cacheable(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Respond to each request of a connection with what a cache stores."""
    with contextlib.suppress(asyncio.CancelledError):
        while head := await reader.readline():
            if head == b"\r\n":
                writer.write(
                    b"HTTP/1.1 200 OK\r\nCache-Control: max-age=3600\r\nContent-Length: 1024\r\n\r\n" + b"x" * 1024
                )


async def own_responses(rounds: int, count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "small").write_bytes(b"x" * 1024)
        (root / "large").write_bytes(b"x" * 1024 * 1024)
        document = {"openapi": "3.1.0", "paths": {"/{name}": {"get": {"responses": {"200": {"content": {
            "text/plain": {"example": "x" * 1024}}}}}}}}  # fmt: skip
        (root / "api.json").write_text(json.dumps(document))
        origin = await asyncio.start_server(send_cacheable, "127.0.0.1", 0)
        cache = "{name: cache, config: {cookies: ignore, client_directives: false}}"
        text = f"""
upstreams:
  - {{name: u, endpoints: [{{url: "http://127.0.0.1:9001"}}]}}
routes:
  - {{id: own, path: /own, respond: {{body: {"x" * 1024}}}}}
  - {{id: mock, path: /mock, plugins: [{{name: mock, config: {{openapi: {root}/api.json}}}}]}}
  - id: cached
    path: /cached
    target: "http://127.0.0.1:{origin.sockets[0].getsockname()[1]}"
    plugins: [{cache}]
  - {{id: files, path: "/:name", plugins: [{{name: static, config: {{root: {root}}}}}]}}
"""
        proxy = await prepare(text)
        server = proxy.server_for(proxy.holder.current.config.listen[0].address)
        known = "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT\r\n"
        cases = {
            "respond, 1 KiB": ("/own", "", 1024),
            "cache hit, 1 KiB": ("/cached", "", 1024),
            "cache hit of a browser, 1 KiB": ("/cached", BROWSER % (131, 4, 7, 9), 1024),
            "mock, 1 KiB": ("/mock", "", 1024),
            "static, 1 KiB": ("/small", "", 1024),
            "static, not modified": ("/small", known, 1),
            "static, 1 MiB": ("/large", "", 1024 * 1024),
        }
        for name, (path, more, size) in cases.items():
            wire, client = Receiving(), server()
            client.connection_made(wire)
            request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n{more}\r\n".encode()
            times = []
            await wire.receive(size, client, request)  # a cache stores the first response
            for _ in range(rounds):
                start = time.process_time()
                for _ in range(count):
                    await wire.receive(size, client, request)
                times.append((time.process_time() - start) / count * 1e6)
            print(f"{name:40s} {statistics.median(times):8.2f} us")
        origin.close()


def beside_nginx(rounds: int = 3, count: int = 16_000) -> None:
    """Print what a hit takes in a gateway with one worker, and a request that nginx forwards: user and system time."""
    if shutil.which("nginx") is None:
        print("nginx is not installed: a hit is not measured beside it")
        return
    with tempfile.TemporaryDirectory() as folder, nginx_upstream(Path(folder)) as upstream:
        bench, ports = Bench(Path(folder), upstream, ""), {"nginx, proxied": free_port(), "cache hit": free_port()}
        config = Path(folder) / "cached.yaml"
        config.write_text(f"""
workers: 1
listen: "127.0.0.1:{ports["cache hit"]}"
log: {{level: error}}
routes:
  - id: all
    path_prefix: /
    target: "http://127.0.0.1:{upstream}"
    plugins: [{{name: cache, config: {{default_ttl: 1h}}}}]
""")
        gateway = [sys.executable, "-m", "gateway_core.cli", "run", "-c", str(config)]
        commands = {
            "nginx, proxied": command_of(bench, "nginx", ports["nginx, proxied"], tls=False),
            "cache hit": gateway,
        }
        with contextlib.ExitStack() as stack:
            started = {name: stack.enter_context(running(command, ports[name])) for name, command in commands.items()}
            costs: dict[str, list[float]] = {name: [] for name in started}
            for each in [*started] * (rounds + 1):  # in turn: what else the machine does is the same for both
                before = started[each].cpu_seconds()
                load(ports[each], count)
                costs[each].append((started[each].cpu_seconds() - before) / count * 1e6)
            for name, found in costs.items():
                print(f"{name + ', over sockets':40s} {statistics.median(found[1:]):8.2f} us")


def load(port: int, count: int) -> None:
    """Send requests over several connections, one at a time on each."""
    request = b"GET /a HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_connection(("127.0.0.1", port), 10)) for _ in range(CONNECTIONS)]
        for _ in range(count // CONNECTIONS):
            for each in sockets:
                each.sendall(request)
            for each in sockets:
                read_response(each)


def read_response(sock: socket.socket) -> None:
    """Read a response whose head is followed by 1 KiB."""
    data = sock.recv(65536)
    while (end := data.find(b"\r\n\r\n")) < 0 or len(data) < end + 4 + 1024:
        more = sock.recv(65536)
        assert more, "the connection was closed"
        data += more


class Buffers(Plugin[None]):
    """Reads a body that came with its head, without a task: as `validate` does."""

    name = "buffers"

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> None:
        """Read what is there."""
        request.read_nowait(1 << 16)


class Reads(Plugin[None]):
    """Reads the body."""

    name = "reads"

    @hookimpl
    async def gateway_pre_proxy(self, request: Request) -> None:
        """Read."""
        await request.read()


class Parses(Plugin[None]):
    """Reads the body, and parses it."""

    name = "parses"

    @hookimpl
    async def gateway_pre_proxy(self, request: Request) -> None:
        """Read and parse."""
        json.loads(await request.read())


async def validated_requests(rounds: int, count: int) -> None:
    fields = {f"field{index}": {"type": "string", "minLength": 1, "maxLength": 100} for index in range(20)}
    body = json.dumps(dict.fromkeys(fields, "x" * 34)).encode()
    with tempfile.TemporaryDirectory() as folder:
        schema = {"type": "object", "required": ["field0"], "additionalProperties": False, "properties": fields}
        media = {"content": {"application/json": {"schema": schema}}}
        parameter = {"name": "id", "in": "path", "schema": {"type": "integer"}}
        operation = {"parameters": [parameter], "requestBody": media, "responses": {"200": {"description": ""}}}
        (Path(folder) / "api.json").write_text(
            json.dumps({"openapi": "3.1.0", "paths": {"/api/users/{id}": {"post": operation}}})
        )
        kinds = {
            "bare": [],
            "buffers": ["{name: buffers}"],
            "reads": ["{name: reads}"],
            "parses": ["{name: parses}"],
            "validate": [f"{{name: validate, config: {{openapi: {folder}/api.json}}}}"],
        }
        head = "POST /api/users/7 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Type: application/json\r\n"
        request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
        costs: dict[str, float] = {}
        for name, bindings in kinds.items():
            text = (
                f'routes: [{{id: api, path: "/api/users/:id", respond: {{body: x}}, plugins: [{", ".join(bindings)}]}}]'
            )
            proxy = await prepare(text, [Buffers, Reads, Parses])
            wire, client = Receiving(), proxy.server_for(proxy.holder.current.config.listen[0].address)()
            client.connection_made(wire)
            times = []
            for _ in range(rounds):
                start = time.process_time()
                for _ in range(count):
                    await wire.receive(1, client, request)
                    await asyncio.sleep(0)
                times.append((time.process_time() - start) / count * 1e6)
            assert wire.written, "there are responses"
            costs[name] = statistics.median(times)
            print(f"{f'{name}, body of {len(body)} bytes':40s} {costs[name]:8.2f} us")
