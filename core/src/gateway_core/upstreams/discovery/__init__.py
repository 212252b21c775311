"""Discovery of endpoints, by the name that ``upstreams[].discovery.name`` uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from gateway_core.config import DnsDiscoveryConfig, factory_config
from gateway_core.upstreams.discovery.feed import Feed
from gateway_core.upstreams.discovery.interface import Discovered, Discovery, DiscoveryContext, DiscoveryFactory

__all__ = [
    "BUILT_IN",
    "Discovered",
    "Discovery",
    "DiscoveryContext",
    "DiscoveryFactory",
    "Feed",
    "UnknownDiscoveryError",
    "make_discovery",
]


def make_dns_discovery(config: Mapping[str, object], context: DiscoveryContext) -> Discovery:
    """Make the ``dns`` discovery.

    :raises ValueError: for unknown or missing keys and values that cannot be.
    """
    from gateway_core.upstreams.discovery.dns import DnsDiscovery  # noqa: PLC0415  # dnspython takes 3 MB and 30 ms

    return DnsDiscovery(DnsDiscoveryConfig.model_validate(config), context.rng, context.resolver)


_BuiltIn = Callable[[Mapping[str, object], DiscoveryContext], Discovery]

BUILT_IN: Final[Mapping[str, _BuiltIn]] = {"dns": make_dns_discovery}


class UnknownDiscoveryError(ValueError):
    """A discovery that neither the core nor an extension has."""


def make_discovery(
    name: str,
    config: Mapping[str, object],
    context: DiscoveryContext,
    extensions: Mapping[str, DiscoveryFactory] | None = None,
) -> Discovery:
    """Make a discovery; extensions cannot replace the core's.

    :raises UnknownDiscoveryError: naming those that there are.
    :raises ValueError: for a config that the discovery refuses.
    """
    built_in = BUILT_IN.get(name)
    if built_in is not None:
        return built_in(config, context)
    factory = (extensions or {}).get(name)
    if factory is None:
        known = ", ".join([*BUILT_IN, *sorted(extensions or {})])
        raise UnknownDiscoveryError(f"{name!r} is not a discovery: known are {known}")
    return factory(factory_config(factory, config), context)
