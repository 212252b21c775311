from __future__ import annotations

import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Request, Response, RouteInfo
from gateway_core.observe import HookCall
from gateway_core.testing import PluginHarness


class Changer(Plugin[None]):
    """Changes whatever may be changed."""

    name = "changer"

    @hookimpl
    def gateway_request(self, request: Request) -> None:
        request.raw_path = "/new"
        del request.headers["x-old"]

    @hookimpl
    def gateway_route_match(self, request: Request, route: RouteInfo | None) -> str:
        return "elsewhere"

    @hookimpl
    async def gateway_pre_proxy(self, request: Request) -> None:
        request.headers["x-new"] = "1"

    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> None:
        response.status = 202
        response.headers.add("x-twin", "1")


@pytest.fixture
def calls() -> list[HookCall]:
    with PluginHarness(Changer) as harness:
        return harness.request(
            "GET", "/", headers={"X-Old": "0"}, upstream_response=Response(200, headers={"X-Twin": "1"})
        ).calls


def test_what_a_hook_changed_is_told_in_words(calls: list[HookCall]) -> None:
    assert [str(call) for call in calls] == [
        "changer.request: raw_path '/' -> '/new', removed x-old",
        "changer.route_match: chose route 'elsewhere'",
        "changer.pre_proxy: set x-new: '1'",
        "changer.response: status 200 -> 202, set x-twin: '1'",
    ]


def test_a_call_knows_its_binding_and_its_result(calls: list[HookCall]) -> None:
    call = calls[1]

    assert (call.plugin, call.binding, call.route, call.result) == ("changer", "changer", None, "elsewhere")
    assert call.duration >= 0


def test_the_oldest_calls_are_forgotten() -> None:
    with PluginHarness(Changer) as harness:
        call = harness.request(headers={"X-Old": "0"}).calls[0]
        harness.recorder._calls[:] = [call] * 10_000
        harness.request(headers={"X-Old": "0"})

        assert 4 <= len(harness.calls) < 10_000
        harness.recorder.clear()
        assert harness.calls == []
