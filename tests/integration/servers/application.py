"""One application in WSGI and ASGI, for servers that run Python. Only the standard library: gunicorn is Debian's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

TEXT = b"The quick brown fox jumps over the lazy dog.\n" * 2_800
PIECES = [b"first\n", b"second\n" * 2_000, b"third\n"]

Pairs = list[tuple[str, str]]
Plain = tuple[int, Pairs, list[bytes]]


def respond(method: str, path: str, body: bytes) -> Plain:
    """Return status, fields and pieces of a body; several pieces have no length."""
    match path:
        case "/text":
            return 200, [("Content-Type", "text/plain"), ("Content-Length", str(len(TEXT)))], [TEXT]
        case "/stream":
            return 200, [("Content-Type", "text/plain")], PIECES
        case "/nothing":
            return 204, [], []
        case "/not-modified":
            return 304, [("ETag", '"v1"')], []
        case "/moved":
            return 302, [("Location", "/elsewhere?a=b"), ("Content-Length", "0")], []
        case "/cookies":
            cookies = [("Set-Cookie", "a=1; Path=/"), ("Set-Cookie", "b=2; Path=/"), ("Content-Length", "2")]
            return 200, cookies, [b"ok"]
        case "/failed":
            return 500, [("Content-Length", "6")], [b"failed"]
        case _:
            return 200, [("X-Method", method), ("Content-Length", str(len(body)))], [body]


REASONS = {200: "OK", 204: "No Content", 302: "Found", 304: "Not Modified", 500: "Internal Server Error"}


def wsgi(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Serve one request by PEP 3333."""
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
    length = environ.get("CONTENT_LENGTH")
    if length:
        body = environ["wsgi.input"].read(int(length))
    else:  # in chunks, which gunicorn decodes and wsgiref does not
        body = environ["wsgi.input"].read() if environ.get("HTTP_TRANSFER_ENCODING") else b""
    status, fields, pieces = respond(method, path, body)
    start_response(f"{status} {REASONS[status]}", fields)
    return [] if method == "HEAD" else pieces


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    """Serve one request by ASGI 3."""
    assert scope["type"] == "http"
    body, more = b"", True
    while more:
        event = await receive()
        body, more = body + event.get("body", b""), event.get("more_body", False)
    status, fields, pieces = respond(scope["method"], scope["path"], body)
    headers = [(name.lower().encode(), value.encode()) for name, value in fields]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    for piece in pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
