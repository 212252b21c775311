"""A source sends anything at all: its last good document stays, edits and SIGHUP work, and it is followed again."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from gateway_core.testing.stream_server import StreamServer

from tests.end_to_end.kit import PATIENCE, Gateway, Upstream, eventually, get, get_over_both

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

Start = Callable[..., Gateway]


def sent(body: bytes, kind: str = "application/yaml", more: str = "") -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode() + body


def bomb() -> bytes:
    """Return a document whose aliases stand for a billion items."""
    lines = [b"a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for level in range(1, 9):
        aliases = b", ".join([b"*a%d" % (level - 1)] * 10)
        lines.append(b"a%d: &a%d [%b]" % (level, level, aliases))
    return b"\n".join(lines)


REPLIES = {
    "an empty document": sent(b""),
    "zeros": sent(b"\0" * 1000),
    "HTML": sent(b"<html>log in</html>", "text/html"),
    "JSON that is cut": sent(b'{"routes": [1,', "application/json"),
    "an alias bomb": sent(bomb()),
    "a deep document": sent(b"[" * 20_000),
    "a number": sent(b"42"),
    "no UTF-8": sent(b"\xff\xfe\xff"),
    "an error": b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
    "a redirect": b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
    "another protocol": b"SSH-2.0-other\r\n",
    "half a body": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nroutes",
    "a bad chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nabc",
    "a compressed body": sent(b"abc", more="Content-Encoding: gzip\r\n"),
    "an unknown key": sent(b"nonsense: 1\n"),
    "a YAML tag": sent(b'!!python/object/apply:os.system ["true"]'),
    "a long number": sent(b"workers: " + b"9" * 5000),
    "nothing": b"",
}


class Server:
    """Sends the same bytes to every request, and closes."""

    def __init__(self) -> None:
        self.reply = b""
        self.requested = asyncio.Event()
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(self.reply)
        await writer.drain()
        self.requested.set()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    listening = StreamServer(server.serve)
    server.port = await listening.start()
    yield server
    await listening.close()


def route(name: str, upstream: Upstream) -> str:
    return f"routes: [{{id: {name}, path: /{name}, target: '{upstream.url}'}}]"


@pytest.mark.parametrize("workers", [1, 2])
async def test_whatever_a_source_sends_reloading_goes_on(
    start: Start, upstream: Upstream, server: Server, tmp_path: Path, workers: int
) -> None:
    server.reply = sent(route("remote", upstream).encode())
    admin = f"unix:{tmp_path}/admin"
    head = (
        f"listen: 127.0.0.1:0\nworkers: {workers}\nadmin: {{listen: '{admin}'}}\n"
        f"sources: [{{url: 'http://127.0.0.1:{server.port}/x?interval=50ms&timeout=5s'}}]\n"
    )
    gateway = start(head + route("p", upstream), "--state", str(tmp_path / "state"))
    url = await gateway.ready()

    for number, reply in enumerate(REPLIES.values()):
        server.reply = reply
        server.requested.clear()
        await asyncio.wait_for(server.requested.wait(), PATIENCE)
        gateway.config.write_text(head + route(f"p{number}", upstream))
        await eventually(url, f"/p{number}", "200")
        assert (await get_over_both(url, "/remote"))[0] == 200
        assert (await get(admin, "/ready"))[0] == 200

    assert "source" in (await get(admin, "/ready"))[1]
    server.reply = sent(route("back", upstream).encode())
    await eventually(url, "/back", "200")
    await eventually(admin, "/ready", "ready")
    after = len(gateway.lines)
    gateway.signal(signal.SIGHUP)
    await gateway.says("SIGHUP: configuration in force", after=after)
    assert "Traceback" not in gateway.text
    assert "task.failed" not in gateway.text
    await gateway.stops()
