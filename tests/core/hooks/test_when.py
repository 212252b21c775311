"""Bindings that run for some requests only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gateway_core.config import ConfigError, WhenConfig
from gateway_core.hooks import Plugin
from gateway_core.hooks.when import compile_when
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Request, Response
from gateway_core.packages import PluginRegistry
from gateway_core.snapshot import load
from pydantic import ValidationError

from tests.core.proxy.conftest import start_proxy, start_upstream
from tests.core.proxy.kit import StartProxy
from tests.core.proxy.route_kit import request

__all__ = ["start_proxy", "start_upstream"]


class Stamp(Plugin[Any]):
    """Changes what its own condition is about in the first phase, and stamps the response in the last."""

    name = "stamp"

    @hookimpl
    def gateway_route_match(self, request: Request) -> None:
        request.headers["X-Kind"] = "changed"
        self.context.log.debug("seen")

    @hookimpl
    def gateway_response(self, response: Response) -> None:
        response.headers["X-Stamp"] = self.context.binding


class Pages(Plugin[Any]):
    name = "pages"
    provides = frozenset({"response"})

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> Response:
        return Response(200, body=b"page")


def made(when: dict[str, Any]) -> Any:
    return compile_when(WhenConfig.model_validate(when))


@pytest.mark.parametrize(
    ("when", "runs"),
    [
        ({"methods": ["POST", "PUT"]}, True),
        ({"methods": ["GET"]}, False),
        ({"headers": {"x-kind": {"one_of": ["a", "b"]}}}, True),
        ({"headers": {"X-Kind": {"none_of": ["a"]}}}, False),
        ({"query": {"q": "1"}, "cookies": {"s": {"present": True}}}, True),
        ({"query": {"q": "2"}}, False),
        ({"cookies": {"s": "x"}}, False),
        ({"params": {"id": {"regex": "[0-9]+"}}}, True),
        ({"params": {"other": {"present": True}}}, False),
        ({"client_ip": "10.0.0.0/8", "scheme": "https"}, True),
        ({"client_ip": {"none_of": ["10.0.0.0/8"]}}, False),
        ({"scheme": "http"}, False),
    ],
)
def test_a_binding_runs_for_requests_that_meet_all_conditions(when: dict[str, Any], runs: bool) -> None:
    request = Request("POST", "/u/7?q=1", {"X-Kind": "a", "Cookie": "s=1"}, "h", client_ip="10.1.1.1", scheme="https")
    request.path_params = {"id": "7"}

    assert made(when)(request) is runs


def test_a_binding_without_conditions_is_not_asked() -> None:
    assert compile_when(None) is None
    with pytest.raises(ValidationError, match="has no condition"):
        WhenConfig.model_validate({})


async def test_it_is_decided_once_whatever_hooks_change(start_proxy: StartProxy) -> None:
    gateway = await start_proxy(
        """
plugins: [{name: stamp, id: kind, when: {headers: {x-kind: a}}}]
routes:
  - {id: r, path: "/:name", respond: {}, plugins: [{name: stamp, id: named, when: {params: {name: special}}}]}
""",
        [Stamp],
    )

    async def stamps(path: str, *fields: tuple[str, str]) -> str | None:
        return (await request(gateway, "1.1", f"x{path}", *fields)).headers.get("x-stamp")

    assert await stamps("/plain") is None
    assert await stamps("/plain", ("X-Kind", "a")) == "kind"
    assert await stamps("/plain", ("X-Kind", "changed")) is None
    assert await stamps("/special") == "named"


async def test_a_route_whose_only_response_is_off_is_not_found(start_proxy: StartProxy) -> None:
    gateway = await start_proxy(
        "routes: [{id: r, path: /, plugins: [{name: pages, when: {query: {on: {present: true}}}}]}]", [Pages]
    )

    assert (await request(gateway, "1.1", "x/?on")).body == b"page"
    assert (await request(gateway, "1.1", "x/")).status == 404


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("plugins: [{name: pages, when: {params: {a: '1'}}}]", "1:32: plugins[0].when.params: params are those"),
        ("routes: [{id: r, path: /:b, plugins: [{name: pages, when: {params: {a: '1'}}}]}]", "no parameter 'a'"),
        ("routes: [{id: r, path: [/:a, /x], plugins: [{name: pages, when: {params: {a: '1'}}}]}]", "no parameter 'a'"),
        ("routes: [{id: r, path: /, plugins: [{name: pages, when: {}}]}]", "has no condition"),
        ("routes: [{id: r, path: /, plugins: [{name: pages, when: {headers: {a: {regex: '('}}}}]}]", "regex"),
        ("routes: [{id: r, path: /, plugins: [{name: pages, when: {path: /x}}]}]", 'unknown key "path"'),
    ],
)  # fmt: skip
def test_conditions_that_cannot_be_evaluated_are_problems(tmp_path: Path, text: str, place: str) -> None:
    path = tmp_path / "g.yaml"
    path.write_text(text)
    registry = PluginRegistry(dict)
    registry.register(Pages)

    with pytest.raises(ConfigError) as caught:
        load([path], registry=registry, environ={})

    assert place in caught.value.render()
