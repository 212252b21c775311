"""Settings of routes and targets that change nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from gateway_core.config import LoadedConfig

Load = Callable[[str], LoadedConfig]

UPSTREAMS = """
upstreams:
  - {name: a, endpoints: [{url: "http://127.0.0.1:1"}]}
  - {name: s, endpoints: [{url: "unix:/run/s.sock"}]}
"""


def found(load_text: Load, route: str, more: str = "") -> list[str]:
    loaded = load_text(f"{more}{UPSTREAMS}routes:\n  - {{id: r, path_prefix: /p, {route}}}\n")
    assert {warning.code for warning in loaded.warnings} <= {"setting.no-effect"}
    return [warning.key_path.removeprefix("routes[0].") for warning in loaded.warnings]


@pytest.mark.parametrize(
    ("route", "keys"),
    [
        ("target: a, rewrite: {prefix: /p}", ["rewrite"]),
        ("target: a, rewrite: {prefix: /p, host: h}", ["rewrite.prefix"]),
        ("target: a, rewrite: {prefix: /q, host: h}", []),
        ("target: a, rewrite: {query: {set: {x: '1'}, remove: [x, y, y]}}", ["query.remove[0]", "query.remove[2]"]),
        ("target: a, strip_path: true, rewrite_response: {cookie_path: true}", []),
        ("target: a, rewrite_response: {cookie_path: true, location: true}", ["rewrite_response.cookie_path"]),
        ("target: a, preserve_host: true", []),
        ("target: s, preserve_host: false", ["preserve_host"]),
        ("targets: [{target: a}, {target: s}], preserve_host: false", []),
        ("target: a, buffer_request: 2MiB, max_body_bytes: 1MiB", ["buffer_request"]),
        ("target: a, buffer_request: 1MiB, max_body_bytes: 1MiB", []),
        ("target: a, mirror: [{target: a}, {target: s, percent: 0}]", ["mirror[1]"]),
        ("targets: [{target: a}], sticky_cookie: {name: c}", ["sticky_cookie"]),
        ("targets: [{target: a}], hash_on: client_ip", ["hash_on"]),
        ("targets: [{target: a}, {target: s}], hash_on: [client_ip, 'cookie:c']", ["hash_on[1]"]),
        ("targets: [{target: a}, {target: s}], hash_on: ['cookie:c', client_ip]", []),
        ("targets: [{target: a}, {target: s}], hash_on: 'param:id'", ["hash_on"]),
        ("targets: [{target: a}, {target: s}], hash_on: ['param:x', 'param:y']", ["hash_on[0]", "hash_on[1]"]),
        ("targets: [{target: a, rewrite: {prefix: /p}}, {target: s}]", ["targets[0].rewrite"]),
        (
            "rewrite: {host: h}, targets: [{target: a, rewrite: {host: i}}, {target: s, rewrite: {prefix: /x}}]",
            ["rewrite"],
        ),
        (
            "redirect: {path: /q}, buffer_request: 1MiB, rewrite_response: {location: true}",
            ["buffer_request", "rewrite_response"],
        ),
    ],
)
def test_settings_without_effect(load_text: Load, route: str, keys: list[str]) -> None:
    assert [key.removeprefix("rewrite.") if "query" in key else key for key in found(load_text, route)] == keys


def test_the_documents_limit_bounds_what_is_gathered(load_text: Load) -> None:
    assert found(load_text, "target: a, buffer_request: 2MiB", "limits: {max_body_bytes: 1MiB}\n") == ["buffer_request"]


@pytest.mark.parametrize(
    ("listen", "keys"),
    [
        ("[{address: ':1', hosts: [a.test]}]", ["listen[0].hosts"]),
        ("[{address: ':1', hosts: [a.test]}, ':1']", []),
        ("[':1', {name: internal, address: ':2', default: false}]", ["listen[1]"]),
    ],
)
def test_listeners_that_serve_less_than_they_seem_to(load_text: Load, listen: str, keys: list[str]) -> None:
    assert found(load_text, "target: a", f"listen: {listen}\n") == keys
