"""Configuration documents and endpoints from etcd: the source ``etcd://`` and the discovery ``etcd``."""

from __future__ import annotations

from collections.abc import Mapping

from gateway_plugin_sdk import DiscoveryFactory, SourceFactory, hookimpl

from gateway_plugin_etcd.discovery import EtcdDiscovery
from gateway_plugin_etcd.source import EtcdSource

__version__ = "0.1.0"

__all__ = ["gateway_config_sources", "gateway_discovery"]


@hookimpl
def gateway_config_sources() -> Mapping[str, SourceFactory]:
    """Offer ``etcd://host:2379,host:2379/prefix``."""
    return {"etcd": EtcdSource}


@hookimpl
def gateway_discovery() -> Mapping[str, DiscoveryFactory]:
    """Offer ``discovery: {name: etcd}``."""
    return {"etcd": EtcdDiscovery}
