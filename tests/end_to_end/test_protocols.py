"""A running gateway between clients and upstreams of HTTP/1 and HTTP/2: every pair works the same, side by side."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.end_to_end.kit import PATIENCE, Client, Gateway, Upstream, get
from tests.end_to_end.test_metrics import total, until
from tests.protocols.bridges import http2_in_front_of, http2_to

pytestmark = pytest.mark.one_protocol(reason="its clients have a bridge to HTTP/2 of their own, beside HTTP/1")

Start = Callable[..., Gateway]

CONFIG = """
listen: "127.0.0.1:0"
workers: {workers}
admin: {{listen: "unix:{folder}/admin.sock"}}
plugins:
  - {{name: logger, config: {{path: {folder}/access.log, fields: [method, path, status, bytes_sent, route, upstream]}}}}
upstreams:
  - {{name: up-http1, endpoints: [{{url: "{http1}"}}]}}
  - {{name: up-http2, protocol: http2, endpoints: [{{url: "{http2}"}}]}}
routes:
  - {{id: to-http1, path_prefix: /http1, target: up-http1}}
  - {{id: to-http2, path_prefix: /http2, target: up-http2, mirror: {{target: up-http1}}}}
"""


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as running:
        yield running


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


async def config(upstream: Upstream, stack: AsyncExitStack, folder: Path, workers: int = 1) -> str:
    """Return a configuration with an upstream that is spoken to over both."""
    port = await stack.enter_async_context(http2_in_front_of(port_of(upstream.url)))
    return CONFIG.format(workers=workers, folder=folder, http1=upstream.url, http2=f"http://127.0.0.1:{port}")


async def over_http2(url: str, stack: AsyncExitStack) -> str:
    """Return the URL over which clients speak HTTP/2 to a gateway."""
    return f"http://127.0.0.1:{await stack.enter_async_context(http2_to(port_of(url)))}"


def has_two_requests(route: str, text: str) -> bool:
    return total(text, "gateway_requests_total", route=route) == 2


async def test_every_pair_has_the_same_responses_log_lines_and_counts(
    start: Start, upstream: Upstream, stack: AsyncExitStack, tmp_path: Path
) -> None:
    gateway = start(await config(upstream, stack, tmp_path))
    url = await gateway.ready()
    urls = [url, await over_http2(url, stack)]

    for each in urls:
        assert await get(each, "/http1/a") == (200, "one GET /http1/a HTTP/1.1")
        assert await get(each, "/http2/a") == (200, "one GET /http2/a HTTP/1.1")
        assert (await get(each, "/none"))[0] == 404

    admin = f"unix:{tmp_path}/admin.sock"
    for route in ("to-http1", "to-http2"):
        await until(admin, partial(has_two_requests, route))
    # The copies of what goes over HTTP/2 go to the same upstream over HTTP/1.
    async with asyncio.timeout(PATIENCE):
        while upstream.seen.count("GET /http2/a HTTP/1.1") < 4:  # noqa: ASYNC110 - it knows no event
            await asyncio.sleep(0.01)
    await gateway.stops()
    lines = [json.loads(line) for line in (tmp_path / "access.log").read_text().splitlines()]
    assert len(lines) == 6
    assert lines[:3] == lines[3:]
    assert [(line["status"], line.get("upstream")) for line in lines[:3]] == [
        (200, "up-http1"), (200, "up-http2"), (404, None),
    ]  # fmt: skip


@pytest.mark.parametrize("workers", [1, 2])
async def test_streams_in_progress_outlive_a_reload_and_a_restart_and_end_with_the_drain(
    start: Start, upstream: Upstream, stack: AsyncExitStack, tmp_path: Path, workers: int
) -> None:
    text = await config(upstream, stack, tmp_path, workers)
    gateway = start(text)
    url = await gateway.ready()
    clients = []
    for each in (url, await over_http2(url, stack)):
        for path in ("/http1/slow", "/http2/slow"):
            clients.append(client := await Client.to(each))
            await client.send(path)
    async with asyncio.timeout(PATIENCE):
        while sum("/slow" in line for line in upstream.seen) < 4:  # noqa: ASYNC110 - it knows no event
            await asyncio.sleep(0.01)

    await gateway.rewrites(text.replace("id: to-http1", "id: reloaded"))
    assert (await get(url, "/http1/b"))[0] == (await get(await over_http2(url, stack), "/http2/b"))[0] == 200
    gateway.signal(signal.SIGTERM)
    await gateway.says("stopping")
    upstream.go.set()

    for client in clients:
        status, body = await asyncio.wait_for(client.answer(), PATIENCE)
        assert (status, body.startswith("one GET /http")) == (200, True)
        client.close()
    assert await gateway.ends() == 0, gateway.text
