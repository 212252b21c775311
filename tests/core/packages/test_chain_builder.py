from __future__ import annotations

from typing import Any

import pytest
from gateway_core.clock import ManualClock
from gateway_core.config import BindingConfig, ConfigError, GatewayConfig, Place
from gateway_core.hooks import Chain, Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.leases import Leases
from gateway_core.metrics import Metrics
from gateway_core.packages import Bindings, ChainBuilder, PluginRegistry, unreachable_bindings


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


@pytest.fixture
def registry() -> PluginRegistry:
    registry = PluginRegistry(find=dict)
    registry.register(Some)
    registry.register(Early)
    return registry


@pytest.fixture
def bindings(registry: PluginRegistry, clock: ManualClock, metrics: Metrics) -> Bindings:
    return Bindings(registry, Leases(), clock=clock, metrics=metrics)


def some(*ids: str, **keys: Any) -> list[BindingConfig]:
    return [BindingConfig(name="some", id=each, **keys) for each in ids]


def place_of(key_path: str) -> Place:
    return Place(f"<{key_path}>")


def described(chain: Chain) -> list[tuple[str, str]]:
    return [(binding.id, binding.place) for binding in chain.bindings]


def test_routes_without_bindings_of_their_own_share_one_chain(bindings: Bindings) -> None:
    builder = ChainBuilder(bindings, some("a", "b"), place_of)

    assert builder.chain_for("r", [], "routes[0]") is builder.global_chain
    assert builder.chain_for("s", [], "routes[1]") is builder.global_chain
    assert described(builder.global_chain) == [("a", "<plugins[0]>"), ("b", "<plugins[1]>")]


def test_a_routes_binding_takes_the_place_of_the_inherited_one_and_the_rest_follows(bindings: Bindings) -> None:
    builder = ChainBuilder(bindings, some("a", "b", "c"), place_of)

    chain = builder.chain_for("r", [*some("new", "b"), *some("c", enabled=False)], "routes[7]")

    assert described(chain) == [
        ("a", "<plugins[0]>"),
        ("b", "<routes[7].plugins[1]>"),
        ("new", "<routes[7].plugins[0]>"),
    ]
    assert chain.bindings[0] is builder.global_chain.bindings[0]
    assert [binding.route for binding in chain.bindings] == [None, "r", "r"]
    assert [hook.binding.id for hook in chain.request] == ["a"]


def test_a_gateway_wide_binding_that_is_off_is_not_made(bindings: Bindings) -> None:
    builder = ChainBuilder(bindings, [*some("a", enabled=False), *some("b")], place_of)

    assert [binding.id for binding in builder.global_chain.bindings] == ["b"]
    assert [binding.id for binding in builder.chain_for("r", some("a"), "routes[0]").bindings] == ["a", "b"]
    assert bindings.made == 2


def test_a_binding_that_cannot_be_made_names_its_place(bindings: Bindings) -> None:
    builder = ChainBuilder(bindings, [], place_of)

    with pytest.raises(
        ConfigError, match=r"<routes\[2\].plugins\[0\]>: routes\[2\].plugins\[0\]: plugin 'gone' is not"
    ):
        builder.chain_for("r", [BindingConfig(name="gone")], "routes[2]")


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

    (problem,) = unreachable_bindings(registry)(config, place_of)

    assert problem.key_path == "routes[1].plugins[1]"
    assert problem.message == (
        "early has only the hook gateway_request, which runs before a route is known: "
        "list it under the top-level plugins"
    )
