from __future__ import annotations

from pathlib import Path

import pytest
from gateway_core.config import ConfigError
from gateway_core.packages import PluginRegistry
from gateway_core.snapshot import load

ROUTE = "routes: [{{id: r, {}}}]"
TWO = "listen: [{name: web, address: ':80'}, {name: alt, address: ':8443'}]\n"
REST = "routes: [{{id: rest, path: /maintenance, respond: {{}}}}, {{id: r, {}}}]"


def found(folder: Path, text: str) -> list[str]:
    """Return the codes of errors, and of warnings with a ? behind."""
    path = folder / "gateway.yaml"
    path.write_text(text)
    try:
        problems = load([path], registry=PluginRegistry(dict), environ={}).warnings
    except ConfigError as error:
        problems = tuple(error.problems)
    codes = [problem.code + "?" * (not problem.is_error) for problem in problems]
    return [code for code in codes if code.startswith("route.redirect")]


@pytest.mark.parametrize(
    "text",
    [
        ROUTE.format("path_prefix: /old, redirect: {prefix: /old/new}"),
        ROUTE.format("path_prefix: /, redirect: {prefix: /v2}"),
        ROUTE.format("path: /a, redirect: {path: /a, status: 301}"),
        ROUTE.format("path: [/a, /b], redirect: {path: /b}"),
        REST.replace("id: rest", "id: rest, hosts: [example.com]").format("redirect: {host: example.com}"),
        ROUTE.format("hosts: ['*.example.com'], redirect: {host: www.example.com}"),
        ROUTE.format("path_prefix: /a, scheme: https, redirect: {scheme: https, prefix: /a/b}"),
        ROUTE.format("path: /a, query: {a: '1'}, redirect: {query: {set: {b: '1'}}}"),
        ROUTE.format("path: /:id, redirect: {path: /x}"),
        TWO + ROUTE.format("path: /a, redirect: {port: 8443}"),
    ],
)
def test_a_redirect_whose_route_takes_the_new_location_is_refused(tmp_path: Path, text: str) -> None:
    assert found(tmp_path, text) == ["route.redirect-loop"]


@pytest.mark.parametrize(
    "text",
    [
        ROUTE.format("path_prefix: /old, redirect: {prefix: /new}"),
        ROUTE.format("redirect: {scheme: https}"),
        ROUTE.format("scheme: http, redirect: {scheme: https}"),
        ROUTE.format("path_prefix: /a, redirect: {scheme: https, prefix: /a/b}"),
        ROUTE.format("hosts: [www.example.com], redirect: {host: example.com}"),
        ROUTE.format("path: /a, methods: [POST], redirect: {path: /a, status: 303}"),
        ROUTE.format("path: /a, query: {debug: {present: true}}, redirect: {query: {remove: [debug]}}"),
        ROUTE.format("path_prefix: /a, strip_path: true, redirect: {status: 301}"),
        ROUTE.format("path: /:id, redirect: {path: /x/:id}"),
        REST.format("path_prefix: /, redirect: {path: /maintenance}"),
        TWO + ROUTE.format("path: /a, listeners: [web], redirect: {port: 8443}"),
        TWO + ROUTE.format("path: /a, redirect: {port: 9443}"),
    ],
)
def test_a_redirect_to_elsewhere_is_none(tmp_path: Path, text: str) -> None:
    assert found(tmp_path, text) == []


def test_a_redirect_to_a_host_that_may_be_elsewhere_is_a_warning(tmp_path: Path) -> None:
    assert found(tmp_path, ROUTE.format("redirect: {host: example.com}")) == ["route.redirect-loop?"]
