from __future__ import annotations

from typing import Any

import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import BodyFilter, Headers, Identity, Request, Response
from gateway_core.testing import InvalidConfigError, ManualClock, PluginHarness


class Upper(BodyFilter):
    """Makes a body upper case."""

    def feed(self, data: bytes) -> bytes:
        return data.upper()

    def finish(self, trailers: Headers) -> bytes:
        return b"!"


class Everything(Plugin[None]):
    """Uses what a request has, and notes down its life."""

    name = "everything"
    life: list[str]

    async def start(self) -> None:
        self.life = ["started"]

    async def stop(self) -> None:
        self.life.append("stopped")

    @hookimpl
    def gateway_request(self, request: Request) -> None:
        request.state["everything.order"] = ["request"]

    @hookimpl
    def gateway_route_match(self, request: Request, route: object) -> str | None:
        request.state["everything.order"].append("route_match")
        return "other" if request.path == "/other" else None

    @hookimpl
    async def gateway_pre_proxy(self, request: Request) -> Response | None:
        body = await request.read(10)
        who = request.identity.subject if request.identity else "nobody"
        request.headers["x-who"] = f"{who} {request.path_params.get('id')} {len(body)}"
        return None

    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> None:
        assert not response.is_streamed or response.body == b""
        response.add_body_filter(Upper)


def test_all_phases_run_with_what_the_request_was_given() -> None:
    with PluginHarness(Everything) as harness:
        result = harness.request(
            "POST",
            "/",
            body="abc",
            path_params={"id": "7"},
            identity=Identity("ann"),
            upstream_response=Response(200, "text", {"X-Up": "1"}),
        )

    assert result.request.headers["x-who"] == "ann 7 3"
    assert result.request.state["everything.order"] == ["request", "route_match"]
    assert (result.response.body, result.response.headers["x-up"]) == (b"TEXT!", "1")
    assert result.stopped is None
    assert (result.record.bytes_received, result.record.bytes_sent, result.record.produced_by) == (3, 5, "upstream")


def test_a_hook_may_choose_a_route() -> None:
    with PluginHarness(Everything) as harness:
        assert harness.request("GET", "/other").route == "other"
        assert harness.request("GET", "/").route == "test"


def test_a_body_over_the_hooks_limit_is_answered_413() -> None:
    with PluginHarness(Everything) as harness:
        result = harness.request("POST", "/", body="x" * 11)

    assert (result.response.status, result.stopped) == (413, "pre_proxy")


def test_a_hook_that_answers_stops_its_phase(greeter: Any) -> None:
    with PluginHarness(greeter, {"whom": "you"}, clock=ManualClock(wall=3.0)) as harness:
        result = harness.request("GET", "/forbidden")

    assert (result.response.status, result.stopped, result.record.produced_by) == (403, "pre_proxy", "greeter")
    assert result.response.headers["x-at"] == "3.0"
    assert [call.phase for call in result.calls] == ["gateway_pre_proxy", "gateway_response", "gateway_log"]


@pytest.mark.parametrize(("on_error", "status", "stopped"), [("deny", 500, "pre_proxy"), ("continue", 200, None)])
def test_the_bindings_policy_applies(broken: Any, on_error: str, status: int, stopped: str | None) -> None:
    with PluginHarness(broken, binding={"on_error": on_error}) as harness:
        result = harness.request()

    assert (result.response.status, result.stopped) == (status, stopped)
    assert any("nothing there" in record.getMessage() for record in harness.logs)


def test_a_wrong_configuration_is_refused_as_by_the_gateway(greeter: Any) -> None:
    with pytest.raises(InvalidConfigError, match=r"plugins\[0\]\.config\.whim.*whom"):
        PluginHarness(greeter, {"whim": "x"}).start()


def test_it_may_be_a_routes_binding(greeter: Any) -> None:
    with PluginHarness(greeter, gateway_wide=False) as harness:
        assert harness.plugin.context.route == "test"
        assert harness.request().request.headers["x-greeting"] == "hello world"


def test_other_plugins_may_come_before(greeter: Any) -> None:
    with PluginHarness(Everything, beside=(greeter,)) as harness:
        result = harness.request()

    assert result.request.headers["x-greeting"] == "hello world"
    assert isinstance(harness, PluginHarness)


class Marking(Plugin[None]):
    """Marks answers."""

    name = "marking"

    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> None:
        response.headers.add("x-marked", self.name)


def test_the_response_phase_leaves_out_bindings_that_were_not_reached(greeter: Any) -> None:
    with PluginHarness(Marking, beside=(greeter,)) as harness:
        reached = harness.request("GET", "/")
        not_reached = harness.request("GET", "/forbidden")

    assert reached.response.headers.get_all("x-marked") == ["marking"]
    assert not_reached.response.headers.get_all("x-marked") == []
    assert "x-at" in not_reached.response.headers


def test_it_starts_again_with_a_new_instance() -> None:
    harness = PluginHarness(Everything)

    harness.start()
    first = harness.plugin
    harness.stop()
    harness.start()
    second = harness.plugin
    harness.stop()

    assert first is not second
    assert first.life == second.life == ["started", "stopped"]
