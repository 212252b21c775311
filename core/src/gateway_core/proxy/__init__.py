"""The data path: two lanes, one pipeline, and our own connections to upstreams."""

from gateway_core.proxy.service import Proxy

__all__ = ["Proxy"]
