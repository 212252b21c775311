"""What ends when one configuration takes the place of another: connections, and state of plugins. Pure.

A reload keeps an endpoint, with its connections, its health and its breaker, as long as its id, its address and the
settings of its upstream that connections depend on are the same (`gateway_core.upstreams.endpoint.EndpointKey`). It
keeps an instance of a plugin as long as plugin, configuration and place are (`gateway_core.hooks.binding.BindingKey`);
whatever else changes of a binding, such as its ``timeout``, costs no state.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gateway_core.config import BindingConfig, GatewayConfig, UpstreamConfig
from gateway_core.hooks.binding import binding_path
from gateway_core.upstreams.endpoint import EndpointSpec
from gateway_core.upstreams.transport import TransportSettings

_Endpoint = tuple[str, str, str]
"""Upstream, id and URL."""
_Binding = tuple[str | None, str | None, str]
"""Route, upstream and id."""


def losses(
    before: GatewayConfig, after: GatewayConfig, status: Sequence[Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Yield what ends, ready for JSON.

    :param status: of upstreams, as each worker describes them.
    """
    active: dict[_Endpoint, int] = {}
    for upstream in status:
        for endpoint in upstream["endpoints"]:
            key = upstream["name"], endpoint["id"], endpoint["url"]
            active[key] = active.get(key, 0) + endpoint["active"]
    now = {upstream.name: upstream for upstream in after.upstreams}
    for old in before.upstreams:
        configured = set(_endpoints(old))
        there = configured | {key for key in active if key[0] == old.name}
        new = now.get(old.name)
        if new is None or _settings(old) != _settings(new):
            gone = there
        elif old.discovery != new.discovery:
            gone = there - set(_endpoints(new))
        else:
            gone = configured - set(_endpoints(new))
        for key in sorted(gone):
            name, _, url = key
            yield {"kind": "connections", "upstream": name, "endpoint": url, "active_requests": active.get(key, 0)}
    kept = dict(_bindings(after))
    for place, binding in _bindings(before):
        other = kept.get(place)
        if other is None or (other.name, other.config) != (binding.name, binding.config):
            route, upstream_name, name = place
            path = binding_path(name, route=route, upstream=upstream_name)
            how = "ends" if other is None else "is made again, as its configuration changes"
            yield {"kind": "plugin_state", "binding": path, "plugin": binding.name, "what": how}


def _endpoints(upstream: UpstreamConfig) -> Iterator[_Endpoint]:
    for each in upstream.endpoints:
        spec = EndpointSpec.of(each)
        yield upstream.name, spec.id, spec.url


def _settings(upstream: UpstreamConfig) -> tuple[object, ...]:
    """Return what connections to an upstream's endpoints, and their state, depend on."""
    return upstream.health_check, upstream.circuit_breaker, TransportSettings.of(upstream)


def _bindings(config: GatewayConfig) -> Iterator[tuple[_Binding, BindingConfig]]:
    """Yield the bindings that run, by where they are."""
    listed: list[tuple[str | None, str | None, Sequence[BindingConfig]]] = [(None, None, config.plugins)]
    for route in config.routes:
        if route.enabled:
            listed.append((route.id, None, route.plugins))
            listed += ((route.id, each.target, each.plugins) for each in route.targets)
    listed += ((None, upstream.name, upstream.plugins) for upstream in config.upstreams)
    for owner, upstream_name, bindings in listed:
        for binding in bindings:
            if binding.enabled:
                yield (owner, upstream_name, binding.id), binding
