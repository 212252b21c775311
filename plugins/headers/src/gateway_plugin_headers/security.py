"""Fields by which browsers protect users, as a configuration asks for them."""

from __future__ import annotations

from gateway_plugin_sdk import FieldBlock, FieldNames

from gateway_plugin_headers.config import HstsConfig, SecurityConfig

HSTS = "Strict-Transport-Security"


class SecurityFields:
    """The fields for responses over one scheme: what is added to a response that has none of them, at once."""

    __slots__ = ("block", "names", "values")

    def __init__(self, config: SecurityConfig | None, scheme: str) -> None:
        self.values = {} if config is None else security_fields(config, scheme)
        self.block = FieldBlock(self.values)
        self.names = FieldNames(self.values or ["x-none"])


def hsts_value(config: SecurityConfig) -> str | None:
    """Return the value of Strict-Transport-Security (RFC 6797 section 6.1), None if there is none."""
    if config.hsts is False:
        return None
    hsts = HstsConfig() if config.hsts is True else config.hsts
    value = f"max-age={int(hsts.max_age)}"
    return value + ("; includeSubDomains" if hsts.subdomains else "") + ("; preload" if hsts.preload else "")


def security_fields(config: SecurityConfig, scheme: str) -> dict[str, str]:
    """Return the fields by name; Strict-Transport-Security goes out over https only (RFC 6797 section 7.2)."""
    fields = {
        HSTS: hsts_value(config) if scheme == "https" else None,
        "X-Content-Type-Options": "nosniff" if config.content_type_options else None,
        "X-Frame-Options": config.frame_options,
        "Referrer-Policy": config.referrer_policy,
        "Content-Security-Policy": config.content_security_policy,
        "Permissions-Policy": config.permissions_policy,
        "Cross-Origin-Opener-Policy": config.cross_origin_opener_policy,
        "Cross-Origin-Resource-Policy": config.cross_origin_resource_policy,
    }
    return {name: value for name, value in fields.items() if value is not None}
