"""The public contract of the gateway, for plugins: import from here and from nowhere below.

What ``__all__`` lists is stable by semantic versioning.
"""

from gateway_core.clock import Clock
from gateway_core.config import ConfigModel, Duration, Size
from gateway_core.errors import BodyTooLargeError, GatewayError
from gateway_core.hookspecs import ENTRY_POINT_GROUP, hookimpl
from gateway_core.messages import (
    Attempt,
    BodyTransform,
    HeaderError,
    Headers,
    Identity,
    Record,
    Request,
    Response,
    RouteInfo,
)
from gateway_core.metrics import Metrics
from gateway_core.plugins import Plugin, PluginContext, hookimpl_blocking
from gateway_core.tasks import Tasks, spawn

__version__ = "0.1.0"

__all__ = [
    "ENTRY_POINT_GROUP",
    "Attempt",
    "BodyTooLargeError",
    "BodyTransform",
    "Clock",
    "ConfigModel",
    "Duration",
    "GatewayError",
    "HeaderError",
    "Headers",
    "Identity",
    "Metrics",
    "Plugin",
    "PluginContext",
    "Record",
    "Request",
    "Response",
    "RouteInfo",
    "Size",
    "Tasks",
    "hookimpl",
    "hookimpl_blocking",
    "spawn",
]
