"""Cross-origin resource sharing for the gateway."""

from gateway_plugin_cors.plugin import Cors

__version__ = "0.1.0"

__all__ = ["Cors"]
