"""Changes of JSON bodies for the gateway: requests and responses."""

from gateway_plugin_transform.plugin import Transform

__version__ = "0.1.0"

__all__ = ["Transform"]
