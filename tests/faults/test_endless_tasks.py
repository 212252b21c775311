"""Every endless task of a running gateway fails, is logged once, counted and shown, and goes on when that is mended."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import web

from tests.end_to_end.environment import Environment
from tests.end_to_end.kit import PATIENCE, Gateway, Upstream, eventually, get, get_over_both
from tests.faults.saboteur import Saboteur

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

Start = Callable[..., Gateway]

TASKS = [
    "watch the configuration",
    "reload the configuration",
    "watch the installed plugins",
    "restart on SIGUSR2",
    "follow http",
    "gather changes of sources",
    "health check of",
    "discovery of found",
]
ONLY_OF_WORKERS = ["replace worker", "replace the watcher", "pass findings to", "send what is found"]


class Site:
    """Serves one document of a source."""

    def __init__(self) -> None:
        self.text = "routes: []"
        self.url = ""

    async def respond(self, _request: web.Request) -> web.Response:
        return web.Response(text=self.text, content_type="application/yaml")


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    site = Site()
    application = web.Application()
    application.router.add_get("/routes.yaml", site.respond)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    site.url = f"http://127.0.0.1:{runner.addresses[0][1]}/routes.yaml"
    yield site
    await runner.cleanup()


def config(upstream: Upstream, site: Site, admin: Path, workers: int, path: str) -> str:
    endpoints = f"endpoints: [{{url: '{upstream.url}'}}], health_check: {{path: /healthy, interval: 50ms}}"
    found = "discovery: {name: dns, config: {host: localhost, port: 9, interval: 100ms}}"
    return (
        f"listen: 127.0.0.1:0\nworkers: {workers}\nadmin: {{listen: 'unix:{admin}'}}\n"
        f"sources: [{{url: '{site.url}?interval=50ms'}}]\n"
        f"upstreams: [{{name: one, {endpoints}}}, {{name: found, {found}}}]\n"
        f"routes: [{{id: it, path: {path}, target: one}}, {{id: found, path: /found, target: found}}]\n"
    )


async def says_ready(admin: Path, holds: Callable[[str], bool]) -> str:
    """Ask for readiness until the body is as it should be; the status is 200 all the time, and so is ``/healthz``."""
    async with asyncio.timeout(PATIENCE):
        while True:
            status, body = await get(f"unix:{admin}", "/ready")
            assert status == 200, body
            assert (await get(f"unix:{admin}", "/healthz"))[0] == 200
            if holds(body):
                return body
            await asyncio.sleep(0.1)


@pytest.mark.parametrize(
    ("workers", "task", "kind"),
    [
        *((1, task, "defect") for task in TASKS),
        *((2, task, "defect") for task in (*TASKS, *ONLY_OF_WORKERS)),
        *((workers, "reload the configuration", kind) for workers in (1, 2) for kind in ("cancel", "exit", "disk")),
        *((2, task, "cancel") for task in ("watch the configuration", "health check of", "replace worker")),
    ],
)
async def test_a_task_that_fails_is_shown_and_goes_on_once_the_cause_is_mended(
    start: Start,
    upstream: Upstream,
    environment: Environment,
    site: Site,
    tmp_path: Path,
    workers: int,
    task: str,
    kind: str,
) -> None:
    saboteur, admin = Saboteur(environment), tmp_path / "admin"
    gateway = start(config(upstream, site, admin, workers, "/first"), python=environment.python)
    url = await gateway.ready()

    saboteur.fail(task, kind)
    await gateway.says(f"task.failed.*task {task}.* failed, and begins again")
    body = await says_ready(admin, lambda text: f"task {task}" in text)
    assert "degraded" in body
    assert (await get_over_both(url, "/first"))[0] == 200
    _, metrics = await get(f"unix:{admin}", "/metrics")
    assert f'gateway_task_failures_total{{task="{task}' in metrics

    saboteur.mend()
    gateway.config.write_text(config(upstream, site, admin, workers, "/second"))
    await eventually(url, "/second", "200")
    site.text = f"routes: [{{id: remote, path: /remote, target: '{upstream.url}'}}]"
    await eventually(url, "/remote", "200")
    after = len(gateway.lines)
    gateway.signal(signal.SIGHUP)
    await gateway.says("SIGHUP.*: configuration in force", after=after)
    await says_ready(admin, lambda text: "task" not in text)
    traces = [line for line in gateway.lines if line.strip().startswith("Traceback")]
    assert len(traces) <= 1 + workers
    await gateway.stops()
