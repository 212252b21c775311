"""Bindings that cannot work where they stand, and those that let more pass than they seem to: pure decisions.

The hook gateway_request runs before a route is known, so a plugin that has no other is of use gateway-wide only; a
target is known when the route-match hooks have run; of an upstream's bindings only attempt hooks run. Plugins read path
parameters by name, and one that nothing captures is always missing: a field would never be written, and a limit would
count by something else.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from gateway_core.config import (
    BindingConfig,
    ConfigProblem,
    GatewayConfig,
    KeyPath,
    PlaceOf,
    PluginCatalog,
    PluginDescription,
    effective_chain,
    format_path,
)
from gateway_core.config.suggestions import Fault, did_you_mean, listed, quote
from gateway_core.packages.registry import PluginRegistry
from gateway_core.snapshot.route_effects import params_of


@dataclass(frozen=True, slots=True)
class _Placed:
    """A binding that is switched on, and where it stands."""

    where: str
    """Its key path."""
    binding: BindingConfig
    route: int | None = None
    """Position of its route, if it or its target is listed there."""
    is_of_target: bool = False


@dataclass(frozen=True, slots=True)
class _Kind:
    """What is called of bindings of one kind."""

    hooks: frozenset[str]
    fault: Fault
    """What to say of a plugin that has none of these hooks."""


_OF_TARGETS: Final = _Kind(
    frozenset({"gateway_pre_proxy", "gateway_attempt", "gateway_response", "gateway_log"}),
    Fault("and a target is chosen only behind them", "list it on the route, or under the top-level plugins"),
)
_OF_ROUTES: Final = _Kind(
    _OF_TARGETS.hooks | {"gateway_route_match"},
    Fault("which runs before a route is known", "list it under the top-level plugins"),
)
_OF_UPSTREAMS: Final = _Kind(
    frozenset({"gateway_attempt"}),
    Fault("and upstreams call gateway_attempt", "list it on the routes, or under the top-level plugins"),
)


def check_bindings(config: GatewayConfig, place_of: PlaceOf, registry: PluginRegistry) -> Iterator[ConfigProblem]:
    """Find what is wrong with the bindings of a configuration, each of which is valid where it is looked at alone."""
    placed = list(_placed(config))
    yield from _never_called(placed, place_of, registry)
    yield from _unknown_params(config, placed, place_of, registry)
    inherited = {binding.id for binding in config.plugins}
    found = [problem for each in placed for problem in (*_settings(each, registry), *_replaced(each, inherited))]
    for where, code, (message, remedy) in (*found, *_only_in_shadow(config, registry)):
        yield ConfigProblem(place_of(where), where, message, code=code, severity="warning", remedy=remedy)


def _placed(config: GatewayConfig) -> Iterator[_Placed]:
    lists: list[tuple[str, Sequence[BindingConfig], int | None, bool]] = [("plugins", config.plugins, None, False)]
    lists += [(f"upstreams[{i}].plugins", each.plugins, None, False) for i, each in enumerate(config.upstreams)]
    for position, route in enumerate(config.routes):
        where = f"routes[{position}]"
        lists.append((f"{where}.plugins", route.plugins, position, False))
        lists += [
            (f"{where}.targets[{i}].plugins", each.plugins, position, True) for i, each in enumerate(route.targets)
        ]
    for key_path, bindings, of_route, is_of_target in lists:
        for index, binding in enumerate(bindings):
            if binding.enabled:
                yield _Placed(f"{key_path}[{index}]", binding, of_route, is_of_target)


def _never_called(placed: list[_Placed], place_of: PlaceOf, registry: PluginRegistry) -> Iterator[ConfigProblem]:
    for each in placed:
        if each.where.startswith("plugins"):
            continue  # There every hook is called.
        kind = _OF_UPSTREAMS if each.route is None else _OF_TARGETS if each.is_of_target else _OF_ROUTES
        info = registry.info(each.binding.name)
        if info is not None and info.kind == "plugin" and info.hooks and kind.hooks.isdisjoint(info.hooks):
            hooks = f"only the hook{'s' * (len(info.hooks) > 1)} {listed(list(info.hooks), last='and')}"
            message, remedy = f"{each.binding.name} has {hooks}, {kind.fault.reason}", kind.fault.remedy
            place = place_of(each.where)
            yield ConfigProblem(place, each.where, message, code="binding.unreachable", remedy=remedy)


# --- parameters ------------------------------------------------------------------------------------------------------


def _unknown_params(
    config: GatewayConfig, placed: list[_Placed], place_of: PlaceOf, catalog: PluginCatalog
) -> Iterator[ConfigProblem]:
    """Find parameters in plugins' configurations that no route captures."""
    by_route: dict[int | None, list[_Placed]] = {}
    for each in placed:
        by_route.setdefault(each.route, []).append(each)
    captured: set[str] = set()
    are_known = True
    for index, route in enumerate(config.routes):
        bound = by_route.get(index, [])
        params = params_of(route) if bound or config.plugins else ()
        if params is None:
            are_known = False  # An error of its own.
            continue
        captured.update(params)
        for each in bound:
            for key_path, name in _missing(each, params, catalog):
                message = f"no path and no host of route {quote(route.id)} captures a parameter {quote(name)}"
                remedy = did_you_mean(name, params) or _there_are(params)
                yield ConfigProblem(place_of(key_path), key_path, message, code="param.unknown", remedy=remedy)
    if not are_known or not config.routes:
        return
    for each in by_route.get(None, []):
        for key_path, name in _missing(each, captured, catalog) if each.where.startswith("plugins") else ():
            yield ConfigProblem(
                place_of(key_path),
                key_path,
                f"no route captures a parameter {quote(name)}",
                code="param.unknown",
                severity="warning",  # A route that a source adds may.
                remedy=did_you_mean(name, captured) or _there_are(captured),
            )


def _missing(placed: _Placed, params: Collection[str], catalog: PluginCatalog) -> Iterator[tuple[str, str]]:
    """Yield key path and name of the parameters that a binding reads and that are none of these."""
    description = catalog.describe(placed.binding.name)
    if description is None or description.params_of is None:
        return
    for path, name in description.params_of(placed.binding.config):
        if name not in params:
            yield _below(f"{placed.where}.config", path), name


def _below(where: str, path: KeyPath) -> str:
    inner = format_path(path)
    return where + (inner if inner.startswith("[") else f".{inner}" if inner else "")


def _there_are(params: Collection[str]) -> str:
    if not params:
        return "name it in the path, as in /users/:id"
    return f"{'there is' if len(params) == 1 else 'there are'} {listed(sorted(params), last='and')}"


# --- what lets pass --------------------------------------------------------------------------------------------------

Found = Iterator[tuple[str, str, Fault]]
"""Key paths, codes and messages."""


def _guard(binding: BindingConfig, catalog: PluginCatalog) -> PluginDescription | None:
    """Return the description of a binding that decides who may pass."""
    description = catalog.describe(binding.name)
    is_guard = description is not None and description.load_error is None and description.access_control
    return description if is_guard else None


def _settings(placed: _Placed, catalog: PluginCatalog) -> Found:
    """Find settings of a binding for failures that have no effect, and those that let requests pass a guard."""
    where, binding = placed.where, placed.binding
    if binding.on_timeout is not None and binding.timeout is None:
        yield f"{where}.on_timeout", "setting.no-effect", Fault("on_timeout has no effect: no timeout is given")
    if binding.mode == "shadow":
        for name in ("on_error", "on_timeout"):
            if name in binding.model_fields_set:
                message = f"{name} has no effect: in shadow mode nothing is enforced, failures neither"
                yield f"{where}.{name}", "setting.no-effect", Fault(message)
        return
    guard = _guard(binding, catalog)
    if guard is None:
        return
    on_error = binding.on_error or guard.default_on_error
    for name, value in (("on_error", on_error), ("on_timeout", binding.on_timeout)):
        if value == "continue":
            key_path = f"{where}.{name}" if name in binding.model_fields_set else where
            cause = "fails" if name == "on_error" else "takes too long"
            what = f"{quote(binding.id)} decides who may pass, and lets every request pass when it {cause}"
            yield key_path, "binding.fails-open", Fault(what, f"write {name}: deny")


def _replaced(placed: _Placed, inherited: Collection[str]) -> Found:
    """Find a route's binding that replaces a gateway-wide one by the id that both have by default."""
    binding = placed.binding
    is_of_route = placed.route is not None and not placed.is_of_target
    if is_of_route and binding.id in inherited and "id" not in binding.model_fields_set:
        reason = f"replaces the gateway-wide binding {quote(binding.id)}, which does not run on this route"
        remedy = f"write id: {binding.id} if that is meant, or another id for both to run"
        yield placed.where, "binding.replaces", Fault(reason, remedy)


def _only_in_shadow(config: GatewayConfig, catalog: PluginCatalog) -> Found:
    """Find bindings in shadow mode without any that enforces something beside them; each once."""
    reported = set()
    for position, route in enumerate(config.routes):
        bindings = [target.plugins for target in route.targets] or [()]
        chains = [effective_chain(config.plugins, route.plugins, index, own) for index, own in enumerate(bindings)]
        guards = [each for chain in chains for each in chain if _guard(each.binding, catalog)]
        if any(each.binding.mode == "enforce" for each in guards):
            continue
        for each in guards:
            where = each.key_path(position)
            if where not in reported:
                reported.add(where)
                reason = f"{quote(each.binding.id)} refuses no request in shadow mode, and nothing else protects route "
                fault = Fault(reason + quote(route.id), "write mode: enforce once its decisions are right")
                yield f"{where}.mode", "binding.only-in-shadow", fault
