"""Files from a directory for the gateway."""

from gateway_plugin_static.plugin import Static

__version__ = "0.1.0"

__all__ = ["Static"]
