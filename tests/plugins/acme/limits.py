"""A reverse proxy in front of an authority, as Let's Encrypt has one: it refuses requests before they reach it."""

from __future__ import annotations

import http.client
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.plugins.acme.pebble import Pebble

Refusal = tuple[int, dict[str, str], bytes]

LIMITED = b'{"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many certificates already issued"}'


def limited(retry_after: str, body: bytes = LIMITED) -> Refusal:
    return 429, {"Content-Type": "application/problem+json", "Retry-After": retry_after}, body


@dataclass
class Front:
    """The proxy: what it refuses, and what it was asked for."""

    port: int = 0
    refuse: Callable[[str], Refusal | None] = lambda path: None
    """Returns the refusal of a request by its path; None passes it on."""
    keep: Callable[[str, Refusal], object] = lambda path, response: None
    """Called with the path of each request that is passed on, and its response."""
    asked: list[str] = field(default_factory=list)
    ca: str = ""

    def config(self) -> dict[str, Any]:
        """Return the entry of ``authorities``."""
        return {"url": f"https://127.0.0.1:{self.port}/dir", "ca": self.ca}

    def orders(self) -> int:
        """Return how often a certificate was asked for."""
        return self.asked.count("/order-plz")


@contextmanager
def in_front_of(pebble: Pebble) -> Iterator[Front]:
    """Run a proxy that has the authority's own certificate, and keeps the Host that its URLs are made of."""
    front = Front(ca=str(pebble.ca))
    trust = ssl.create_default_context(cafile=str(pebble.ca))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            front.asked.append(self.path)
            refusal = front.refuse(self.path)
            if refusal is None:
                upstream = http.client.HTTPSConnection("127.0.0.1", pebble.port, context=trust, timeout=20)
                upstream.request(self.command, self.path, body, dict(self.headers.items()))
                response = upstream.getresponse()
                refusal = response.status, dict(response.getheaders()), response.read()
                upstream.close()
                front.keep(self.path, refusal)
            status, fields, content = refusal
            self.send_response_only(status)
            for name, value in fields.items():
                if name.lower() not in {"content-length", "transfer-encoding", "connection"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_POST = do_HEAD = handle_one  # noqa: N815 - the names that the library asks for

        def log_message(self, *_: Any) -> None:
            """Write nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pebble.ca, pebble.ca.with_suffix(".key"))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    front.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield front
    finally:
        server.shutdown()
        server.server_close()
