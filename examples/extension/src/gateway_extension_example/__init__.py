"""Two plugins and an extension for the gateway: one small use of each hook."""

__version__ = "0.1.0"
