"""Requests that go straight from the match to the upstream are no different from those that pass all phases."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import gateway_core
import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Request

from tests.core.proxy.kit import Peer, Proxied


class Hooked(Plugin[Any]):
    """Does nothing before the upstream, in one of the phases that are run without more than the match."""

    name = "hooked"

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> None: ...


class Matched(Plugin[Any]):
    """Does nothing in the other one."""

    name = "matched"

    @hookimpl
    def gateway_route_match(self, request: Request) -> None: ...


class Early(Plugin[Any]):
    """Does nothing before the match, so that requests pass all phases."""

    name = "early"

    @hookimpl
    def gateway_request(self, request: Request) -> None: ...


CORE = Path(gateway_core.__file__).parent

REQUESTS = [
    b"GET /a/b?c=d HTTP/1.1\r\nHost: x.example:81\r\nX-Own: 1\r\nAccept: */*\r\n\r\n",
    b"GET /a/b? HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nConnection: TE\r\n\r\n",
    b"HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET http://x/a HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /a HTTP/1.0\r\nHost: x\r\n\r\n",
    b"GET /a/%41%2Eb HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
    b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nover-long",
]

REPEATED = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
MOST_FILES = 10
"""Files of the core that a repeated GET passes at most: what it costs, and what has to be read to follow it."""

VARIES = re.compile(rb"(?i)x-request-id:|host: 127\.|x-forwarded-port:")
"""Lines of a head that differ from gateway to gateway."""


@pytest.mark.parametrize("sent", REQUESTS)
async def test_a_request_that_is_sent_straight_goes_upstream_as_one_that_passes_all_phases(
    proxied: Proxied, sent: bytes
) -> None:
    seen: dict[str, bytes] = {}
    statuses: dict[str, int] = {}

    for extra in ("", *[f"plugins: [{{name: {name}}}]" for name in ("hooked", "matched", "early")]):

        async def serve(peer: Peer, extra: str = extra) -> None:
            seen[extra] = await peer.head()
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

        gateway, _ = await proxied(
            serve, extra=f"limits: {{max_body_bytes: 8}}\n{extra}", plugins=[Hooked, Matched, Early]
        )
        client = await gateway.connect()
        await client.send(sent)
        statuses[extra] = int((await client.head())[9:12])

    heads = [[line for line in head.split(b"\r\n") if not VARIES.match(line)] for head in seen.values()]
    assert len(set(statuses.values())) == 1
    assert all(head == heads[0] for head in heads)


@pytest.mark.one_protocol(reason="counts the files of the path of HTTP/1")
async def test_a_repeated_request_passes_few_files(proxied: Proxied) -> None:
    async def serve(peer: Peer) -> None:
        while await peer.head():
            await peer.send(b"HTTP/1.1 200 OK\r\nDate: Sun, 22 Nov 2026 23:43:29 GMT\r\nContent-Length: 2\r\n\r\nok")

    gateway, _ = await proxied(serve)
    client = await gateway.connect()
    files: set[str] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(CORE):
            files.add(str(path.relative_to(CORE)))

    for is_known in (False, False, True):
        sys.setprofile(note if is_known else None)
        try:
            await client.send(REPEATED)
            await client.response()
        finally:
            sys.setprofile(None)

    assert len(files) <= MOST_FILES, "\n".join(sorted(files))
    assert "proxy/exchange.py" in files
