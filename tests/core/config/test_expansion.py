"""Defaults of routes and sets of plugins: what they stand for, where problems with them are, and what they may not."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from gateway_core.config import ConfigError, LoadedConfig, PluginDescription, load_config

SCHEMA: Mapping[str, Any] = {"type": "object", "properties": {"n": {"type": "integer"}}, "additionalProperties": False}


class Catalog:
    def names(self) -> list[str]:
        return ["a", "b", "c"]

    def describe(self, name: str) -> PluginDescription | None:
        return PluginDescription(name=name, distribution="d", version="1", schema=SCHEMA) if name in "abc" else None


Load = Callable[..., LoadedConfig]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    monkeypatch.chdir(tmp_path)

    def load(*texts: str) -> LoadedConfig:
        paths = [Path(f"{number}.yaml") for number, _ in enumerate(texts)]
        for path, text in zip(paths, texts, strict=True):
            path.write_text(text)
        return load_config(paths, environ={}, catalog=Catalog())

    return load


def problems(load: Load, *texts: str) -> list[str]:
    try:
        return [str(each) for each in load(*texts).warnings]
    except ConfigError as error:
        return [str(problem) for problem in error.problems]


TARGET = 'target: "http://127.0.0.1:1"'


def test_a_route_has_the_defaults_of_its_document_that_it_does_not_replace(load: Load) -> None:
    one = f"""
route_defaults: {{hosts: [a.example], preserve_host: true, timeouts: {{total: 5s}}, {TARGET}, description: team a}}
routes:
  - {{id: plain, path: /a}}
  - {{id: own, path: /b, hosts: [b.example], timeouts: {{connect: 1s}}, preserve_host: null}}
"""
    two = f"routes: [{{id: other, path: /c, {TARGET}}}]\n"

    plain, own, other = load(one, two).config.routes

    assert (plain.hosts, plain.preserve_host, plain.description) == (("a.example",), True, "team a")
    assert own.hosts == ("b.example",)
    assert own.preserve_host is True  # nothing behind a key counts as not given
    assert own.timeouts is not None
    assert (own.timeouts.connect, own.timeouts.total) == (1.0, None)
    assert (other.hosts, other.preserve_host, other.timeouts) == ((), None, None)


def test_each_document_has_its_own_defaults(load: Load) -> None:
    texts = [f"route_defaults: {{priority: {n}, {TARGET}}}\nroutes: [{{id: r{n}, path: /{n}}}]" for n in (1, 2)]

    loaded = load(*texts)

    assert [route.priority for route in loaded.config.routes] == [1, 2]
    assert "route_defaults" not in json.loads(next(loaded.to_lines()))["config"]


@pytest.mark.parametrize("own", ["redirect: {path: /x}", "respond: {}", "targets: [{target: 'http://127.0.0.1:2'}]"])
def test_what_stands_in_the_place_of_a_target_displaces_the_default(load: Load, own: str) -> None:
    targets = "targets: [{target: 'http://h:1'}, {target: 'http://h:2'}], sticky_cookie: {name: s}"
    extra = "preserve_host: true, mirror: {target: 'http://h:3'}"
    for default in (f"{TARGET}, {extra}", f"{targets}, {extra}"):
        (route,) = load(f"route_defaults: {{{default}}}\nroutes: [{{id: r, path: /a, {own}}}]").config.routes

        assert (route.target, route.redirect is None, route.respond is None) == (
            None,
            "redirect" not in own,
            "respond" not in own,
        )


def test_defaults_may_be_merged_and_shared_by_anchors(load: Load) -> None:
    text = f"""
x-common: &common {{preserve_host: true, hosts: [a.example]}}
route_defaults: {{<<: *common, hosts: [b.example], {TARGET}}}
routes:
  - &first {{id: a, path: /a}}
  - {{<<: *first, id: b, path: /b, methods: [GET]}}
"""

    first, second = load(text).config.routes

    assert (first.hosts, first.preserve_host) == (("b.example",), True)
    assert (second.hosts, second.methods) == (("b.example",), ("GET",))


def test_a_problem_with_a_default_is_told_once_where_it_is_written(load: Load) -> None:
    text = "route_defaults: {hosts: ['a:80'], pth: /x}\nroutes: [{id: a, respond: {}}, {id: b, path: /b, respond: {}}]"

    found = problems(load, text)

    assert [each.partition(" routes")[0] for each in found if "port" in each] == ["0.yaml:1:26:"]
    assert sum("unknown key" in each for each in found) == 1
    assert len(found) == 2


@pytest.mark.parametrize("nothing", ["", "~", "null", "Null", "NULL", "!!null null", '!!null ""'])
def test_a_key_with_nothing_behind_it_takes_the_default(load: Load, nothing: str) -> None:
    text = f"""
route_defaults: {{respond: {{}}, plugins: [{{name: a}}]}}
routes:
  - id: r
    path: /
    plugins: {nothing}
"""

    assert [each.name for each in load(text).config.routes[0].plugins] == ["a"]


@pytest.mark.parametrize("key", ["id: a", "path: /a", "path_prefix: /a", "path_regex: /a", "grpc: {}"])
def test_what_each_route_has_of_its_own_cannot_be_a_default(load: Load, key: str) -> None:
    found = problems(load, f"route_defaults: {{{key}, respond: {{}}}}\nroutes: [{{path: /x}}]")

    assert len(found) == 1
    assert "cannot be a default" in found[0]


def test_defaults_for_no_route_are_a_warning(load: Load) -> None:
    assert "no effect" in problems(load, "route_defaults: {preserve_host: true}")[0]


SETS = "plugin_sets: [{name: s, plugins: [{name: a}, {name: b, config: {n: 1}}]}, {name: t, plugins: [{name: c}]}]\n"


NESTED = "plugin_sets: [{name: s, plugins: [{use: t}, {name: a}]}, {name: t, plugins: [{name: a}]}]"


def chain(load: Load, plugins: str, top: str = SETS) -> list[tuple[str, str, bool]]:
    loaded = load(f"{top}\nroutes: [{{id: r, path: /, respond: {{}}, plugins: {plugins}}}]")
    (route,) = loaded.config.routes
    assert "plugin_sets" not in json.loads(next(loaded.to_lines()))["config"]
    return [(each.name, each.id, each.enabled) for each in route.plugins]


def test_use_stands_for_the_bindings_of_a_set(load: Load) -> None:
    assert chain(load, "[{name: c, id: first}, {use: s}, {use: t}]") == [
        ("c", "first", True),
        ("a", "a", True),
        ("b", "b", True),
        ("c", "c", True),
    ]


@pytest.mark.parametrize("use", ["use", '"use"', '"\\x75se"'])
def test_a_set_is_found_however_the_key_that_uses_it_is_written(load: Load, use: str) -> None:
    sets = "plugin_sets: [{name: s, plugins: [{name: a}]}]\n"
    routes = f"routes: [{{id: r, path: /, {TARGET}, plugins: [{{{use}: s}}]}}]\n"

    (route,) = load(routes, sets).config.routes

    assert [binding.name for binding in route.plugins] == ["a"]


def test_a_set_that_no_document_defines_is_a_problem(load: Load) -> None:
    (problem,) = problems(load, f"routes: [{{id: r, path: /, {TARGET}, plugins: [{{use: s}}]}}]\n")

    assert "s" in problem


def test_a_later_binding_replaces_one_of_the_set_in_its_place(load: Load) -> None:
    assert chain(load, "[{use: s}, {name: c}, {name: c, id: a}]") == [
        ("c", "a", True),
        ("b", "b", True),
        ("c", "c", True),
    ]
    assert chain(load, "[{use: s}, {name: b, enabled: false}]") == [("a", "a", True), ("b", "b", False)]


def test_a_binding_of_a_set_is_replaced_once_and_none_of_its_id_gets_lost(load: Load) -> None:
    plugins = "[{use: s}, {name: a, config: {n: 1}}, {name: a, config: {n: 2}}]"

    found = problems(load, f"{SETS}\nroutes: [{{id: r, path: /, respond: {{}}, plugins: {plugins}}}]")

    assert any('"a" is already a binding in this list' in each for each in found), found


def test_sets_are_used_wherever_bindings_are_listed(load: Load) -> None:
    config = load(
        SETS.replace("{name: t, plugins: [{name: c}]}", ""),
        """
plugins: [{use: s}]
upstreams: [{name: u, endpoints: [{url: "http://h:1"}], plugins: [{use: s}]}]
route_defaults: {plugins: [{use: s}]}
routes: [{id: r, path: /, targets: [{target: u, plugins: [{use: s}]}]}]
""",
    ).config

    lists = [config.plugins, config.upstreams[0].plugins, config.routes[0].plugins, config.routes[0].targets[0].plugins]
    assert [[each.name for each in listed] for listed in lists] == [["a", "b"]] * 4


@pytest.mark.parametrize(
    ("plugins", "top", "problem"),
    [
        ("[{use: x}]", SETS, "0.yaml:3:56: routes[0].plugins[0].use: \"x\" is not a set of plugins"),
        ("[{use: s, id: q}]", SETS, '"id" has no place beside use'),
        ("[{use: s}, {use: u}]", SETS.replace("]}]\n", "]}, {name: u, plugins: [{name: c, id: a}]}]\n"), "in the set"),
        ("[{use: s}]", NESTED, "no other"),
        ("[{use: s}]", SETS + "  \n" + "", "used nowhere"),
        ("[{use: s}]", SETS.replace("name: t", "name: s"), "already a set"),
        ("[{use: s}, {use: t}]", SETS.replace("n: 1", "n: x"), "0.yaml:1:68: routes[0].plugins[1].config.n"),
        ("[{use: s}, {use: t}]", SETS.replace("name: c", "name: x"), "no plugin"),
        ("[{use: s}]", "plugin_sets: [{name: s, plugins: []}]", "is empty"),
        ("[{use: s}, {use: t}]", SETS.replace("name: c", "name: c, order: after"), "order is for"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_set_is_told_once_with_its_place(load: Load, plugins: str, top: str, problem: str) -> None:
    found = problems(load, f"{top}\nroutes: [{{id: r, path: /, respond: {{}}, plugins: {plugins}}}]")

    assert len([each for each in found if problem in each]) == 1, found
