"""Each request on a kept connection behaves as on a new one, whatever came before it; in the end nothing is counted."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
import uvloop
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Request, Response
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.core.proxy.kit import OwnLoop, Peer, RunningProxy, counts, field, run_proxy

T = TypeVar("T")

CONFIG = """
plugins: [{{name: acts, enabled: {acts}}}]
upstreams:
  - name: u
    endpoints: [{{id: one, url: "http://127.0.0.1:{port}"}}]
    retries: {{attempts: 1, backoff_base: 1ms, on: ["503"]}}
  - {{name: v, endpoints: [{{id: two, url: "http://localhost:{port}"}}]}}
routes:
  - {{id: all, path_prefix: /, target: {target}}}
  - {{id: kept, path_prefix: /kept, target: u, preserve_host: true}}
  - {{id: one, path: "/one/:x", methods: [GET, POST], target: v, strip_path: {strips}}}
  - {{id: made, path: "/made/:x", target: u, rewrite: {{template: "/{target}/:x"}}}}
  - {{id: marked, path_prefix: /, headers: {{x-mark: "1"}}, target: v, mirror: {{target: u}}}}
  - {{id: gone, path: /gone, redirect: {{path: /else}}}}
"""
CONFIGS = [
    {"acts": "false", "target": "u", "strips": "false"},
    {"acts": "true", "target": "u", "strips": "true"},
    {"acts": "false", "target": "v", "strips": "true"},
]


class Acts(Plugin[Any]):
    """Does what a request asks for."""

    name = "acts"

    @hookimpl
    def gateway_request(self, request: Request) -> None:
        match request.headers.get("x-do"):
            case "path":
                request.raw_path = "/one/changed"
            case "query":
                request.query_string = "changed=1"
            case "method" if request.method == "POST":
                request.method = "PUT"
            case "mark":
                request.headers["X-Mark"] = "1"

    @hookimpl
    def gateway_route_match(self, request: Request) -> str | None:
        return "kept" if request.headers.get("x-do") == "route" else None

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> Any:
        match request.headers.get("x-do"):
            case "response":
                return Response(403, b"no")
            case "upstream":
                request.upstream = "v"
            case "header":
                request.headers["X-Do"] = "header-2"
            case "host":
                request.headers["Host"] = "another.example"
            case "wait":
                return asyncio.sleep(0)
        return None

    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> Any:
        match request.headers.get("x-do"):
            case "status":
                response.status = 418
            case "server":
                response.headers["Server"] = "upstream-2"
            case "add":
                response.headers.add("X-Added", "1")
            case "replace":
                return Response(500, b"another")
            case "wait":
                return asyncio.sleep(0)
        return None


async def upstream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Respond with what came, framed as the request's X-Frame says."""
    peer = Peer(reader, writer)
    try:
        while True:
            head = await peer.head()
            body = await peer.exactly(int(field(head, b"content-length") or b"0"))
            if field(head, b"transfer-encoding"):
                await reader.readuntil(b"0\r\n\r\n")
                body = b"in chunks"
            await peer.send(response_to(head, body))
            if field(head, b"x-frame") == b"close":
                break
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


def response_to(head: bytes, body: bytes) -> bytes:
    seen = comparable(head) + body
    start = b"HTTP/1.1 200 OK\r\nServer: upstream"
    whole = b"%b\r\nContent-Length: %d\r\n\r\n%b" % (start, len(seen), b"" if head.startswith(b"HEAD") else seen)
    match field(head, b"x-frame"):
        case b"chunked" if not head.startswith(b"HEAD"):
            return b"%b\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (start, len(seen), seen)
        case b"204" | b"304" as status:
            return b"HTTP/1.1 %b X\r\nServer: upstream\r\n\r\n" % status
        case b"503":
            return whole.replace(b"200 OK", b"503 Not Now")
        case b"close":
            return whole.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
    return whole


def comparable(head: bytes) -> bytes:
    """Return a head without what differs from one request to the next."""
    return re.sub(rb"\r\n(?:X-Request-Id|Date): [^\r]*", b"", head, flags=re.IGNORECASE)


@dataclass(frozen=True)
class Asked:
    method: str
    target: str
    do: str
    frame: str
    body: str
    version: str

    def parts(self) -> list[bytes]:
        """Return the request's bytes, as they are sent one after the other."""
        lines = [f"{self.method} {self.target} HTTP/{self.version}", "Host: example.com"]
        lines += [f"X-Do: {self.do}"] if self.do else []
        lines += [f"X-Frame: {self.frame}"] if self.frame else []
        lines += ["Connection: keep-alive"] if self.version == "1.0" else []
        if not self.body or self.method in {"GET", "HEAD"}:
            return ["\r\n".join([*lines, "\r\n"]).encode()]
        if self.body == "chunked" and self.version == "1.1":
            head = "\r\n".join([*lines, "Transfer-Encoding: chunked", "\r\n"]).encode()
            return [head, b"4\r\nbody\r\n0\r\n\r\n"]
        lines += ["Expect: 100-continue"] if self.body == "expect" else []
        head = "\r\n".join([*lines, "Content-Length: 4", "\r\n"]).encode()
        return [head + b"body"] if self.body == "at once" else [head, b"bo", b"dy"]


def new_loop(name: str) -> asyncio.AbstractEventLoop:
    return uvloop.new_event_loop() if name == "uvloop" else asyncio.new_event_loop()


class Running:
    """A gateway on an event loop of its own."""

    def __init__(self, folder: Path, loop: asyncio.AbstractEventLoop) -> None:
        self._own = OwnLoop(loop)
        self.run, self.stop = self._own.run, self._own.close
        self._port = 0
        self._gateway: RunningProxy = self._own.run(self._start(folder))

    async def _start(self, folder: Path) -> RunningProxy:
        server = await asyncio.start_server(upstream, "127.0.0.1", 0)
        self._own.stack.callback(server.close)
        self._port = server.sockets[0].getsockname()[1]
        return await self._own.stack.enter_async_context(run_proxy(self._config(0), folder, [Acts]))

    def _config(self, number: int) -> str:
        return CONFIG.format(port=self._port, **CONFIGS[number])

    async def responses(self, steps: list[Asked | int], *, keeps: bool) -> list[bytes]:
        """Take the steps; return the responses.

        :param keeps: over one connection, as long as it is kept; otherwise each over a new one.
        """
        await self._gateway.reload(self._config(0))
        client, responses = None, []
        for step in steps:
            if isinstance(step, int):
                await self._gateway.reload(self._config(step))
                continue
            client = client or await self._gateway.connect()
            for part in step.parts():
                await client.send(part)
                await asyncio.sleep(0)
            response = await asyncio.wait_for(read_response(client, step.method), 30)
            is_last = b"\r\nConnection: close" in response
            # Whether an early response is a last one depends on how much of the body is there already.
            responses.append(response.replace(b"\r\nConnection: close", b"") if len(step.parts()) > 1 else response)
            if not keeps or is_last:
                client.close()
                client = None
        if client is not None:
            client.close()
        return responses

    async def counts_in_the_end(self) -> dict[str, int]:
        for _ in range(300):
            if not counts(self._gateway) and not len(self._gateway.proxy.holder.retirement):
                break
            await asyncio.sleep(0.01)
        found = counts(self._gateway)
        return found | {"snapshots": n} if (n := len(self._gateway.proxy.holder.retirement)) else found


async def read_response(client: Peer, method: str) -> bytes:
    head = await client.head()
    while head.startswith(b"HTTP/1.1 100"):
        head = await client.head()
    body = b""
    if method != "HEAD" and head[9:12] not in {b"204", b"304"}:
        if field(head, b"transfer-encoding"):
            body = await client.reader.readuntil(b"\r\n0\r\n\r\n")
        else:
            body = await client.exactly(int(field(head, b"content-length") or b"0"))
    return comparable(head) + re.sub(rb'"request_id": "[^"]*"', b"", body)


@pytest.fixture(scope="module", params=["asyncio", "uvloop"])
def gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("kept"), new_loop(request.param))
    try:
        yield running
    finally:
        running.stop()


DOINGS = (
    "", "", "path", "query", "method", "mark", "route", "response", "upstream", "header", "host", "wait", "status",
    "server", "add", "replace",
)  # fmt: skip
ASKED = st.builds(
    Asked,
    method=st.sampled_from(["GET", "GET", "HEAD", "POST", "PUT"]),
    target=st.sampled_from(["/a", "/a", "/a?b=c", "/kept/x", "/one/7", "/one/%37?", "/made/x", "/gone", "/a/../b"]),
    do=st.sampled_from(DOINGS),
    frame=st.sampled_from(["", "", "chunked", "204", "304", "503", "close"]),
    body=st.sampled_from(["", "at once", "in parts", "chunked", "expect"]),
    version=st.sampled_from(["1.1", "1.1", "1.1", "1.0"]),
)
# The same request again and again is what connections remember, so most steps repeat an earlier one.
STEPS = st.tuples(
    st.lists(ASKED, min_size=1, max_size=2),
    st.lists(st.one_of(st.integers(0, 2), st.integers(10, 100), st.integers(10, 100)), min_size=4, max_size=12),
).map(lambda drawn: [n if n < 10 else drawn[0][n % len(drawn[0])] for n in drawn[1]])


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_a_request_on_a_kept_connection_behaves_as_on_a_new_one(gateway: Running, steps: list[Asked | int]) -> None:
    kept = gateway.run(gateway.responses(steps, keeps=True))
    new = gateway.run(gateway.responses(steps, keeps=False))

    assert kept == new
    assert gateway.run(gateway.counts_in_the_end()) == {}
