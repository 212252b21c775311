"""The schemes: each knows how its callers prove who they are."""

from __future__ import annotations

from gateway_plugin_sdk import PluginContext

from gateway_plugin_auth.config import ApiKeyProvider, BasicProvider, JwtOptions
from gateway_plugin_auth.outcomes import Provider
from gateway_plugin_auth.providers.api_key import ApiKeys
from gateway_plugin_auth.providers.basic import Passwords
from gateway_plugin_auth.providers.jwt import Tokens


def make_provider(config: JwtOptions | ApiKeyProvider | BasicProvider, context: PluginContext) -> Provider:
    """Return the provider that a configuration describes; `start` it before the first request."""
    if isinstance(config, ApiKeyProvider):
        return ApiKeys(config, context)
    if isinstance(config, BasicProvider):
        return Passwords(config, context)
    return Tokens(config, context)
