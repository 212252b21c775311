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


TO_HTTPS = "{id: to-https, hosts: [example.com], path_prefix: /, redirect: {scheme: https}}"


def passed_by(folder: Path, text: str) -> list[tuple[str, str]]:
    path = folder / "gateway.yaml"
    path.write_text(text)
    warnings = load([path], registry=PluginRegistry(dict), environ={}).warnings
    return [(each.code, each.key_path) for each in warnings if each.code == "route.redirect-passed-by"]


def routes(*texts: str) -> str:
    return "upstreams: [{name: shop, endpoints: [{url: http://127.0.0.1:1}]}]\nroutes:\n" + "".join(
        f"  - {text}\n" for text in texts
    )


@pytest.mark.parametrize(
    "other",
    [
        "{id: api, hosts: [example.com], path_prefix: /api, target: shop}",
        "{id: api, path_prefix: /api, hosts: ['example.com', 'www.example.com'], target: shop}",
        "{id: api, hosts: [example.com], path: /users/:id, methods: [POST], target: shop}",
        "{id: api, hosts: [example.com], headers: {x-canary: always, x-b: b}, target: shop}",
    ],
)
def test_a_redirect_of_a_whole_host_beside_a_more_specific_route_is_a_warning(tmp_path: Path, other: str) -> None:
    expected = [("route.redirect-passed-by", "routes[0].redirect.scheme")]

    assert passed_by(tmp_path, routes(TO_HTTPS, other)) == expected


def test_the_routes_of_a_redirect_without_hosts_are_looked_at_by_their_own(tmp_path: Path) -> None:
    text = routes(
        "{id: to-https, path_prefix: /, redirect: {scheme: https}}",
        "{id: api, hosts: ['*.example.com'], path_prefix: /, target: shop}",
    )

    assert len(passed_by(tmp_path, text)) == 1


def test_several_routes_are_one_warning(tmp_path: Path) -> None:
    others = [f"{{id: r{n}, hosts: [example.com], path_prefix: /r{n}, target: shop}}" for n in range(3)]

    assert len(passed_by(tmp_path, routes(TO_HTTPS, *others))) == 1


@pytest.mark.parametrize(
    "other",
    [
        "{id: api, hosts: [other.example.com], path_prefix: /api, target: shop}",
        "{id: api, hosts: [example.com], path_prefix: /api, scheme: https, target: shop}",
        "{id: acme, hosts: [example.com], path_prefix: /.well-known/acme-challenge, scheme: http, target: shop}",
        "{id: all, hosts: [example.com], path_prefix: /, target: shop}",
        "{id: api, path_prefix: /api, target: shop}",
        "{id: off, hosts: [example.com], path_prefix: /api, enabled: false, target: shop}",
        "{id: to, hosts: [example.com], path_prefix: /api, redirect: {scheme: https, status: 301}}",
    ],
)
def test_routes_that_serve_nothing_of_it_over_http_are_none(tmp_path: Path, other: str) -> None:
    assert passed_by(tmp_path, routes(TO_HTTPS, other)) == []


def test_a_redirect_with_a_higher_priority_is_none(tmp_path: Path) -> None:
    to_https = TO_HTTPS.replace("id: to-https", "id: to-https, priority: 1")

    assert (
        passed_by(tmp_path, routes(to_https, "{id: api, hosts: [example.com], path_prefix: /api, target: shop}")) == []
    )


def test_a_listener_that_redirects_everything_is_none(tmp_path: Path) -> None:
    text = "listen: [{address: ':80', https_redirect: true}]\n" + routes(
        TO_HTTPS, "{id: api, hosts: [example.com], path_prefix: /api, target: shop}"
    )

    assert passed_by(tmp_path, text) == []
