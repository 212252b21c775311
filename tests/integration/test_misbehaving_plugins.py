"""What a plugin that raises, hangs, blocks or only watches does to requests of a real gateway, and what is counted."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from gateway_core.clock import ManualClock
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Request, Response
from gateway_core.testing import RunningGateway, ScriptedUpstream, eventually
from gateway_plugin_sdk.testing import StartGateway


class Moody(Plugin[Any]):
    """Does what the path says."""

    name = "moody"

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> Any:
        if request.path == "/raise":
            raise RuntimeError("no luck")
        if request.path == "/interrupt":
            raise KeyboardInterrupt
        if request.path == "/cancelled":
            raise asyncio.CancelledError
        if request.path == "/nonsense":
            return 42
        if request.path == "/refuse":
            return Response(403)
        if request.path == "/block":
            time.sleep(0.3)  # what the guard is there to find
        request.headers["x-moody"] = "1"
        return None


class Hanging(Plugin[Any]):
    """Never comes back from /hang."""

    name = "hanging"

    @hookimpl
    async def gateway_pre_proxy(self, request: Request) -> None:
        if request.path == "/hang":
            await asyncio.Event().wait()
        if request.path == "/interrupt":
            raise KeyboardInterrupt
        if request.path == "/cancelled":
            raise asyncio.CancelledError


Run = Callable[..., RunningGateway]


@pytest.fixture
def run(gateway: StartGateway, upstream: ScriptedUpstream) -> Run:
    """Start a gateway with a binding."""

    def start(binding: str, clock: ManualClock | None = None) -> RunningGateway:
        config = f"plugins: [{{{binding}}}]\nroutes: [{{id: all, path_prefix: /, target: '{upstream.url}'}}]\n"
        return gateway(config, plugins=[Moody, Hanging], clock=clock)

    return start


def counted(running: RunningGateway, name: str) -> float:
    """Return a counter's sum over all labels."""
    return sum(
        float(value) for value in re.findall(rf"^{name}_total{{[^}}]*}} (\S+)$", running.metrics(), re.MULTILINE)
    )


@pytest.mark.parametrize("path", ["/raise", "/nonsense"])
@pytest.mark.parametrize(("on_error", "status"), [("deny", 500), ("continue", 200)])
def test_a_failing_hook_does_to_a_request_what_its_binding_says(
    run: Run, upstream: ScriptedUpstream, path: str, on_error: str, status: int
) -> None:
    running = run(f"name: moody, on_error: {on_error}")
    response = running.get(path)

    assert response.status == status
    assert "no luck" not in response.text
    assert len(upstream.requests) == (1 if status == 200 else 0)
    assert counted(running, "gateway_plugin_errors") == 1
    assert running.get("/fine").status == 200


@pytest.mark.parametrize("path", ["/interrupt", "/cancelled"])
@pytest.mark.parametrize("plugin", ["moody", "hanging"])
@pytest.mark.parametrize(("on_error", "status"), [("deny", 500), ("continue", 200)])
def test_what_is_meant_to_end_a_program_or_a_task_ends_nothing(
    run: Run, plugin: str, path: str, on_error: str, status: int
) -> None:
    running = run(f"name: {plugin}, on_error: {on_error}")
    assert running.get(path).status == status

    assert counted(running, "gateway_plugin_errors") == 1
    assert running.get("/fine").status == 200


@pytest.mark.parametrize(("on_timeout", "status"), [("deny", 500), ("continue", 200)])
def test_a_hanging_hook_is_given_up_and_does_what_its_binding_says(run: Run, on_timeout: str, status: int) -> None:
    running = run(f"name: hanging, timeout: 100ms, on_timeout: {on_timeout}")
    assert running.get("/hang").status == status

    assert counted(running, "gateway_plugin_timeouts") == 1
    assert running.get("/fine").status == 200


@pytest.mark.parametrize(("on_error", "status"), [("deny", 500), ("continue", 200)])
def test_quarantine_takes_a_failing_binding_out_and_one_good_try_brings_it_back(
    run: Run, on_error: str, status: int
) -> None:
    clock = ManualClock()
    binding = f"name: moody, on_error: {on_error}, quarantine: {{failures: 3, clients: 1, open_for: 30s}}"
    running = run(binding, clock)
    for _ in range(3):
        assert running.get("/raise").status == status
    # It is not asked any more, whatever the request is.
    assert running.get("/refuse").status == status
    assert counted(running, "gateway_plugin_quarantines") == 1
    assert counted(running, "gateway_plugin_quarantined") == 1

    clock.advance(31)
    assert running.get("/raise").status == status
    assert running.get("/refuse").status == status

    clock.advance(31)
    assert running.get("/fine").status == 200
    assert running.get("/refuse").status == 403


@pytest.mark.parametrize(("on_error", "status"), [("deny", 500), ("continue", 200)])
def test_one_client_alone_does_not_take_a_binding_away(run: Run, on_error: str, status: int) -> None:
    binding = f"name: moody, on_error: {on_error}, quarantine: {{failures: 3}}"
    running = run(binding, ManualClock())
    for _ in range(100):
        assert running.get("/raise").status == status

    assert running.get("/refuse").status == 403
    assert running.get("/fine").status == 200


def test_what_a_binding_in_shadow_mode_decides_is_counted_and_not_done(run: Run, upstream: ScriptedUpstream) -> None:
    running = run("name: moody, mode: shadow")
    assert [running.get(path).status for path in ("/refuse", "/raise", "/fine")] == [200, 200, 200]

    assert all("x-moody" not in request.headers for request in upstream.requests)
    labels = 'binding="moody",decision="%s",phase="gateway_pre_proxy",plugin="moody"'
    for decision in ("response", "change"):
        assert f"gateway_plugin_shadow_total{{{labels % decision}}} 1.0" in running.metrics()
    assert counted(running, "gateway_plugin_errors") == 1


def test_a_hook_that_blocks_the_loop_is_reported_with_its_line(run: Run) -> None:
    running = run("name: moody")
    assert running.get("/block").status == 200

    eventually(lambda: any("plugin 'moody' blocks the event loop" in each.getMessage() for each in running.logs))
    assert counted(running, "gateway_plugin_blocked") >= 1
    (line,) = [each.getMessage() for each in running.logs if "blocks the event loop" in each.getMessage()]
    assert "gateway_pre_proxy at " in line
    assert "test_misbehaving_plugins.py:" in line


def test_what_counts_as_blocking_is_configured_and_follows_a_reload(
    gateway: StartGateway, upstream: ScriptedUpstream
) -> None:
    binding = f"plugins: [{{name: moody}}]\nroutes: [{{id: all, path_prefix: /, target: '{upstream.url}'}}]\n"
    running = gateway(f"blocking_threshold: 0s\n{binding}", plugins=[Moody])
    assert running.get("/block").status == 200
    assert counted(running, "gateway_plugin_blocked") == 0

    running.reload(f"blocking_threshold: 100ms\n{binding}")
    assert running.get("/block").status == 200
    eventually(lambda: counted(running, "gateway_plugin_blocked") == 1)

    running.reload(f"blocking_threshold: 10s\n{binding}")
    assert running.get("/block").status == 200
    assert counted(running, "gateway_plugin_blocked") == 1
