"""Header fields of requests and responses for the gateway."""

from gateway_plugin_headers.plugin import HeaderRules

__version__ = "0.1.0"

__all__ = ["HeaderRules"]
