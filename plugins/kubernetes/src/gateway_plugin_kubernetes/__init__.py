"""Kubernetes for the gateway: endpoints from Services and EndpointSlices, configuration from ConfigMaps."""

from __future__ import annotations

from collections.abc import Mapping

from gateway_plugin_sdk import DiscoveryFactory, SourceFactory, hookimpl

__version__ = "0.1.0"


@hookimpl
def gateway_discovery() -> Mapping[str, DiscoveryFactory]:
    """Offer the discovery ``kubernetes``."""
    # It imports aiohttp, which most processes that load extensions need anyway, and those that only list them do not.
    from gateway_plugin_kubernetes.discovery import KubernetesDiscovery  # noqa: PLC0415

    return {"kubernetes": KubernetesDiscovery}


@hookimpl
def gateway_config_sources() -> Mapping[str, SourceFactory]:
    """Offer the source ``kubernetes://``."""
    from gateway_plugin_kubernetes.source import KubernetesSource  # noqa: PLC0415 - likewise

    return {"kubernetes": KubernetesSource}
