"""The options of the plugin."""

from gateway_plugin_ratelimit.config.limits import LimitConfig, LimitOptions, OverrideConfig
from gateway_plugin_ratelimit.config.options import RateLimitConfig, RefusalConfig
from gateway_plugin_ratelimit.config.redis import RedisConfig, RedisTlsConfig

__all__ = [
    "LimitConfig",
    "LimitOptions",
    "OverrideConfig",
    "RateLimitConfig",
    "RedisConfig",
    "RedisTlsConfig",
    "RefusalConfig",
]
