"""JWT, API key and basic authentication for the gateway."""

__version__ = "0.1.0"
