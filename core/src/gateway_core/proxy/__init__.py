"""The data path: connections of clients, exchanges, attempts, and connections to upstreams."""

from gateway_core.proxy.service import Proxy

__all__ = ["Proxy"]
