"""Through a real gateway: what trusted clients are told, and what it costs the others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from gateway_core.clock import SystemClock
from gateway_core.hooks import Plugin, build_chain, server_timing_binding
from gateway_core.hooks.server_timing import with_server_timing
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Request, Response
from gateway_core.metrics import Metrics
from gateway_core.testing import RunningGateway, ScriptedUpstream

ASK = {"X-Gateway-Timing": "1"}


class Guard(Plugin[Any]):
    """Refuses /closed."""

    name = "guard"

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> Response | None:
        return Response(403) if request.path == "/closed" else None

    @hookimpl
    def gateway_response(self, response: Response) -> None:
        response.headers["x-seen"] = "1"


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as running:
        yield running


def config(upstream: ScriptedUpstream, more: str) -> str:
    return f"{more}\nplugins: [{{name: guard}}]\nroutes: [{{id: all, path_prefix: /, target: '{upstream.url}'}}]\n"


TRUSTED = "trusted_proxies: [127.0.0.0/8]"


def test_a_trusted_client_that_asks_is_told_each_hook_and_the_upstream(upstream: ScriptedUpstream) -> None:
    with RunningGateway(config(upstream, f"server_timing: true\n{TRUSTED}"), plugins=[Guard]) as gateway:
        passed = gateway.get("/", headers=ASK).headers["server-timing"]
        refused = gateway.get("/closed", headers=ASK).headers["server-timing"]

        names = [entry.split(";dur=")[0] for entry in passed.split(", ")]
        assert names == ["guard.pre_proxy", "guard.response", "upstream", "gateway"]
        assert all(re.fullmatch(r"[\w.-]+;dur=\d+\.\d{3}", entry) for entry in passed.split(", "))
        assert [entry.split(";")[0] for entry in refused.split(", ")] == [
            "guard.pre_proxy",
            "guard.response",
            "gateway",
        ]


@pytest.mark.parametrize(
    ("more", "headers"),
    [
        (f"server_timing: true\n{TRUSTED}", {}),
        (f"server_timing: true\n{TRUSTED}", {"X-Gateway-Timing": "no"}),
        ("server_timing: true", ASK),
        (TRUSTED, ASK),
    ],
    ids=["not asked", "asked for no", "not trusted", "off"],
)
def test_nobody_else_is_told(upstream: ScriptedUpstream, more: str, headers: dict[str, str]) -> None:
    with RunningGateway(config(upstream, more), plugins=[Guard]) as gateway:
        assert "server-timing" not in gateway.get("/", headers=headers).headers


def test_an_upstreams_own_times_are_kept(upstream: ScriptedUpstream) -> None:
    upstream.answer_with(headers={"Server-Timing": "db;dur=3"})
    with RunningGateway(config(upstream, f"server_timing: true\n{TRUSTED}"), plugins=[Guard]) as gateway:
        response = gateway.get("/", headers=ASK)

    assert "db;dur=3" in response.headers.get_all("server-timing")


def test_a_chain_is_surrounded_once_and_nothing_inside_changes(bind: Any) -> None:
    inner = bind(Guard)
    chain = build_chain([inner])
    guard = chain.pre_proxy
    outer = server_timing_binding(SystemClock(), Metrics())

    with_server_timing(with_server_timing(chain, outer), outer)

    assert chain.bindings == (outer, inner)
    assert chain.pre_proxy[:-1] == guard
    assert [hook.binding for hook in chain.response] == [outer, inner, outer]
