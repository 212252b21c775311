"""Forward authentication for the gateway: an HTTP service decides about each request."""

from gateway_plugin_forward_auth.plugin import ForwardAuth

__version__ = "0.1.0"

__all__ = ["ForwardAuth"]
