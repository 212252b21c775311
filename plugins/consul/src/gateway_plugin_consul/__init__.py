"""Consul for the gateway: endpoints from healthy service instances, configuration from the key-value store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gateway_plugin_sdk import hookimpl

if TYPE_CHECKING:
    from gateway_plugin_sdk import (
        ConfigSource,
        Discovery,
        DiscoveryContext,
        DiscoveryFactory,
        SourceContext,
        SourceFactory,
        SourceUrl,
    )

__version__ = "0.1.0"


@hookimpl
def gateway_discovery() -> Mapping[str, DiscoveryFactory]:
    """Offer the discovery ``consul``."""
    return {"consul": _discovery}


@hookimpl
def gateway_config_sources() -> Mapping[str, SourceFactory]:
    """Offer the source ``consul://``."""
    return {"consul": _source}


# What is imported below drags aiohttp along, which a process that only lists its extensions does not need.


def _discovery(config: Mapping[str, Any], context: DiscoveryContext) -> Discovery:
    from gateway_plugin_consul.discovery import make_discovery  # noqa: PLC0415  # see above

    return make_discovery(config, context)


def _source(url: SourceUrl, context: SourceContext) -> ConfigSource:
    from gateway_plugin_consul.source import make_source  # noqa: PLC0415  # see above

    return make_source(url, context)
