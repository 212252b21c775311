"""The schemes: each knows how its callers prove who they are."""

from __future__ import annotations

from gateway_plugin_sdk import PluginContext

from gateway_plugin_auth.config import ApiKeyProvider, BasicProvider, IntrospectionProvider, JwtOptions
from gateway_plugin_auth.outcomes import Provider


def make_provider(
    config: JwtOptions | ApiKeyProvider | BasicProvider | IntrospectionProvider, context: PluginContext
) -> Provider:
    """Return the provider that a configuration describes; `start` it before the first request."""
    # Imported when one is configured: most gateways have one scheme.
    if isinstance(config, ApiKeyProvider):
        from gateway_plugin_auth.providers.api_key import ApiKeys  # noqa: PLC0415 - see above

        return ApiKeys(config, context)
    if isinstance(config, BasicProvider):
        from gateway_plugin_auth.providers.basic import Passwords  # noqa: PLC0415 - see above

        return Passwords(config, context)
    if isinstance(config, IntrospectionProvider):
        from gateway_plugin_auth.providers.introspection import IntrospectedTokens  # noqa: PLC0415 - see above

        return IntrospectedTokens(config, context)
    from gateway_plugin_auth.providers.jwt import Tokens  # noqa: PLC0415 - see above

    return Tokens(config, context)
