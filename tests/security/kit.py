"""A gateway with one protected and one open route, an upstream that records what it was asked for, and raw requests."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Request, Response

from tests.core.proxy.kit import RunningProxy, field, run_proxy

TOKEN: Final = "Authorization: Bearer right"


class Guard(Plugin[Any]):
    """Lets nothing pass without the token."""

    name = "guard"

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> Response | None:
        return None if request.headers.get("authorization") == "Bearer right" else Response.problem(401)


class Form(NamedTuple):
    """One way to protect ``/admin/x``: the keys of the route, a rewrite that goes with them, and what that makes."""

    match: str
    rewrite: str = "strip_path: true"
    rewritten: str = "/x"


FORMS: Final = {
    "prefix": Form("path_prefix: /admin"),
    "exact": Form("path: /admin/x", rewritten="/"),
    "pattern": Form("path: /admin/:id", 'rewrite: {template: "/v2/:id/of/:id"}', "/v2/x/of/x"),
    "tail": Form('path: "/admin/*rest"'),
    "regex": Form('path_regex: "/admin/(?P<rest>.*)", priority: 1', 'rewrite: {template: "/v2/:rest"}', "/v2/x"),
    "hosts": Form('path_prefix: /admin, hosts: [h, "*.h"]', "rewrite: {prefix: /v2}", "/v2/x"),
    "methods": Form("path_prefix: /admin, methods: [GET, HEAD, POST, ODD]"),
}


def config(form: Form, url: str, *, rewrites: bool = False, guards: bool = True, more: str = "") -> str:
    rewrite = f", {form.rewrite}" if rewrites else ""
    plugins = ", plugins: [{name: guard}]" if guards else ""
    return f"""
{more}
routes:
  - {{id: guarded, {form.match}, target: "{url}"{plugins}{rewrite}}}
  - {{id: open, path_prefix: /, target: "{url}"{", rewrite: {prefix: /open}" if rewrites else ""}}}
"""


class Upstream:
    """Responses every request with 200 and keeps its request-target."""

    def __init__(self) -> None:
        self.port = 0
        self.targets: list[str] = []
        self._writers: list[asyncio.StreamWriter] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                method, target, _ = head.split(b"\r\n", 1)[0].split(b" ")
                self.targets.append(target.decode("latin-1"))
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + (b"" if method == b"HEAD" else b"ok"))
        writer.close()

    def close(self) -> None:
        for writer in self._writers:
            writer.transport.abort()


class Client:
    """One connection to the gateway."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(self, target: bytes, method: str = "GET", *fields: str) -> int:
        """Send a request without a body; return the status of its response."""
        # The authority of an absolute target counts, not Host (RFC 9112 section 3.2.2).
        host = "evil" if b"://" in target.lower() else "h"
        lines = [f"Host: {host}", *fields, *(["Content-Length: 0"] if method == "POST" else [])]
        self._writer.write(
            method.encode() + b" " + target + b" HTTP/1.1\r\n" + "\r\n".join(lines).encode() + b"\r\n\r\n"
        )
        async with asyncio.timeout(20):
            head = await self._reader.readuntil(b"\r\n\r\n")
            if method != "HEAD":
                await self._reader.readexactly(int(field(head, b"content-length") or b"0"))
        return int(head[9:12])

    async def close(self) -> None:
        self._writer.transport.abort()
        with suppress(ConnectionError):
            await self._writer.wait_closed()


class Attacked:
    """A running gateway with its upstream."""

    def __init__(self, gateway: RunningProxy, upstream: Upstream, tls: ssl.SSLContext | None) -> None:
        self.gateway = gateway
        self.upstream = upstream
        self._tls = tls

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.gateway.port, ssl=self._tls))
        try:
            yield client
        finally:
            await client.close()

    async def ask(self, target: bytes, method: str = "GET", *fields: str) -> int:
        """Send one request over a connection of its own."""
        async with self.client() as client:
            return await client.ask(target, method, *fields)

    async def ask_behind(self, before: bytes, target: bytes) -> tuple[int, int]:
        """Send a request behind another one on the same connection, and again unless it was refused."""
        async with self.client() as client:
            assert await client.ask(before) == 200
            first = await client.ask(target)
            return first, first if first == 400 else await client.ask(target)


@asynccontextmanager
async def attacked(
    form: Form,
    folder: Path,
    *,
    rewrites: bool = False,
    guards: bool = True,
    tls: tuple[ssl.SSLContext, ssl.SSLContext] | None = None,
    more: str = "",
    plugins: tuple[type[Plugin[Any]], ...] = (),
) -> AsyncIterator[Attacked]:
    """Run a gateway whose route of this form protects ``/admin/x``."""
    upstream = Upstream()
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    upstream.port = server.sockets[0].getsockname()[1]
    text = config(form, upstream.url, rewrites=rewrites, guards=guards, more=more)
    own, clients = tls or (None, None)
    async with run_proxy(text, folder, [Guard, *plugins], own) as gateway:
        yield Attacked(gateway, upstream, clients)
    server.close()
    upstream.close()
    await asyncio.sleep(0)
