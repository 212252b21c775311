"""Requests over both protocols to a gateway whose routes are under test."""

from __future__ import annotations

from dataclasses import dataclass

from tests.core.proxy.downstream.http2_client import http2
from tests.core.proxy.kit import RunningProxy

VERSIONS = ("1.1", "2")


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    """By lower-cased name; the last field of each."""
    body: bytes


async def request(
    gateway: RunningProxy, version: str, url: str, *fields: tuple[str, str], method: str = "GET"
) -> Reply:
    """Send a request for ``host/path`` and return the response."""
    host, slash, path = url.partition("/")
    target = slash + path
    if version == "2":
        async with http2(gateway) as client:
            lowered = [(name.lower(), value) for name, value in fields]
            got = await client.ask(*lowered, method=method, path=target, authority=host)
        return Reply(got.status, got.headers, got.body)
    lines = "".join(f"{name}: {value}\r\n" for name, value in (("Host", host), *fields))
    status, head, body = await gateway.ask(f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode())
    named = [line.partition(b":") for line in head.split(b"\r\n")[1:] if line]
    return Reply(status, {name.decode().lower(): value.decode().strip() for name, _, value in named}, body)
