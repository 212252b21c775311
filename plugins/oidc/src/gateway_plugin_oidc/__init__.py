"""Login with OpenID Connect for the gateway: sessions of browsers, and bearer tokens beside them."""

from gateway_plugin_oidc.config import OidcConfig
from gateway_plugin_oidc.plugin import Oidc

__version__ = "0.1.0"

__all__ = ["Oidc", "OidcConfig"]
