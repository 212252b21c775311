"""Validation of requests and responses for the gateway: by JSON Schema and OpenAPI."""

from gateway_plugin_validate.plugin import Validate

__version__ = "0.1.0"

__all__ = ["Validate"]
