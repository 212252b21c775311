from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from gateway_core.config import ConfigError, ConfigProblem, GatewayConfig, Place
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.packages import PluginRegistry
from gateway_core.snapshot import load
from gateway_core.snapshot.bindings import check_bindings

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


# --- parameters


class Reads(Plugin[dict[str, Any]]):
    name = "reads"
    config_schema = {"type": "object", "properties": {"names": {"type": "array"}}}

    @classmethod
    def params_of(cls, config: Any) -> Iterable[tuple[tuple[str | int, ...], str]]:
        return [(("names", index), name) for index, name in enumerate(config["names"])]


def found(folder: Path, text: str) -> list[ConfigProblem]:
    registry = PluginRegistry(dict)
    registry.register(Reads)
    path = folder / "gateway.yaml"
    path.write_text(text)
    try:
        return list(load([path], registry=registry, environ={}).warnings)
    except ConfigError as error:
        return list(error.problems)


def route(paths: str, names: str, *, key: str = "plugins", target: str = "target: 'http://127.0.0.1:1'") -> str:
    return f"routes: [{{id: r, {paths}, {target}, {key}: [{{name: reads, config: {{names: [{names}]}}}}]}}]"


@pytest.mark.parametrize(
    ("paths", "name"),
    [
        ("path: /users/:id", "id"),
        ("path: /files/*rest", "rest"),
        ("path_regex: '/u/(?P<id>[0-9]+)'", "id"),
        ("path: /a, hosts: [':tenant.example.com']", "tenant"),
        ("path: [/users/:id, /me]", "id"),
    ],
)
def test_what_a_path_or_host_of_the_route_captures_may_be_read(tmp_path: Path, paths: str, name: str) -> None:
    assert found(tmp_path, route(paths, name)) == []


def test_what_the_route_does_not_capture_is_an_error_at_its_place_with_what_there_is(tmp_path: Path) -> None:
    (problem,) = found(tmp_path, route("path: /users/:id/:part", "id, user"))

    assert (problem.code, problem.key_path, problem.is_error) == (
        "param.unknown", "routes[0].plugins[0].config.names[1]", True,
    )  # fmt: skip
    assert "user" in problem.message
    assert problem.remedy == "there are id and part"


def test_a_name_that_is_close_is_suggested(tmp_path: Path) -> None:
    (problem,) = found(tmp_path, route("path: /users/:user_id", "userid"))

    assert problem.remedy == 'did you mean "user_id"?'


def test_bindings_of_targets_read_the_parameters_of_their_route(tmp_path: Path) -> None:
    binding = "plugins: [{name: reads, config: {names: [id, no]}}]"
    text = f"routes: [{{id: r, path: /:id, targets: [{{target: 'http://127.0.0.1:1', {binding}}}]}}]"

    assert [each.key_path for each in found(tmp_path, text)] == ["routes[0].targets[0].plugins[0].config.names[1]"]


def test_a_gateway_wide_binding_may_read_what_one_route_captures_and_else_is_a_warning(tmp_path: Path) -> None:
    routes = "routes: [{id: a, path: /:id, respond: {}}, {id: b, path: /b/b, respond: {}}]"
    text = f"plugins: [{{name: reads, config: {{names: [id, other]}}}}]\n{routes}"

    (problem,) = found(tmp_path, text)

    assert (problem.key_path, problem.is_error) == ("plugins[0].config.names[1]", False)


def test_a_binding_that_is_switched_off_reads_nothing(tmp_path: Path) -> None:
    text = route("path: /a", "no").replace("{name: reads", "{name: reads, enabled: false")

    assert "param.unknown" not in [each.code for each in found(tmp_path, text)]


# --- hooks that are never called


class Some(Plugin[Any]):
    name = "some"

    @hookimpl
    def gateway_request(self) -> None: ...

    @hookimpl
    def gateway_pre_proxy(self) -> None: ...


class Early(Plugin[Any]):
    name = "early"

    @hookimpl
    def gateway_request(self) -> None: ...


class Signing(Plugin[Any]):
    name = "signing"

    @hookimpl
    def gateway_attempt(self) -> None: ...


class Choosing(Plugin[Any]):
    name = "choosing"

    @hookimpl
    def gateway_request(self) -> None: ...

    @hookimpl
    def gateway_route_match(self) -> None: ...


@pytest.fixture
def registry() -> PluginRegistry:
    registry = PluginRegistry(find=dict)
    for plugin in (Some, Early, Signing, Choosing):
        registry.register(plugin)
    return registry


def place_of(key_path: str) -> Place:
    return Place(f"<{key_path}>")


def test_a_plugin_that_only_looks_at_unrouted_requests_is_a_problem_on_a_route(registry: PluginRegistry) -> None:
    config = GatewayConfig.model_validate(
        {
            "plugins": [{"name": "early"}],
            "routes": [
                {"id": "a", "path": "/a", "target": "http://127.0.0.1:1", "plugins": [{"name": "some"}]},
                {
                    "id": "b",
                    "path": "/b",
                    "target": "http://127.0.0.1:1",
                    "plugins": [{"name": "early", "enabled": False}, {"name": "early", "id": "own"}],
                },
            ],
        }
    )

    (problem,) = check_bindings(config, place_of, registry)

    assert problem.key_path == "routes[1].plugins[1]"
    assert problem.text == (
        "early has only the hook gateway_request, which runs before a route is known: "
        "list it under the top-level plugins"
    )


@pytest.mark.parametrize(
    ("plugin", "places"),
    [
        ("some", ["upstreams[0]"]),
        ("signing", []),
        ("choosing", ["upstreams[0]", "routes[0].targets[0]"]),
        ("early", ["upstreams[0]", "routes[0]", "routes[0].targets[0]"]),
    ],
)
def test_a_plugin_that_is_never_called_where_it_stands_is_a_problem(
    registry: PluginRegistry, plugin: str, places: list[str]
) -> None:
    plugins = [{"name": plugin}]
    config = GatewayConfig.model_validate(
        {
            "upstreams": [{"name": "a", "endpoints": [{"url": "http://127.0.0.1:1"}], "plugins": plugins}],
            "routes": [
                {"id": "r", "path": "/", "targets": [{"target": "a", "plugins": plugins}], "plugins": plugins},
            ],
        }
    )

    found = list(check_bindings(config, place_of, registry))

    assert [problem.key_path for problem in found] == [f"{place}.plugins[0]" for place in places]
