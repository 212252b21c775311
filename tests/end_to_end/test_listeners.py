"""Listeners of several processes, asked by curl."""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import pytest

from tests.core.process.certificates import Pair, make
from tests.end_to_end.kit import Gateway, Upstream

pytestmark = pytest.mark.slow

Start = Callable[..., Gateway]

WORKERS = pytest.mark.parametrize("workers", [1, 2])


VERSIONS = cycle(["--http2", "--http2", "--http1.1", "--http1.1"])
"""What one request after the other speaks; also where every second one is of one kind."""


async def curl(*arguments: str) -> str:
    """Return what curl shows, the certificate and the client included."""
    process = await asyncio.create_subprocess_exec(
        "curl", "-sS", "--max-time", "30", next(VERSIONS), *arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    out, _ = await process.communicate()
    return out.decode()


def listener(pair: Pair, host: str, tls: str = "", keys: str = "") -> str:
    return f"{{address: '127.0.0.1:0', hosts: [{host}], {keys} tls: {{cert: {pair.cert}, key: {pair.key}, {tls}}}}}"


def config(upstream: Upstream, workers: int, *listeners: str) -> str:
    return (
        f"workers: {workers}\nlisten: [{', '.join(listeners)}]\n"
        f"routes: [{{id: all, path_prefix: /, target: '{upstream.url}'}}]\n"
    )


@WORKERS
async def test_listeners_share_an_address_in_every_worker(
    start: Start, upstream: Upstream, tmp_path: Path, workers: int
) -> None:
    web, partners, client = (make(tmp_path, name, f"{name}.test") for name in ("web", "partners", "client"))
    both = [listener(web, "web.test"), listener(partners, "partners.test", f"client_ca: {client.cert}")]
    gateway = start(config(upstream, workers, *both))
    url = await gateway.ready()
    port = url.rpartition(":")[2]
    assert len(re.findall(r"https://127\.0\.0\.1:\d+", gateway.text)) == 1

    def ask(pair: Pair, name: str, *more: str) -> list[str]:
        to = ["--resolve", f"{name}.test:{port}:127.0.0.1", "--cacert", str(pair.cert)]
        return [*to, *more, f"https://{name}.test:{port}/x"]

    certificate = ["--cert", str(client.cert), "--key", str(client.key)]
    for _ in range(6):  # whichever worker takes it
        assert await curl(*ask(web, "web")) == "one GET /x HTTP/1.1"
        assert await curl(*ask(partners, "partners", *certificate)) == "one GET /x HTTP/1.1"
        assert "curl: (" in await curl(*ask(partners, "partners"))

    await gateway.rewrites(config(upstream, workers, both[0]))
    for _ in range(6):
        assert await curl(*ask(web, "web")) == "one GET /x HTTP/1.1"
        assert await curl(*ask(web, "partners", "--insecure")) == "one GET /x HTTP/1.1"

    await gateway.rewrites(config(upstream, workers, *both))
    for _ in range(6):
        assert await curl(*ask(partners, "partners", *certificate)) == "one GET /x HTTP/1.1"
    await gateway.stops()


@WORKERS
async def test_headers_of_the_proxy_protocol_are_wanted_by_every_worker(
    start: Start, upstream: Upstream, tmp_path: Path, workers: int
) -> None:
    pair = make(tmp_path, "web", "web.test")
    gateway = start(config(upstream, workers, listener(pair, "web.test", keys="proxy_protocol: true,")))
    url = await gateway.ready()

    for _ in range(6):
        assert await curl("--haproxy-protocol", "--insecure", f"{url}/x") == "one GET /x HTTP/1.1"
        assert "curl: (" in await curl("--insecure", f"{url}/x")
    await gateway.stops()


@WORKERS
async def test_a_request_without_tls_is_told_what_the_port_expects(
    start: Start, upstream: Upstream, tmp_path: Path, workers: int
) -> None:
    gateway = start(config(upstream, workers, listener(make(tmp_path, "web"), "web.test")))
    url = (await gateway.ready()).replace("https://", "http://")

    out = await curl("--include", f"{url}/x")

    assert out.startswith("HTTP/1.1 400 ")
    assert "use https" in out
    await gateway.stops()
