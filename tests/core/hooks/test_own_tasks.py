"""Tasks that hooks start by asyncio's own means are known by their binding."""

from __future__ import annotations

import asyncio
import gc
import re
from collections.abc import Iterator
from typing import Any

import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Record, Request, Response
from gateway_core.testing import RunningGateway, ScriptedUpstream, eventually


async def fail() -> None:
    raise LookupError("nothing is there")


async def fail_within() -> None:
    await asyncio.sleep(0)
    asyncio.get_running_loop().create_task(fail())


class Starts(Plugin[Any]):
    """Starts a task that fails, in the hook that the path names, and keeps none."""

    name = "starts"

    def start_in(self, request: Request, hook: str) -> None:
        if request.path == f"/{hook}":
            asyncio.get_running_loop().create_task(fail())
        if request.path == f"/{hook}/within":
            asyncio.get_running_loop().create_task(fail_within())

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> Any:
        self.start_in(request, "plain")
        return self.go_on(request) if request.path.startswith("/awaited") else None

    async def go_on(self, request: Request) -> None:
        await asyncio.sleep(0)
        self.start_in(request, "awaited")

    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> None:
        self.start_in(request, "response")

    @hookimpl
    async def gateway_log(self, request: Request, response: Response, record: Record) -> None:
        self.start_in(request, "log")


class Handles(Plugin[Any]):
    """Awaits what it started, and copes with its failure."""

    name = "handles"

    @hookimpl
    async def gateway_pre_proxy(self, request: Request) -> Response:
        done = await asyncio.gather(fail(), return_exceptions=True)
        return Response.text(repr(done))


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as running:
        yield running


def gateway(upstream: ScriptedUpstream, plugins: str) -> RunningGateway:
    config = f"routes: [{{id: all, path_prefix: /, target: '{upstream.url}', plugins: [{plugins}]}}]\n"
    return RunningGateway(config, plugins=[Starts, Handles])


def lines(running: RunningGateway) -> list[str]:
    gc.collect()  # asyncio reports an exception once nothing refers to its task
    return [each.getMessage() for each in running.logs if getattr(each, "event", "") == "plugin.task_failed"]


@pytest.mark.parametrize("hook", ["plain", "awaited", "response", "log"])
@pytest.mark.parametrize("deep", ["", "/within"])
def test_a_failure_is_logged_and_counted_with_the_binding_and_the_hook(
    upstream: ScriptedUpstream, hook: str, deep: str
) -> None:
    phase = {"response": "gateway_response", "log": "gateway_log"}.get(hook, "gateway_pre_proxy")
    with gateway(upstream, "{name: starts, id: first}, {name: starts, id: second}") as running:
        assert running.get(f"/{hook}{deep}").status == 200

        found = sorted(eventually(lambda: lines(running) if len(lines(running)) == 2 else []))

        for binding, line in zip(["first", "second"], sorted(found, key=lambda each: "second" in each), strict=True):
            assert f"{phase} of binding '{binding}' of plugin 'starts' (on route 'all') started" in line
            assert "LookupError: nothing is there" in line
        counted = re.findall(r"^gateway_plugin_task_errors_total{(.*)} 1.0$", running.metrics(), re.MULTILINE)
        assert sorted(counted) == [f'binding="{each}",plugin="starts"' for each in ("first", "second")]


def task_errors(running: RunningGateway) -> float:
    counted = re.findall(r"^gateway_plugin_task_errors_total{.*} (.*)$", running.metrics(), re.MULTILINE)
    return sum(map(float, counted))


def test_failures_that_repeat_themselves_are_one_line(upstream: ScriptedUpstream) -> None:
    with gateway(upstream, "{name: starts}") as running:
        for _ in range(20):
            running.get("/plain")

        eventually(lambda: gc.collect() >= 0 and task_errors(running) > 0)
        assert len(lines(running)) == 1


def test_what_a_hook_awaits_itself_is_no_failure(upstream: ScriptedUpstream) -> None:
    with gateway(upstream, "{name: handles}") as running:
        assert "LookupError" in running.get("/").text

        assert lines(running) == []
        assert task_errors(running) == 0


def test_what_is_no_hooks_task_is_reported_as_asyncio_does(
    upstream: ScriptedUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    async def start() -> None:
        asyncio.get_running_loop().create_task(fail())

    with gateway(upstream, "") as running:
        running._thread.run(start())

        eventually(lambda: gc.collect() >= 0 and "Task exception was never retrieved" in caplog.text)
        assert lines(running) == []
