from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import click
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.packages import Extensions, PluginRegistry


def module(name: str, **offers: Callable[[], Any]) -> types.ModuleType:
    made = types.ModuleType(name)
    for hook, offer in offers.items():
        function: Any = types.FunctionType(offer.__code__, offer.__globals__, hook, None, offer.__closure__)
        function.__module__ = name
        setattr(made, hook, hookimpl(function))
    return made


def collected(*extensions: Any, taken: dict[str, list[str]] | None = None) -> Extensions:
    registry = PluginRegistry(find=dict)
    for extension in extensions:
        registry.register(extension, name=getattr(extension, "name", None) or extension.__name__)
    return Extensions.of(registry, taken)


Offered: Any = type("Offered", (), {"config_model": None})


NO_CLASS = "which is not a class: offer the class, which is called with its configuration"
NO_MODEL = "whose config_model <class 'int'> is not a pydantic model class"


class Modelled:
    config_model = int


def test_offers_are_found_by_the_names_that_configurations_use() -> None:
    found = collected(
        module("a", gateway_discovery=lambda: {"etcd": Offered}, gateway_strategies=lambda: {"fair": Offered}),
        module("b", gateway_config_sources=lambda: {"consul": Offered}),
    )

    assert found.discoveries == {"etcd": Offered}
    assert found.strategies == {"fair": Offered}
    assert found.config_sources == {"consul": Offered}
    assert found.problems == []


def test_a_plugin_class_offers_through_static_methods() -> None:
    class Both(Plugin[Any]):
        name = "both"

        @staticmethod
        @hookimpl
        def gateway_strategies() -> dict[str, Any]:
            return {"fair": Offered}

    assert collected(Both).strategies == {"fair": Offered}


def test_of_two_offers_of_one_name_the_first_wins_and_the_other_is_named() -> None:
    found = collected(
        module("b", gateway_strategies=lambda: {"fair": Offered}),
        module("a", gateway_strategies=lambda: {"fair": Offered, "mine": Offered}),
        taken={"gateway_strategies": ["mine"]},
    )

    assert found.strategies == {"fair": Offered}
    assert [str(problem) for problem in found.problems] == [
        "extension 'a': gateway_strategies: 'mine' is already offered by the gateway",
        "extension 'b': gateway_strategies: 'fair' is already offered by a",
    ]


def test_an_extension_that_fails_or_offers_nonsense_is_named_and_the_others_count() -> None:
    def fail() -> Any:
        raise ValueError("no luck")

    found = collected(
        module("a", gateway_discovery=fail, gateway_strategies=lambda: ["fair"]),
        module("b", gateway_strategies=lambda: {"odd": 5, "even": Modelled}),
        module("c", gateway_strategies=lambda: {"fair": Offered}),
    )

    assert found.strategies == {"fair": Offered}
    texts = [str(problem) for problem in found.problems]
    assert texts[0].startswith("extension 'a': gateway_discovery: failed: ValueError: no luck (")
    assert texts[1:] == [
        "extension 'a': gateway_strategies: returned ['fair']: return a mapping of names to classes",
        f"extension 'b': gateway_strategies: 'odd' is 5, {NO_CLASS}",
        f"extension 'b': gateway_strategies: 'even' is {Modelled!r}, {NO_MODEL}",
    ]


def test_commands_are_collected_and_a_taken_name_is_left_out() -> None:
    found = collected(
        module("a", gateway_commands=lambda: [click.Command("hello"), click.Command("run"), 5]),
        taken={"gateway_commands": ["run"]},
    )

    assert [command.name for command in found.commands()] == ["hello"]
    assert [problem.message for problem in found.problems] == [
        "'run' is already offered by the gateway",
        "5 is not a click command with a name",
    ]
