from __future__ import annotations

from dataclasses import dataclass

from gateway_core.config import BindingConfig, effective_chain, resolve_chain


def test_id_is_the_name_unless_given() -> None:
    assert BindingConfig(name="auth").id == "auth"
    assert BindingConfig(name="auth", id="second").id == "second"
    assert BindingConfig.model_validate({"name": "auth", "id": None}).id == "auth"


def test_what_the_plugin_decides_is_left_open() -> None:
    binding = BindingConfig(name="auth")

    assert (binding.on_error, binding.timeout, binding.on_timeout, binding.quarantine) == (None, None, None, None)
    assert (binding.enabled, binding.mode, binding.config) == (True, "enforce", {})


@dataclass(frozen=True)
class Binding:
    id: str
    enabled: bool = True
    mark: str = ""
    order: str | None = None


def ids(gateway_wide: list[Binding], own: list[Binding]) -> list[str]:
    return [entry.binding.id for entry in effective_chain(gateway_wide, own)]


def test_own_bindings_follow_the_gateway_wide_ones() -> None:
    assert ids([Binding("a"), Binding("b")], [Binding("c")]) == ["a", "b", "c"]


def test_own_binding_replaces_the_one_of_its_id_in_its_place() -> None:
    chain = effective_chain([Binding("a"), Binding("b")], [Binding("c"), Binding("a", mark="own")])

    assert [entry.binding.id for entry in chain] == ["a", "b", "c"]
    assert chain[0].binding.mark == "own"
    assert (chain[0].is_own, chain[0].index, chain[0].replaces) == (True, 1, 0)


def test_gateway_wide_bindings_with_order_after_run_behind_those_of_route_and_target() -> None:
    gateway_wide = [
        Binding("a", order="after"),
        Binding("b"),
        Binding("c", order="before"),
        Binding("d", order="after"),
    ]

    chain = effective_chain(gateway_wide, [Binding("e"), Binding("d", mark="own")], 1, [Binding("f"), Binding("a")])

    assert [entry.binding.id for entry in chain] == ["b", "c", "e", "f", "a", "a", "d"]
    assert chain[-1].binding.mark == "own"
    assert [entry.is_after for entry in chain] == [False] * 5 + [True] * 2
    assert chain[3].key_path(2) == "routes[2].targets[1].plugins[0]"


def test_switched_off_bindings_do_not_run_but_can_be_explained() -> None:
    gateway_wide = [Binding("a"), Binding("b", enabled=False)]
    own = [Binding("a", enabled=False), Binding("c")]

    assert ids(gateway_wide, own) == ["c"]
    assert [entry.binding.id for entry in resolve_chain(gateway_wide, own)] == ["a", "b", "c"]


def test_entries_know_where_they_are_written() -> None:
    own, shared = resolve_chain([Binding("a"), Binding("b")], [Binding("a")])

    assert own.key_path(3) == "routes[3].plugins[0]"
    assert shared.key_path(3) == "plugins[1]"
