"""Delays and failures on purpose for the gateway."""

from gateway_plugin_fault.plugin import Fault

__version__ = "0.1.0"

__all__ = ["Fault"]
