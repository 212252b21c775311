from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from gateway_core.config import ConfigError, PluginDescription, load_config

from tests.core.config.conftest import Catalogue, Load

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


AUTH = "{name: auth, config: {secret: x}}"
LIMIT = "{name: ratelimit, config: {rate: 1, key: identity}}"


def route(*bindings: str, name: str = "a") -> str:
    return f"  - {{id: {name}, path: /{name}, target: 'http://h', plugins: [{', '.join(bindings)}]}}\n"


def messages(load: Load, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(text)
    return [f"{problem.key_path}: {problem.text}" for problem in caught.value.problems]


@pytest.mark.parametrize(
    "text",
    [
        "routes:\n" + route(AUTH, LIMIT),
        f"plugins: [{AUTH}]\nroutes:\n" + route(LIMIT),
        f"plugins: [{AUTH}, {LIMIT}]\n",
        f"plugins: [{LIMIT.replace('config', 'order: after, config')}, {AUTH}]\n",
        "routes:\n" + route("{name: ratelimit, config: {rate: 1}}", AUTH),
        f"plugins: [{LIMIT}]\nroutes:\n" + route("{name: ratelimit, enabled: false}"),
    ],
)
def test_orders_that_work(load: Load, text: str) -> None:
    load(text)


def split(*targets: str) -> str:
    listed = ", ".join(f"{{target: 'http://h{index}', plugins: [{each}]}}" for index, each in enumerate(targets))
    return f"routes: [{{id: a, path: /a, targets: [{listed}]}}]\n"


def test_a_target_may_bring_what_a_later_binding_needs(load: Load) -> None:
    last = "plugins: [{name: ratelimit, order: after, config: {rate: 1, key: identity}}]\n"

    load(last + split(AUTH, AUTH))

    assert messages(load, last + split(AUTH, "")) == [
        (
            'plugins[0]: "ratelimit" needs "identity", which no binding before it provides (on route "a"): '
            "add one of auth before it"
        )
    ]


def test_a_targets_binding_may_need_what_the_route_provides(load: Load) -> None:
    load(f"plugins: [{AUTH}]\n" + split(LIMIT))

    (message,) = messages(load, split(LIMIT))
    assert message.startswith('routes[0].targets[0].plugins[0]: "ratelimit" needs "identity"')


def test_need_before_what_provides_it_names_both_places(load: Load) -> None:
    assert messages(load, "routes:\n" + route(LIMIT, AUTH)) == [
        (
            'routes[0].plugins[0]: "ratelimit" needs "identity", which "auth" at gateway.yaml:2:106 '
            "provides only later: put that one first"
        )
    ]


def test_need_that_nothing_provides_names_what_could(load: Load) -> None:
    assert messages(load, "routes:\n" + route(LIMIT)) == [
        (
            'routes[0].plugins[0]: "ratelimit" needs "identity", which no binding before it provides: '
            "add one of auth before it"
        )
    ]
    assert messages(load, "plugins: [{name: quota}]") == [
        'plugins[0]: "quota" needs "tenant", which no installed plugin provides'
    ]


def test_switching_off_what_provides_leaves_the_need_open(load: Load) -> None:
    text = f"plugins: [{AUTH}, {LIMIT}]\nroutes:\n" + route("{name: auth, enabled: false}", name="open")

    assert messages(load, text) == [
        (
            'plugins[1]: "ratelimit" needs "identity", which no binding before it provides (on route "open"): '
            "add one of auth before it"
        )
    ]


def test_replacing_keeps_the_place_of_the_one_replaced(load: Load) -> None:
    load(f"plugins: [{AUTH}, {LIMIT}]\nroutes:\n" + route("{name: auth, config: {secret: other}}"))


def test_gateway_wide_mistake_is_reported_once_for_all_routes(load: Load) -> None:
    text = f"plugins: [{LIMIT}]\nroutes:\n" + "".join(route("{name: logger}", name=f"r{number}") for number in range(5))

    assert len(messages(load, text)) == 1


def test_nothing_is_said_about_chains_with_plugins_that_are_missing(load: Load) -> None:
    assert messages(load, "routes:\n" + route("{name: gone}", LIMIT))[0].startswith(
        "routes[0].plugins[0].name: no plugin"
    )
    assert len(messages(load, "routes:\n" + route("{name: gone}", LIMIT))) == 1


@pytest.fixture
def with_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    kind: dict[str, object] = {"type": "object"}
    described = [
        PluginDescription("cache", "acme-cache", "1", kind, shares_responses=True),
        PluginDescription("ip", "acme-ip", "1", kind, access_control=True),
        PluginDescription("files", "acme-files", "1", kind, provides=frozenset({"response"})),
        PluginDescription("gzip", "acme-gzip", "1", kind, encodes_responses=True),
        PluginDescription("reads", "acme-reads", "1", kind, needs=frozenset({"plain-responses"})),
    ]
    monkeypatch.setattr(Catalogue, "plugins", {**Catalogue.plugins, **{each.name: each for each in described}})


@pytest.mark.usefixtures("with_cache")
@pytest.mark.parametrize("plugins", ["{name: NAME}, " + AUTH, AUTH + ", {name: NAME}, " + LIMIT])
@pytest.mark.parametrize(
    ("name", "what"),
    [("cache", "gives stored responses without asking"), ("files", "responds to every request without asking")],
)
def test_no_binding_about_identities_stands_behind_one_that_responds_in_its_place(
    load: Load, plugins: str, name: str, what: str
) -> None:
    (message,) = messages(load, "routes:\n" + route(plugins.replace("NAME", name)))

    assert what in message
    assert message.endswith("put this one before it")


@pytest.mark.usefixtures("with_cache")
@pytest.mark.parametrize("name", ["cache", "files"])
def test_other_access_control_behind_one_that_responds_in_its_place_is_a_warning(load: Load, name: str) -> None:
    loaded = load("routes:\n" + route(f"{{name: {name}}}", "{name: ip}"))

    assert [problem.code for problem in loaded.warnings] == ["binding.passed-by"]


@pytest.mark.usefixtures("with_cache")
def test_access_control_before_a_cache_is_no_warning(load: Load) -> None:
    assert not load("routes:\n" + route("{name: ip}", AUTH, "{name: cache}", "{name: logger}")).warnings


@pytest.mark.usefixtures("with_cache")
@pytest.mark.parametrize("files", ["{name: files, when: {methods: [GET]}}", "{name: files, mode: shadow}"])
def test_access_control_may_stand_behind_one_that_responds_to_some_requests(load: Load, files: str) -> None:
    assert not [each for each in load("routes:\n" + route(files, AUTH)).warnings if "passed-by" in each.code]


@pytest.mark.usefixtures("with_cache")
def test_what_looks_into_responses_stands_behind_what_compresses_them(load: Load) -> None:
    (found,) = load("routes:\n" + route("{name: reads}", "{name: logger}", "{name: gzip}")).warnings

    assert (found.code, found.key_path) == ("binding.order", "routes[0].plugins[2]")
    assert found.text.startswith('"gzip" compresses responses before "reads" at')
    assert not load("routes:\n" + route("{name: gzip}", "{name: reads}")).warnings
