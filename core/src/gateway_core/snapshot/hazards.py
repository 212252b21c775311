"""Settings with side effects that are easy to overlook: pure decisions over a configuration."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from gateway_core.config import (
    BindingConfig,
    ConfigProblem,
    GatewayConfig,
    PlaceOf,
    PluginCatalog,
    PluginDescription,
    effective_chain,
)
from gateway_core.config.address import ListenAddress, parse_listen
from gateway_core.config.suggestions import Fault, listed, quote
from gateway_core.config.values import Network, TrustedPeer
from gateway_core.packages.registry import PluginRegistry

if TYPE_CHECKING:
    from gateway_core.config import ExtraCheck

_WIDEST: Final = {4: 8, 6: 7}
"""Bits of the widest networks that one operator has: 10.0.0.0/8 and fc00::/7."""

Found = Iterator[tuple[str, str, Fault]]
"""Key paths, codes and messages."""


def check_hazards(catalog: PluginCatalog) -> ExtraCheck:
    """Return a check that warns of settings which open more than they seem to."""

    def check(config: GatewayConfig, place_of: PlaceOf) -> Iterator[ConfigProblem]:
        for key_path, code, (message, remedy) in (*_peers(config), *_admin(config), *_bindings(config, catalog)):
            place = place_of(key_path)
            yield ConfigProblem(place, key_path, message, code=code, severity="warning", remedy=remedy)

    return check


# --- trusted peers, the admin listener -------------------------------------------------------------------------------


def _peers(config: GatewayConfig) -> Found:
    yield from _trusted("trusted_proxies", config.trusted_proxies)
    for index, listen in enumerate(config.listen):
        yield from _trusted(f"listen[{index}].trusted_proxies", listen.trusted_proxies or ())


def _trusted(key_path: str, peers: Sequence[TrustedPeer]) -> Found:
    networks: list[tuple[int, Network]] = [(i, peer) for i, peer in enumerate(peers) if not isinstance(peer, str)]
    for index, network in networks:
        where = f"{key_path}[{index}]"
        if 0 < network.prefixlen < _WIDEST[network.version]:
            yield (
                where,
                "trust.too-wide",
                (
                    Fault(
                        f"{network} holds addresses of strangers, who may then claim any client address and scheme",
                        "name the networks of your own proxies",
                    )
                ),
            )
            continue
        for other_index, other in networks:
            if index != other_index and _holds(other, network) and (other != network or other_index < index):
                yield where, "setting.no-effect", Fault(f"{network} has no effect: {other} holds it already")
                break


def _holds(wide: Network, narrow: Network) -> bool:
    if isinstance(wide, ipaddress.IPv4Network) and isinstance(narrow, ipaddress.IPv4Network):
        return narrow.subnet_of(wide)
    if isinstance(wide, ipaddress.IPv6Network) and isinstance(narrow, ipaddress.IPv6Network):
        return narrow.subnet_of(wide)
    return False


def _admin(config: GatewayConfig) -> Found:
    admin = config.admin
    if admin is None or admin.listen is None or admin.tls is not None or _is_private(parse_listen(admin.listen)):
        return
    yield (
        "admin.listen",
        "admin.exposed",
        (
            Fault(
                (
                    f"{quote(admin.listen)} can be reached from other machines, and over plain HTTP the admin listener "
                    "takes no tokens"
                ),
                "listen on 127.0.0.1 or on a unix socket, or give it tls",
            )
        ),
    )


def _is_private(address: ListenAddress) -> bool:
    if address.path or address.host == "localhost":
        return True
    try:
        return ipaddress.ip_address(address.host).is_loopback
    except ValueError:
        return False  # Every interface, or a name of this machine.


# --- bindings --------------------------------------------------------------------------------------------------------


def _bindings(config: GatewayConfig, catalog: PluginCatalog) -> Found:
    inherited = {binding.id for binding in config.plugins}
    for index, binding in enumerate(config.plugins):
        yield from _binding(f"plugins[{index}]", binding, catalog)
    for position, upstream in enumerate(config.upstreams):
        for index, binding in enumerate(upstream.plugins):
            yield from _binding(f"upstreams[{position}].plugins[{index}]", binding, catalog)
    for position, route in enumerate(config.routes):
        for number, target in enumerate(route.targets):
            for index, binding in enumerate(target.plugins):
                yield from _binding(f"routes[{position}].targets[{number}].plugins[{index}]", binding, catalog)
        for index, binding in enumerate(route.plugins):
            where = f"routes[{position}].plugins[{index}]"
            yield from _binding(where, binding, catalog)
            if binding.enabled and binding.id in inherited and "id" not in binding.model_fields_set:
                yield (
                    where,
                    "binding.replaces",
                    (
                        Fault(
                            f"replaces the gateway-wide binding {quote(binding.id)}, which does not run on this route",
                            f"write id: {binding.id} if that is meant, or another id for both to run",
                        )
                    ),
                )
    yield from _only_in_shadow(config, catalog)


def _guard(binding: BindingConfig, catalog: PluginCatalog) -> PluginDescription | None:
    """Return the description of a binding that is switched on and decides who may pass."""
    description = catalog.describe(binding.name) if binding.enabled else None
    is_guard = description is not None and description.load_error is None and description.access_control
    return description if is_guard else None


def _binding(where: str, binding: BindingConfig, catalog: PluginCatalog) -> Found:
    if not binding.enabled:
        return
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
            yield key_path, "binding.fails-open", Fault(f"{what}", f"write {name}: deny")


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


# --- bindings that are never called ---------------------------------------------------------------------------------


def unreachable_bindings(registry: PluginRegistry) -> ExtraCheck:
    """Return a check that finds bindings whose plugin could never be called where they stand.

    The hook gateway_request runs before a route is known, so a plugin that has no other is of use gateway-wide only; a
    target is known when the route-match hooks have run; of an upstream's bindings only attempt hooks run.
    """

    def check(config: GatewayConfig, place_of: PlaceOf) -> Iterable[ConfigProblem]:
        for where, binding, called, (why, remedy) in _outside_of_the_top(config):
            info = registry.info(binding.name) if binding.enabled else None
            if info is not None and info.kind == "plugin" and info.hooks and called.isdisjoint(info.hooks):
                hooks = f"only the hook{'s' * (len(info.hooks) > 1)} {listed(list(info.hooks), last='and')}"
                message = f"{binding.name} has {hooks}, {why}"
                yield ConfigProblem(place_of(where), where, message, code="binding.unreachable", remedy=remedy)

    return check


_OF_TARGETS: Final = frozenset({"gateway_pre_proxy", "gateway_attempt", "gateway_response", "gateway_log"})


def _outside_of_the_top(config: GatewayConfig) -> Iterator[tuple[str, BindingConfig, frozenset[str], Fault]]:
    """Yield key path and binding, the hooks that are called there, and what to say where the plugin has none."""
    for position, upstream in enumerate(config.upstreams):
        for index, binding in enumerate(upstream.plugins):
            why = Fault("and upstreams call gateway_attempt", "list it on the routes, or under the top-level plugins")
            yield f"upstreams[{position}].plugins[{index}]", binding, frozenset({"gateway_attempt"}), why
    for position, route in enumerate(config.routes):
        for index, binding in enumerate(route.plugins):
            why = Fault("which runs before a route is known", "list it under the top-level plugins")
            called = _OF_TARGETS | {"gateway_route_match"}
            yield f"routes[{position}].plugins[{index}]", binding, called, why
        for number, target in enumerate(route.targets):
            for index, binding in enumerate(target.plugins):
                remedy = "list it on the route, or under the top-level plugins"
                why = Fault("and a target is chosen only behind them", remedy)
                yield f"routes[{position}].targets[{number}].plugins[{index}]", binding, _OF_TARGETS, why
