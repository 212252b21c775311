"""Aggregation for the gateway: several calls of upstreams become one response."""

from gateway_plugin_aggregate.plugin import Aggregate

__version__ = "0.1.0"

__all__ = ["Aggregate"]
