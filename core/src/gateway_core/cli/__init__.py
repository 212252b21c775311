"""The ``gateway`` command."""

from gateway_core.cli.root import main

__all__ = ["main"]
