from __future__ import annotations

from typing import Any

import pytest
from gateway_core.clock import ManualClock
from gateway_core.config import BindingConfig, ConfigError, Place
from gateway_core.hooks import Chain, Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.leases import Leases
from gateway_core.metrics import Metrics
from gateway_core.packages import Bindings, ChainBuilder, PluginRegistry


class Some(Plugin[Any]):
    name = "some"

    @hookimpl
    def gateway_request(self) -> None: ...

    @hookimpl
    def gateway_pre_proxy(self) -> None: ...


class Signing(Plugin[Any]):
    name = "signing"

    @hookimpl
    def gateway_attempt(self) -> None: ...


@pytest.fixture
def registry() -> PluginRegistry:
    registry = PluginRegistry(find=dict)
    for plugin in (Some, Signing):
        registry.register(plugin)
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


def test_gateway_wide_bindings_with_order_after_come_behind_those_of_route_and_target(bindings: Bindings) -> None:
    builder = ChainBuilder(bindings, [*some("a", order="after"), *some("b")], place_of)

    chain = builder.chain_for("r", some("c"), "routes[0]", [("users", some("d")), ("shop", [])])
    to_users, to_shop = chain.for_target("users"), chain.for_target("shop")

    assert [binding.id for binding in builder.global_chain.bindings] == ["b", "a"]
    assert [hook.binding.id for hook in chain.pre_proxy] == ["b", "c"]
    assert to_users is not None
    assert to_shop is not None
    assert [hook.binding.id for hook in to_users.pre_proxy] == ["d", "a"]
    assert [hook.binding.id for hook in to_shop.pre_proxy] == ["a"]
    assert described(to_users)[2] == ("d", "<routes[0].targets[0].plugins[0]>")


def test_a_routes_binding_stands_behind_where_the_one_that_it_replaces_does(bindings: Bindings) -> None:
    builder = ChainBuilder(bindings, [*some("a", order="after"), *some("b")], place_of)

    chain = builder.chain_for("r", some("a", "c"), "routes[0]")

    assert described(chain) == [
        ("b", "<plugins[1]>"),
        ("c", "<routes[0].plugins[1]>"),
        ("a", "<routes[0].plugins[0]>"),
    ]


def test_bindings_of_targets_and_upstreams_are_identified_by_the_upstream(bindings: Bindings) -> None:
    builder = ChainBuilder(bindings, [], place_of)

    chain = builder.chain_for("r", [], "routes[0]", [("users", some("d"))]).for_target("users")
    (hook,) = builder.attempt_hooks_for(
        "users", [BindingConfig(name="signing"), BindingConfig(name="signing", id="off", enabled=False)], "upstreams[0]"
    )

    assert chain is not None
    assert [(each.path, each.route) for each in chain.bindings] == [("upstreams/users/d", "r")]
    assert (hook.binding.path, hook.binding.route) == ("upstreams/users/signing", None)
    assert hook.phase == "gateway_attempt"
    assert str(hook.binding) == "binding 'signing' of plugin 'signing' (of upstream 'users')"
