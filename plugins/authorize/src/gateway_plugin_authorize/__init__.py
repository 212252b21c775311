"""Authorisation for the gateway: who may do what."""

from gateway_plugin_authorize.plugin import Authorize

__version__ = "0.1.0"

__all__ = ["Authorize"]
