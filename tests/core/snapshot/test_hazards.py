"""Settings that open more than they seem to."""

from __future__ import annotations

from pathlib import Path

import pytest
from gateway_core.hooks import Plugin
from gateway_core.packages import PluginRegistry
from gateway_core.snapshot import load

ROUTE = "{id: r, path: /, target: 'http://127.0.0.1:1'}"


class Guard(Plugin[dict[str, object]]):
    name = "guard"
    provides = frozenset({"identity"})


class Lax(Guard):
    name = "lax"
    default_on_error = "continue"


class Colours(Plugin[dict[str, object]]):
    name = "colours"


def warned(tmp_path: Path, text: str) -> list[tuple[str, str]]:
    registry = PluginRegistry(find=dict)
    for plugin in (Guard, Lax, Colours):
        registry.register(plugin)
    path = tmp_path / "gateway.yaml"
    path.write_text(text if "routes" in text else f"{text}\nroutes: [{ROUTE}]\n")
    return [(each.code, each.key_path) for each in load([path], registry=registry, environ={}).warnings]


@pytest.mark.parametrize("listen", ["':9090'", "0.0.0.0:9090", "10.0.0.1:9090", "'[::]:9090'", "gateway.internal:9090"])
def test_an_admin_listener_that_others_reach_is_a_warning(tmp_path: Path, listen: str) -> None:
    assert warned(tmp_path, f"admin: {{listen: {listen}}}") == [("admin.exposed", "admin.listen")]


@pytest.mark.parametrize("listen", ["127.0.0.1:9090", "127.1.2.3:9090", "localhost:9090", "'[::1]:9090'", "unix:/a"])
def test_an_admin_listener_of_this_machine_is_none(tmp_path: Path, listen: str) -> None:
    assert warned(tmp_path, f"admin: {{listen: {listen}}}") == []


@pytest.mark.parametrize("peer", ["0.0.0.0/1", "128.0.0.0/1", "10.0.0.0/7", "'2000::/3'"])
def test_networks_wider_than_an_operators_are_a_warning(tmp_path: Path, peer: str) -> None:
    assert warned(tmp_path, f"trusted_proxies: [{peer}]") == [("trust.too-wide", "trusted_proxies[0]")]


@pytest.mark.parametrize(
    ("binding", "expected"),
    [
        ("{name: guard}", []),
        ("{name: guard, on_error: deny}", []),
        ("{name: guard, on_error: continue}", [("binding.fails-open", "plugins[0].on_error")]),
        ("{name: guard, timeout: 1s, on_timeout: continue}", [("binding.fails-open", "plugins[0].on_timeout")]),
        ("{name: lax}", [("binding.fails-open", "plugins[0]")]),
        ("{name: lax, on_error: deny}", []),
        ("{name: guard, enabled: false, on_error: continue}", []),
        ("{name: colours, on_error: continue}", []),
        ("{name: colours, on_timeout: continue}", [("setting.no-effect", "plugins[0].on_timeout")]),
        ("{name: colours, mode: shadow, on_error: deny}", [("setting.no-effect", "plugins[0].on_error")]),
        ("{name: colours, mode: shadow}", []),
        ("{name: guard, mode: shadow}", [("binding.only-in-shadow", "plugins[0].mode")]),
        ("{name: guard, mode: shadow}, {name: lax, on_error: deny}", []),
    ],
)
def test_bindings_that_let_pass(tmp_path: Path, binding: str, expected: list[tuple[str, str]]) -> None:
    assert warned(tmp_path, f"plugins: [{binding}]") == expected


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ("{name: colours}", [("binding.replaces", "routes[0].plugins[0]")]),
        ("{name: colours, id: colours}", []),
        ("{name: colours, id: more}", []),
        ("{name: colours, enabled: false}", []),
        ("{name: guard}", []),
    ],
)
def test_a_binding_that_replaces_another_by_its_default_id_is_a_warning(
    tmp_path: Path, own: str, expected: list[tuple[str, str]]
) -> None:
    route = ROUTE.replace("}", f", plugins: [{own}]}}")

    assert warned(tmp_path, f"plugins: [{{name: colours}}]\nroutes: [{route}]\n") == expected


def test_bindings_of_targets_and_upstreams_are_looked_at_as_well(tmp_path: Path) -> None:
    text = (
        "upstreams: [{name: a, endpoints: [{url: 'http://127.0.0.1:1'}], plugins: [{name: lax}]}]\n"
        "routes: [{id: r, path: /, targets: [{target: a, plugins: [{name: colours, on_timeout: deny}]}]}]\n"
    )

    assert warned(tmp_path, text) == [
        ("binding.fails-open", "upstreams[0].plugins[0]"),
        ("setting.no-effect", "routes[0].targets[0].plugins[0].on_timeout"),
    ]
