"""A shared HTTP cache for the gateway."""

from gateway_plugin_cache.plugin import Cache

__version__ = "0.1.0"

__all__ = ["Cache"]
