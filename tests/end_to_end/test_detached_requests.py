"""Requests that plugins send without their clients, while the gateway stops, reloads, and loses a worker."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.end_to_end.kit import Gateway, Upstream, eventually, get, get_over_both

pytestmark = pytest.mark.timeout(300)

PLUGIN = """
import os
from gateway_plugin_sdk import Plugin, Response, hookimpl

class Later(Plugin[None]):
    name = "later"

    @hookimpl
    async def gateway_pre_proxy(self, request):
        if request.path == "/slow":
            self.spawn(self._send(request.detach()))
            return Response(202, body=b"%d" % os.getpid())
        if request.path == "/forward":
            request.raw_path = "/slow"
            return await request.forward()
        if request.path.startswith("/get/"):
            value = await self.shared.get(request.path[5:])
            return Response(200, body=value or b"none")

    async def _send(self, copy):
        response = await copy.forward()
        await self.shared.put("body", await response.read())
"""


@pytest.fixture
def start(start: Callable[..., Gateway], tmp_path: Path) -> Callable[[str], Gateway]:
    folder = tmp_path / "site"
    metadata = folder / "later-1.0.dist-info"
    metadata.mkdir(parents=True)
    (folder / "later_plugin.py").write_text(PLUGIN)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: later\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[gateway.plugins]\nlater = later_plugin:Later\n")
    return partial(start, environ={"PYTHONPATH": str(folder), "XDG_RUNTIME_DIR": str(tmp_path)})


def config(upstream: Upstream, workers: int, more: str = "") -> str:
    return (
        f"listen: 127.0.0.1:0\nworkers: {workers}\nshutdown_timeout: 30s\n"
        f"routes: [{{id: it, path_prefix: /, target: '{upstream.url}', plugins: [{{name: later}}]}}]\n{more}"
    )


@pytest.mark.parametrize("workers", [1, 2])
async def test_the_gateway_stops_when_a_detached_request_is_over(
    start: Callable[[str], Gateway], upstream: Upstream, workers: int
) -> None:
    gateway = start(config(upstream, workers))
    url = await gateway.ready()
    assert (await get_over_both(url, "/slow"))[0] == 202
    await upstream.waiting.wait()

    gateway.signal(signal.SIGTERM)
    await gateway.says("(draining|stopping|shutting down)")
    upstream.go.set()

    assert await gateway.ends() == 0


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_reload_does_not_end_a_detached_request(
    start: Callable[[str], Gateway], upstream: Upstream, workers: int
) -> None:
    gateway = start(config(upstream, workers))
    url = await gateway.ready()
    assert (await get(url, "/slow"))[0] == 202
    await upstream.waiting.wait()

    await gateway.rewrites(config(upstream, workers, "limits: {max_body_bytes: 1MiB}\n"))
    upstream.go.set()

    await eventually(url, "/get/body", f"{upstream.name} GET /slow HTTP/1.1")
    await gateway.stops()


async def test_a_worker_that_dies_takes_its_detached_request_along_and_nothing_else(
    start: Callable[[str], Gateway], upstream: Upstream
) -> None:
    gateway = start(config(upstream, 2))
    url = await gateway.ready()
    status, pid = await get(url, "/slow")
    assert status == 202
    await upstream.waiting.wait()

    os.kill(int(pid), signal.SIGKILL)
    await gateway.says("ended unexpectedly")
    upstream.go.set()

    assert (await get(url, "/forward"))[0] == 200
    assert (await get(url, "/get/body"))[1] == "none"
    assert upstream.seen == ["GET /slow HTTP/1.1"] * 2
    await gateway.stops()
