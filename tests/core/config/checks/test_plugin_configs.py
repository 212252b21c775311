from __future__ import annotations

import pytest
from gateway_core.config import ConfigError, Document, PluginDescription, load_config

from tests.core.config.conftest import Catalogue, Load


@pytest.mark.parametrize(
    ("binding", "message"),
    [
        ("{name: loger}", 'no plugin "loger" is installed: did you mean "logger"?'),
        ("{name: consul}", "is installed: pip install gateway-plugin-consul"),
        ("{name: jwt}", 'no plugin "jwt" is installed: installed are'),
        ("{name: geo}", 'the plugin "geo" of acme-geo 3.2.1 does not load: ModuleNotFoundError'),
        ("{name: odd}", "the plugin's own schema is broken"),
        ("{name: auth}", r'"secret" is missing (auth 1.0.0)'),
        ("{name: ratelimit, config: {rate: 1000, burst: 1}}", "burst is too small for this rate (ratelimit 1.0.0)"),
    ],
)
def test_bindings_that_cannot_run_are_refused(load: Load, binding: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(f"plugins: [{binding}]")

    assert message in caught.value.problems[0].message


def test_binding_that_is_switched_off_needs_no_plugin_and_no_config(load: Load) -> None:
    load("plugins: [{name: geo, enabled: false}, {name: auth, enabled: false}, {name: gone, enabled: false}]")


def test_route_may_switch_off_what_it_inherits_and_nothing_else(load: Load) -> None:
    route = "routes: [{id: a, path: /, target: 'http://h', plugins: [{name: logger, enabled: false}]}]"
    load("plugins: [{name: logger}]\n" + route)

    with pytest.raises(
        ConfigError, match='switches off "logger", which no gateway-wide binding is called: there is none'
    ):
        load(route)


def test_same_wrong_config_is_reported_in_every_place(load: Load) -> None:
    with pytest.raises(ConfigError) as caught:
        load("plugins: [{name: ratelimit, config: {rate: -1}}, {name: ratelimit, id: b, config: {rate: -1}}]")

    assert [problem.key_path for problem in caught.value.problems] == [
        "plugins[0].config.rate",
        "plugins[1].config.rate",
    ]


class Failing(Catalogue):
    """Plugins whose own checks raise."""

    def describe(self, name: str) -> PluginDescription | None:
        def fail(_config: object) -> list[str]:
            raise RuntimeError("boom")

        return PluginDescription(name, "acme-bad", "1", check=fail if name == "check" else None, needs_of=fail)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["check", "needs"])
def test_plugin_that_fails_while_it_is_asked_is_a_problem_not_a_crash(name: str) -> None:
    document = Document("g.yaml", f"plugins: [{{name: {name}}}]")

    with pytest.raises(ConfigError, match=rf"the plugin fails on this config: boom \({name} 1\)"):
        load_config([], environ={}, catalog=Failing(), extra_documents=[document])
