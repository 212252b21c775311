"""Consul for the gateway: endpoints from healthy service instances, configuration from the key-value store."""

from __future__ import annotations

from collections.abc import Mapping

from gateway_plugin_sdk import DiscoveryFactory, SourceFactory, hookimpl

__version__ = "0.1.0"


@hookimpl
def gateway_discovery() -> Mapping[str, DiscoveryFactory]:
    """Offer the discovery ``consul``."""
    # It imports aiohttp, which most processes that load extensions need anyway, and those that only list them do not.
    from gateway_plugin_consul.discovery import ConsulDiscovery  # noqa: PLC0415

    return {"consul": ConsulDiscovery}


@hookimpl
def gateway_config_sources() -> Mapping[str, SourceFactory]:
    """Offer the source ``consul://``."""
    from gateway_plugin_consul.source import ConsulSource  # noqa: PLC0415 - likewise

    return {"consul": ConsulSource}
