from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from gateway_core.config import ConfigError, Document, render_problems
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.packages import PluginRegistry
from gateway_core.packages.loading import Loaded
from gateway_core.snapshot import load


class Offered:
    """What an extension offers under any name."""

    config_model = None

    def __init__(self, *_given: object) -> None:
        """Take anything."""


def offering(hook: str, *names: str) -> Any:
    """Return an extension that offers these names."""

    def offer() -> Mapping[str, Any]:
        return dict.fromkeys(names, Offered)

    offer.__name__ = hook
    return SimpleNamespace(**{hook: hookimpl(offer)})


def registry(**extensions: Any) -> PluginRegistry:
    made = PluginRegistry(find=dict)
    for name, extension in extensions.items():
        made.register(extension, name=name)
    return made


def check(text: str, registry: PluginRegistry) -> None:
    load((), registry=registry, environ={}, documents=[Document("etcd://h/a.yaml", text)])


DISCOVERED = "upstreams: [{name: u, discovery: {name: 'mine', config: {}}}]\nroutes: [{path: /, target: u}]\n"
SPREAD = "upstreams:\n- name: u\n  strategy: mine\n  endpoints: [{url: 'http://h'}]\nroutes: [{path: /, target: u}]\n"


@pytest.mark.parametrize("extension", ["mine", "another"])
@pytest.mark.parametrize(("text", "hook"), [(DISCOVERED, "gateway_discovery"), (SPREAD, "gateway_strategies")])
def test_what_an_extension_offers_is_known_whatever_its_name_is(extension: str, text: str, hook: str) -> None:
    check(text, registry(**{extension: offering(hook, "mine")}))


@pytest.mark.parametrize("text", [DISCOVERED, SPREAD])
def test_what_nobody_offers_is_a_problem_that_names_what_there_is(text: str) -> None:
    offers = {"a": offering("gateway_discovery", "ours"), "b": offering("gateway_strategies", "ours")}

    with pytest.raises(ConfigError, match="ours"):
        check(text, registry(**offers))


def test_plugins_are_loaded_only_if_they_may_help() -> None:
    asked: list[object] = []

    class Watched(PluginRegistry):
        def loaded(self, names: Iterable[str] | None = None) -> Iterable[tuple[str, Loaded]]:
            asked.append(names)
            return super().loaded(names)

    found = Watched(find=dict)
    found.register(offering("gateway_discovery", "mine"), name="mine")
    with pytest.raises(ConfigError, match="tarrget"):
        check("routes: [{path: /, tarrget: x}]", found)
    assert asked == []

    with pytest.raises(ConfigError, match="tarrget"):
        check(DISCOVERED.replace("target", "tarrget"), found)
    assert asked == [{"mine"}]


GOLDEN = Path(__file__).parents[2] / "golden" / "warnings"


class Auth(Plugin[dict[str, object]]):
    name = "auth"
    config_schema: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "properties": {"secret": {"type": "string", "writeOnly": True}},
        "additionalProperties": False,
    }
    provides = frozenset({"identity"})


@pytest.mark.parametrize("name", sorted(path.name for path in GOLDEN.glob("*.yaml")))
def test_warnings_are_told_with_place_and_remedy(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(GOLDEN)
    known = PluginRegistry(find=dict)
    known.register(Auth)

    text = render_problems(load([Path(name)], registry=known, environ={}).warnings) + "\n"

    expected = GOLDEN / f"{name}.expected"
    if os.environ.get("UPDATE_GOLDEN"):
        expected.write_text(text, encoding="utf-8")
    assert text == expected.read_text(encoding="utf-8")
    assert "s3cr3t" not in text
