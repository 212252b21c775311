"""Credentials for upstreams of the gateway."""

from gateway_plugin_upstream_auth.plugin import UpstreamAuth

__version__ = "0.1.0"

__all__ = ["UpstreamAuth"]
