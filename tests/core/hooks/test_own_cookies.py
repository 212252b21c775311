"""Cookies that only a plugin reads get to no upstream, whichever route of the gateway a browser sends them to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, ClassVar

import pytest
from gateway_core.hooks import Plugin, PluginContext
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Request
from gateway_core.testing import RunningGateway, ScriptedUpstream


class Keeping(Plugin[Any]):
    """Reads a cookie, and removes it unless it fails."""

    name = "keeping"
    config_schema: ClassVar[dict[str, Any]] = {"type": "object"}

    def __init__(self, config: Any, context: PluginContext) -> None:
        super().__init__(config, context)
        self.own_cookies = frozenset({config.get("cookie", "mine")})

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> None:
        if self.config.get("fails"):
            raise RuntimeError("no luck")
        request.headers["X-Saw"] = request.headers.get("cookie", "")
        if not self.config.get("leaves"):
            request.headers["Cookie"] = "other=1"


class Sending(Plugin[Any]):
    """Sends every request to another route."""

    name = "sending"

    @hookimpl
    def gateway_route_match(self, request: Request) -> str:
        return "open"


Run = Callable[..., RunningGateway]
SENT = "a=1; mine=2; mine.1=3; Mine=4;mined=5;  mine.s8=6 ; b=mine=7"
LEFT = "a=1; Mine=4; mined=5; b=mine=7"


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as running:
        yield running


@pytest.fixture
def run(upstream: ScriptedUpstream) -> Iterator[Run]:
    with ExitStack() as stack:

        def make(*routes: dict[str, Any], plugins: list[dict[str, Any]] | None = None) -> RunningGateway:
            made = [{"target": upstream.url, **route} for route in routes]
            document = {"plugins": plugins or [], "routes": made}
            return stack.enter_context(RunningGateway(document, plugins=[Keeping, Sending]))

        yield make


def keeping(**policy: Any) -> dict[str, Any]:
    return {"name": "keeping", **policy}


OPEN = {"id": "open", "path_prefix": "/open"}


def cookies(upstream: ScriptedUpstream) -> list[str]:
    return upstream.last.headers.get_all("cookie")


def test_a_route_without_the_binding_does_not_send_its_cookies(run: Run, upstream: ScriptedUpstream) -> None:
    gateway = run({"id": "r", "path_prefix": "/", "plugins": [keeping()]}, OPEN)

    for sent, left in (
        ([SENT], [LEFT]),
        (["mine=1"], []),
        (["a=1", "mine=2"], ["a=1"]),
        (["a=1; b=2"], ["a=1; b=2"]),
        ([], []),
    ):
        for method, body in (("GET", b""), ("POST", b"x")):
            fields = [("Cookie", value) for value in sent]
            assert gateway.request(method, "/open", headers=fields, body=body).status == 200
            assert cookies(upstream) == left

    gateway.get("/", headers={"Cookie": SENT})
    assert upstream.last.headers["x-saw"] == SENT, "the binding itself has them"


def test_each_binding_has_its_own_cookies_and_never_those_of_another(run: Run, upstream: ScriptedUpstream) -> None:
    gateway = run(
        {"id": "r", "path_prefix": "/", "plugins": [keeping()]},
        {"id": "o", "path_prefix": "/o", "plugins": [keeping(config={"cookie": "yours"})]},
    )

    for path, seen in (("/", "mine=1"), ("/o", "yours=2")):
        gateway.get(path, headers={"Cookie": "mine=1; yours=2"})
        assert upstream.last.headers["x-saw"] == seen


@pytest.mark.parametrize(
    "policy",
    [
        {"config": {"leaves": True}, "mode": "shadow"},
        {"config": {"fails": True}, "on_error": "continue"},
        {"config": {"leaves": True}, "when": {"methods": ["PUT"]}},
    ],
    ids=["shadow", "failing", "when"],
)
def test_a_binding_that_is_passed_over_sends_no_cookies_either(
    run: Run, upstream: ScriptedUpstream, policy: dict[str, Any]
) -> None:
    gateway = run({"id": "r", "path_prefix": "/", "plugins": [keeping(**policy)]})

    assert gateway.get("/", headers={"Cookie": SENT}).status == 200
    assert cookies(upstream) == [LEFT]


def test_routes_that_leave_a_gateway_wide_binding_out_and_those_that_a_hook_chose(
    run: Run, upstream: ScriptedUpstream
) -> None:
    out = {**OPEN, "plugins": [keeping(enabled=False)]}
    sent = {"id": "sent", "path_prefix": "/sent", "plugins": [keeping(), {"name": "sending"}]}
    gateway = run(out, sent, plugins=[keeping()])

    for path in ("/open", "/sent"):
        assert gateway.get(path, headers={"Cookie": SENT}).status == 200
        assert cookies(upstream) == [LEFT]


def test_the_target_with_the_binding_has_the_cookies_and_the_others_do_not(
    run: Run, upstream: ScriptedUpstream
) -> None:
    other = upstream.url.replace("127.0.0.1", "localhost")
    targets = [
        {"target": upstream.url, "weight": 1, "plugins": [keeping()]},
        {"target": other, "weight": 1},
    ]
    gateway = run({"id": "r", "path_prefix": "/", "target": None, "targets": targets})

    for _ in range(12):
        gateway.get("/", headers={"Cookie": "mine=1; a=2"})

    seen = {(each.headers.get("x-saw"), each.headers.get("cookie")) for each in upstream.requests}
    assert seen == {("mine=1; a=2", "other=1"), (None, "a=2")}
