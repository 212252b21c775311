"""What other gateways call what a plugin of this project does: as keys, and as names of their own plugins."""

from __future__ import annotations

from typing import Final

_WORDS: Final = {
    "auth": (
        "auth basic_auth basicAuth basicauth auth_basic auth_jwt jwt jwt_authn jwt-auth key-auth keyauth key_auth "
        "basic-auth digestAuth hmac-auth jwt-validator apiKey api_key jwt-signer auth_user_file"
    ),
    "authorize": "acl cedar permissions authz-casbin authz_casbin",
    "compress": "gzip encode compress compression compressor brotli zstd gzip_types deflate",
    "cors": "cors cors_policy crossOrigin",
    "fault": "fault fault-injection fault_injection",
    "forward-auth": "forwardAuth forward_auth auth_request ext_authz forward-auth",
    "grpc-web": "grpc_web grpc-web grpcWeb",
    "headers": (
        "request_headers response_headers proxy_set_header add_header header_up header_down more_set_headers "
        "request_headers_to_add response_headers_to_add request_headers_to_remove response_headers_to_remove expires "
        "request-transformer response-transformer response-rewrite hsts secureHeaders secure_headers helmet "
        "customRequestHeaders customResponseHeaders requestHeaderModifier responseHeaderModifier AddRequestHeader "
        "AddResponseHeader SetResponseHeader RemoveRequestHeader"
    ),
    "cache": (
        "proxy_cache proxy-cache proxy-cache-advanced httpCache http_cache http-cache Souin souin cacheControl "
        "proxy_cache_path proxy_cache_valid LocalResponseCache"
    ),
    "ip": (
        "allow deny remote_addr remote_addrs whitelist ip_whitelist ipWhiteList ipAllowList ip-restriction "
        "ip_restriction allow_list allowlist denylist blacklist sourceRange geoip rbac"
    ),
    "logger": "accessLog access_log access_logs http-log file-log http-logger file-logger tcp-log log_format",
    "mock": "mocking mock mock_response",
    "oidc": "oidc openid-connect openid_connect openidConnect oauth2 oauth2Login OAuth2Login",
    "ratelimit": (
        "rate_limit rate_limits ratelimits rateLimit rate-limiting rate-limiting-advanced limit_req limit_conn "
        "limit-count limit-req limit-conn RequestRateLimiter rate_limiting throttling throttle inFlightReq"
    ),
    "static": "file_server root try_files static alias staticFiles",
    "transform": "body-transformer body_transformer jq modify_body modify_response_body",
    "validate": "request-validator request-validation request_validation oas-validation openapi_validator",
    "upstream-auth": "aws_sigv4 upstream_auth aws-lambda",
}
_PLUGINS: Final = {word.lower(): name for name, words in _WORDS.items() for word in words.split()}

KEYS: Final = {
    word: f"bind the plugin {name}: plugins: [{{name: {name}, config: {{...}}}}]"
    for name, words in _WORDS.items()
    for word in words.split()
}
"""Hints for keys."""


def plugin_for(name: str) -> str:
    """Return the plugin of this project that does what the plugin ``name`` of another gateway does; empty if none."""
    found = _PLUGINS.get(name.lower(), "")
    return "" if found == name else found
