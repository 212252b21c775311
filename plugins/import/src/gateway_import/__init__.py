"""Configurations of other gateways, as configurations of this one: ``gateway import``."""

__version__ = "0.1.0"
