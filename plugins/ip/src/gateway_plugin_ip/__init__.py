"""Access by IP address for the gateway."""

from gateway_plugin_ip.plugin import IpAccess

__version__ = "0.1.0"

__all__ = ["IpAccess"]
