"""Every row of `wire_attacks`, whole, cut in two and byte by byte, with another request behind it.

The upstream reads strictly and by a reader of its own, and what it gets must be valid to the letter.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from tests.core.proxy.kit import Peer, RunningProxy, fields, run_proxy
from tests.security.wire_attacks import ROWS

FOLLOWER = b"GET /follower HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
BYTE_BY_BYTE = 1000
"""Rows that are longer are not sent byte by byte."""


class Upstream:
    """Reads requests strictly, and keeps the path and the body of each."""

    def __init__(self) -> None:
        self._peers: list[Peer] = []
        self.seen: list[tuple[bytes, bytes]] = []
        self.faults: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        self._peers.append(peer)
        try:
            while True:
                head = await peer.head()
                body = await self._body(peer, head)
                self.seen.append((head.split(b" ")[1].partition(b"?")[0], body))
                await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            writer.close()

    async def close(self) -> None:
        for peer in self._peers:
            peer.reset()
        await asyncio.sleep(0)

    async def _body(self, peer: Peer, head: bytes) -> bytes:
        lengths, codings = fields(head, b"content-length"), fields(head, b"transfer-encoding")
        names = {line.partition(b":")[0].lower().replace(b"_", b"-") for line in head.split(b"\r\n")[1:]}
        is_odd = (b"content-length" in names and not lengths) or (b"transfer-encoding" in names and not codings)
        is_bare = head.count(b"\n") != head.count(b"\r\n") or head.count(b"\r") != head.count(b"\r\n")
        if is_odd or is_bare or len(lengths) + len(codings) > 1 or len(fields(head, b"host")) != 1:
            self.faults.append(head)
        if not codings:
            return await peer.exactly(int(lengths[0])) if lengths else b""
        body = b""
        while size := int((await peer.reader.readuntil(b"\r\n"))[:-2], 16):
            body += await peer.exactly(size)
            assert await peer.exactly(2) == b"\r\n"
        while (trailer := await peer.reader.readuntil(b"\r\n")) != b"\r\n":
            if not trailer.startswith(b"X-Fine:"):
                self.faults.append(trailer)
        return body


def pieces_of(data: bytes) -> list[list[bytes]]:
    """Return the ways in which some bytes are cut."""
    cuts = {0, 1, len(data) // 3, len(data) // 2, len(data) - len(FOLLOWER), len(data) - len(FOLLOWER) - 1}
    ways = [[data[:cut], data[cut:]] if cut else [data] for cut in sorted(cuts)]
    return ways if len(data) > BYTE_BY_BYTE else [*ways, [bytes([each]) for each in data]]


async def send(gateway: RunningProxy, pieces: list[bytes]) -> bytes:
    """Send pieces one after the other, each in a turn of the loop in which it can be read; return the responses."""
    peer = Peer(*await asyncio.open_connection("127.0.0.1", gateway.port))
    for piece in pieces:
        peer.writer.write(piece)
        for _ in range(3):
            await asyncio.sleep(0)
    async with asyncio.timeout(20):
        data = await peer.rest()
    peer.reset()
    return data


def fault_in(data: bytes, seen: list[tuple[bytes, bytes]], body: bytes | None) -> str | None:
    """Return what is wrong with the responses to a row and its follower, and with what the upstream got."""
    statuses = [int(each) for each in re.findall(rb"HTTP/1\.1 ([2-5]\d\d) ", data)]
    if body is None:
        refused = len(statuses) == 1 and statuses[0] >= 400 and b"\r\nConnection: close\r\n" in data
        return None if refused and (b"/follower", b"") not in seen else f"is not refused: {statuses}, {seen}"
    expected = [(b"/case", body), (b"/follower", b"")]
    return None if statuses == [200, 200] and seen == expected else f"is not served: {statuses}, {seen}"


async def attack(folder: Path) -> list[str]:
    """Send every row in every way, and return what is wrong."""
    upstream, found = Upstream(), []
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    config = f'routes: [{{id: all, path_prefix: /, target: "http://127.0.0.1:{port}"}}]'
    async with run_proxy(config, folder) as gateway:
        for name, row in ROWS.items():
            for pieces in pieces_of(row.data + FOLLOWER):
                upstream.seen.clear()
                data = await send(gateway, pieces)
                if fault := fault_in(data, upstream.seen, row.body):
                    found.append(f"{name}, cut at {len(pieces[0])}: {fault}")
    server.close()
    await upstream.close()
    return found + [f"reaches the upstream: {each!r}" for each in upstream.faults]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_a_request_has_one_reading_or_none_however_it_is_cut(
    run: Callable[[Coroutine[Any, Any, list[str]]], list[str]], tmp_path: Path
) -> None:
    assert run(attack(tmp_path)) == []
