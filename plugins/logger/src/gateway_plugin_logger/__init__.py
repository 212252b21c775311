"""Access logs for the gateway."""

from gateway_plugin_logger.plugin import Logger

__version__ = "0.1.0"

__all__ = ["Logger"]
