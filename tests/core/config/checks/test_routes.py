from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from gateway_core.config import ConfigError, PluginDescription, load_config

SCHEMA: Mapping[str, Any] = {"type": "object"}


class Catalog:
    """Three plugins: one that responds, one that does not, and one that decides who may pass."""

    def names(self) -> list[str]:
        return ["guard", "logger", "pages"]

    def describe(self, name: str) -> PluginDescription | None:
        if name not in self.names():
            return None
        provides = frozenset({"response"} if name == "pages" else ())
        return PluginDescription(
            name=name,
            distribution="d",
            version="1",
            schema=SCHEMA,
            provides=provides,
            access_control=name == "guard",
        )


def problems(folder: Path, plugins: str, top: str = "") -> list[str]:
    path = folder / "gateway.yaml"
    path.write_text(f"{top}\nroutes: [{{id: r, path: /, plugins: {plugins}}}]\n")
    try:
        load_config(path, environ={}, catalog=Catalog())
    except ConfigError as error:
        return [problem.message for problem in error.problems]
    return []


@pytest.mark.parametrize(
    ("plugins", "top", "is_fine"),
    [
        ("[{name: pages}]", "", True),
        ("[{name: logger}]", "", False),
        ("[{name: logger}]", "plugins: [{name: pages}]", True),
        ("[{name: pages, enabled: false}, {name: logger}]", "plugins: [{name: pages}]", False),
        ("[]", "", False),
    ],
)
def test_a_route_without_target_has_a_binding_that_responds(
    tmp_path: Path, plugins: str, top: str, is_fine: bool
) -> None:
    found = problems(tmp_path, plugins, top)

    assert (found == []) is is_fine
    assert all("lacks a key" in message for message in found)


@pytest.mark.parametrize("rest", ["", "plugins: [{name: logger}]"])
def test_a_route_that_is_switched_off_needs_no_target(tmp_path: Path, rest: str) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(f"routes: [{{id: on, path: /a, respond: {{}}}}, {{id: r, path: /, enabled: false, {rest}}}]")

    assert not load_config(path, environ={}, catalog=Catalog()).config.routes[1].enabled


def test_what_a_route_that_is_switched_off_says_is_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text("routes: [{id: r, path: /, enabled: false, target: gone}]")

    with pytest.raises(ConfigError) as caught:
        load_config(path, environ={}, catalog=Catalog())

    assert [problem.code for problem in caught.value.problems] == ["upstream.unknown"]


DEFAULTS = """
plugin_sets: [{name: guarded, plugins: [{name: guard}, {name: logger}]}]
route_defaults: {target: "http://127.0.0.1:9", plugins: [{use: guarded}]}
"""


def warnings(folder: Path, route: str, top: str = DEFAULTS) -> list[str]:
    path = folder / "gateway.yaml"
    path.write_text(f"{top}\nroutes: [{{id: a, path: /a}}, {{id: r, path: /, {route}}}]\n")
    return [str(problem) for problem in load_config(path, environ={}, catalog=Catalog()).warnings]


def test_a_list_that_leaves_out_what_the_defaults_protect_with_is_a_warning(tmp_path: Path) -> None:
    (found,) = warnings(tmp_path, "plugins: [{name: logger}]")

    assert 'routes[1].plugins: warning: replaces the plugins of route_defaults: "guard" does not protect' in found


@pytest.mark.parametrize(
    "route",
    [
        "plugins: []",
        "plugins: [{name: logger}, {name: guard, enabled: false}]",
        "plugins: [{name: logger}, {name: guard, id: mine}]",
        "plugins: [{use: guarded}, {name: logger, id: second}]",
        "plugins: null",
        "priority: 1",
    ],
)
def test_a_list_may_say_that_it_leaves_it_out(tmp_path: Path, route: str) -> None:
    assert [each for each in warnings(tmp_path, route) if "route_defaults" in each] == []


def test_what_protects_every_route_may_be_left_out(tmp_path: Path) -> None:
    assert warnings(tmp_path, "plugins: [{name: logger}]", f"plugins: [{{name: guard}}]{DEFAULTS}") == []


def test_defaults_that_protect_nothing_may_be_replaced(tmp_path: Path) -> None:
    top = 'route_defaults: {target: "http://127.0.0.1:9", plugins: [{name: logger, id: first}]}'

    assert warnings(tmp_path, "plugins: [{name: logger}]", top) == []


def warned(folder: Path, text: str) -> list[tuple[str, str]]:
    path = folder / "gateway.yaml"
    path.write_text(text)
    return [(each.key_path, each.code) for each in load_config(path, environ={}, catalog=Catalog()).warnings]


def test_what_a_route_says_of_its_traces_has_no_effect_without_the_section(tmp_path: Path) -> None:
    first = "{id: r, path: /, target: 'http://a', tracing: {sample: 1.0}}"
    routes = f"routes: [{first}, {{id: s, path: /s, target: 'http://a'}}]"
    shared = "route_defaults: {tracing: {sample: 1.0}}\n" + routes.replace(", tracing: {sample: 1.0}", "")

    assert warned(tmp_path, routes) == [("routes[0].tracing", "setting.no-effect")]
    assert len(warned(tmp_path, shared)) == 1
    assert warned(tmp_path, "tracing: {}\n" + routes) == []
