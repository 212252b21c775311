"""The configuration of the plugin."""

from gateway_plugin_auth.config.alb import AlbOptions
from gateway_plugin_auth.config.api_key import ApiKeyEntry, ApiKeyProvider
from gateway_plugin_auth.config.auth import AuthConfig
from gateway_plugin_auth.config.basic import BasicProvider, BasicUser
from gateway_plugin_auth.config.introspection import IntrospectionCache, IntrospectionProvider
from gateway_plugin_auth.config.jwt import JwtOptions, JwtProvider
from gateway_plugin_auth.config.requirement import AllOf, AnyOf, AttemptOf, OptionalOf, Requirement
from gateway_plugin_auth.config.revocation import CacheOptions, RevocationOptions
from gateway_plugin_auth.config.rules import AccessOptions, ClaimRule, SetRuleConfig
from gateway_plugin_auth.config.sources import SourceConfig

__all__ = [
    "AccessOptions",
    "AlbOptions",
    "AllOf",
    "AnyOf",
    "ApiKeyEntry",
    "ApiKeyProvider",
    "AttemptOf",
    "AuthConfig",
    "BasicProvider",
    "BasicUser",
    "CacheOptions",
    "ClaimRule",
    "IntrospectionCache",
    "IntrospectionProvider",
    "JwtOptions",
    "JwtProvider",
    "OptionalOf",
    "Requirement",
    "RevocationOptions",
    "SetRuleConfig",
    "SourceConfig",
]
