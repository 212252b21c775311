"""Responses from an OpenAPI document for the gateway."""

from gateway_plugin_mock.plugin import Mock

__version__ = "0.1.0"

__all__ = ["Mock"]
