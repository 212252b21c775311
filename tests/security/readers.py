"""How servers read the path of a request: real ones, and splitters that read as others do."""

from __future__ import annotations

import re
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes
from wsgiref.simple_server import WSGIRequestHandler, make_server

import uvicorn

from tests.programs import program

Reader = Callable[[str], "bytes | None"]
"""Takes a path as it goes upstream; returns the resource that the server finds in it, None if it refuses."""


def _merged(data: bytes) -> bytes:
    return re.sub(b"//+", b"/", data)


def _resolved(data: bytes) -> bytes:
    """Resolve dot segments (RFC 3986 section 5.2.4)."""
    kept: list[bytes] = []
    for segment in data.split(b"/")[1:]:
        if segment == b"..":
            del kept[-1:]
        elif segment != b".":
            kept.append(segment)
    return b"/" + b"/".join(kept)


def tomcat(path: str) -> bytes | None:
    """Cut path parameters from each segment, decode, merge slashes, resolve dots (Catalina's CoyoteAdapter)."""
    cut = "/".join(segment.partition(";")[0] for segment in path.split("/"))
    if re.search("%2f|%5c", cut, re.IGNORECASE) or "\\" in cut:
        return None
    return _resolved(_merged(unquote_to_bytes(cut)))


def jetty(path: str) -> bytes | None:
    """Decode, then cut path parameters, as older servlet containers and URL libraries do."""
    decoded = unquote_to_bytes(path)
    return _resolved(_merged(b"/".join(segment.partition(b";")[0] for segment in decoded.split(b"/"))))


def apache(path: str) -> bytes | None:
    """Decode, refuse encoded slashes, resolve dots, merge slashes (httpd with its defaults)."""
    return None if re.search("%2f|%00", path, re.IGNORECASE) else _merged(_resolved(unquote_to_bytes(path)))


def spring(path: str) -> bytes | None:
    """Cut what is between ``;`` and the next ``/`` before anything else (UrlPathHelper)."""
    return _resolved(_merged(unquote_to_bytes(re.sub(";[^/]*", "", path))))


def iis(path: str) -> bytes | None:
    """Decode, take backslashes for slashes, resolve dots, drop dots and spaces at the ends of segments, forget case."""
    decoded = _resolved(_merged(unquote_to_bytes(path).replace(b"\\", b"/")))
    return b"/".join(segment.rstrip(b". ") for segment in decoded.split(b"/")).lower()


def _ask(connection: HTTPConnection, path: str) -> bytes | None:
    connection.putrequest("GET", path)
    connection.endheaders()
    response = connection.getresponse()
    body = response.read()
    return body if response.status == 200 else None


@contextmanager
def nginx(folder: Path) -> Iterator[int]:
    """Run nginx, which says what it takes for the path; yield its port."""
    binary = program("nginx", "nginx-light")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log; events {{}}\n"
        f"http {{ access_log off; {temporary} large_client_header_buffers 4 64k; keepalive_requests 1000000;\n"
        f"server {{ listen 127.0.0.1:{port}; location / {{ default_type text/plain; return 200 $uri; }} }} }}\n"
    )
    process = subprocess.Popen([binary, "-p", folder, "-c", folder / "nginx.conf"], stderr=subprocess.PIPE)
    try:
        _wait_for(port)
        yield port
    finally:
        process.terminate()
        process.communicate()


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


@contextmanager
def wsgi() -> Iterator[int]:
    """Run wsgiref's server with an application that says its PATH_INFO; yield its port."""

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [environ["PATH_INFO"].encode("latin-1")]

    with make_server("127.0.0.1", 0, application, handler_class=_Silent) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@contextmanager
def asgi() -> Iterator[int]:
    """Run uvicorn with an application that says its path; yield its port."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["path"].encode("utf-8", "surrogateescape")})

    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(application, log_config=None, lifespan="off", http="h11", ws="none")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join()


def _wait_for(port: int) -> None:
    for _ in range(1000):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 5):
            return
        threading.Event().wait(0.01)
    raise TimeoutError(f"nothing listens at port {port}")


def reader_at(port: int) -> Reader:
    """Return a reader that asks the server at a port."""

    def read(path: str) -> bytes | None:
        connection = HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            return _ask(connection, path)
        finally:
            connection.close()

    return read
