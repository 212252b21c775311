"""Access logs for the gateway."""

__version__ = "0.1.0"
