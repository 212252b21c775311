"""JWT, API key and basic authentication for the gateway."""

from gateway_plugin_auth.config import AuthConfig
from gateway_plugin_auth.plugin import Auth

__version__ = "0.1.0"

__all__ = ["Auth", "AuthConfig"]
