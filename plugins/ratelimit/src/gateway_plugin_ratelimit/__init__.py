"""Rate limits for the gateway."""

from gateway_plugin_ratelimit.plugin import RateLimit

__version__ = "0.1.0"

__all__ = ["RateLimit"]
