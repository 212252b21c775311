"""Fields that only a binding may set reach the upstream from no client, whatever becomes of the binding's hooks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from gateway_core.hooks import Plugin, PluginContext
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Request
from gateway_core.testing import RunningGateway, ScriptedUpstream
from gateway_plugin_sdk.testing import StartGateway

FORGED = ["X-User", "x-user", "X_User", "x_USER", "X.User", "X~User"]


class Naming(Plugin[Any]):
    """Names the caller, fails or hangs, as its configuration says."""

    name = "naming"
    config_schema: ClassVar[dict[str, Any]] = {"type": "object"}

    def __init__(self, config: Any, context: PluginContext) -> None:
        super().__init__(config, context)
        self.reserved_headers = frozenset({"X-User"})

    @hookimpl
    async def gateway_pre_proxy(self, request: Request) -> None:
        if self.config.get("fails"):
            raise RuntimeError("no luck")
        if self.config.get("hangs"):
            await asyncio.Event().wait()
        if self.config.get("names"):
            request.headers["X-User"] = "alice"


class Early(Plugin[Any]):
    """Names the caller before the route is known."""

    name = "early"

    def __init__(self, config: Any, context: PluginContext) -> None:
        super().__init__(config, context)
        self.reserved_headers = frozenset({"X-User"})

    @hookimpl
    def gateway_request(self, request: Request) -> None:
        assert "x-user" not in request.headers
        request.headers["X-User"] = "early"


class Sending(Plugin[Any]):
    """Sends every request to another route."""

    name = "sending"

    @hookimpl
    def gateway_route_match(self, request: Request) -> str:
        return "other"


Run = Callable[[dict[str, Any]], RunningGateway]


@pytest.fixture
def run(gateway: StartGateway) -> Run:
    return lambda config: gateway(config, plugins=[Naming, Early, Sending])


def users(upstream: ScriptedUpstream) -> list[str]:
    """What the last request told an application that takes every separator for one."""
    fields = upstream.last.headers.items()
    return [value for name, value in fields if name.lower().translate(str.maketrans("-_.~", "----")) == "x-user"]


MODES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "sets it": ({"config": {"names": True}}, ["alice"]),
    "sets nothing": ({}, []),
    "shadow": ({"config": {"names": True}, "mode": "shadow"}, []),
    "fails": ({"config": {"fails": True}, "on_error": "continue"}, []),
    "fails in shadow": ({"config": {"fails": True}, "mode": "shadow"}, []),
    "hangs": ({"config": {"hangs": True}, "on_error": "continue", "timeout": "10ms"}, []),
    "quarantine": (
        {"config": {"fails": True}, "on_error": "continue", "quarantine": {"failures": 1, "open_for": "1h"}}, [],
    ),
}  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("is_wide", [True, False], ids=["gateway-wide", "route"])
def test_no_client_gets_a_reserved_field_through(
    run: Run, upstream: ScriptedUpstream, mode: str, is_wide: bool
) -> None:
    policy, expected = MODES[mode]
    binding = {"name": "naming", **policy}
    route: dict[str, Any] = {"id": "r", "path_prefix": "/", "target": upstream.url}
    if not is_wide:
        route["plugins"] = [binding]
    gateway = run({"plugins": [binding] if is_wide else [], "routes": [route]})

    for name in FORGED:
        for more in ([], [("Connection", name)], [(name, "twice")]):
            for method, body in (("GET", b""), ("POST", b"x")):
                fields = [(name, "root"), ("X-Users", "kept"), *more]
                assert gateway.request(method, "/", headers=fields, body=body).status == 200
                assert users(upstream) == expected
                assert upstream.last.headers.get("x-users") == "kept"


def test_what_a_gateway_wide_binding_sets_before_the_route_is_known_stays(run: Run, upstream: ScriptedUpstream) -> None:
    route = {"id": "r", "path_prefix": "/", "target": upstream.url, "plugins": [{"name": "sending"}]}
    other = {"id": "other", "path": "/other", "target": upstream.url}
    gateway = run({"plugins": [{"name": "early"}], "routes": [route, other]})

    assert gateway.get("/", headers={"x_user": "root"}).status == 200

    assert users(upstream) == ["early"]


def test_the_bindings_of_a_route_that_a_hook_chose_count(run: Run, upstream: ScriptedUpstream) -> None:
    route = {"id": "r", "path_prefix": "/", "target": upstream.url, "plugins": [{"name": "sending"}]}
    other = {"id": "other", "path": "/other", "target": upstream.url, "plugins": [{"name": "naming"}]}
    gateway = run({"routes": [route, other]})

    assert gateway.get("/", headers={"X-User": "root"}).status == 200

    assert users(upstream) == []


def test_a_route_without_the_binding_is_left_alone(run: Run, upstream: ScriptedUpstream) -> None:
    named = {"id": "r", "path": "/named", "target": upstream.url, "plugins": [{"name": "naming"}]}
    gateway = run({"routes": [named, {"id": "o", "path": "/open", "target": upstream.url}]})

    for path, expected in (("/open", ["root"]), ("/named", []), ("/open", ["root"])):
        gateway.get(path, headers={"X-User": "root"})
        assert users(upstream) == expected
