"""What other gateways call what a plugin of this project does: as keys, and as names of their own plugins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_WORDS: Final = {
    "aggregate": "aggregation batch-requests batch_requests",
    "auth": (
        "auth basic_auth basicAuth basicauth auth_basic auth_jwt jwt jwt_authn jwt-auth key-auth keyauth key_auth "
        "basic-auth digestAuth hmac-auth jwt-validator apiKey api_key jwt-signer auth_user_file auth_basic_user_file"
    ),
    "authorize": "acl cedar permissions authz-casbin authz_casbin consumer-restriction",
    "compress": "gzip encode compress compression compressor brotli zstd gzip_types deflate",
    "cors": "cors CORS cors_policy crossOrigin globalcors",
    "fault": "fault fault-injection fault_injection",
    "forward-auth": "forwardAuth forward_auth auth_request ext_authz forward-auth ldap-auth ldap_auth",
    "grpc-web": "grpc_web grpc-web grpcWeb",
    "headers": (
        "request_headers response_headers proxy_set_header add_header header_up header_down more_set_headers "
        "request_headers_to_add response_headers_to_add request_headers_to_remove response_headers_to_remove expires "
        "request-transformer response-transformer response-rewrite hsts secureHeaders secure_headers helmet "
        "customRequestHeaders customResponseHeaders requestHeaderModifier responseHeaderModifier AddRequestHeader "
        "AddResponseHeader SetResponseHeader RemoveRequestHeader RemoveResponseHeader SetRequestHeader "
        "DedupeResponseHeader MapRequestHeader proxy_hide_header"
    ),
    "cache": (
        "proxy_cache proxy-cache proxy-cache-advanced httpCache http_cache http-cache Souin souin cacheControl "
        "proxy_cache_path proxy_cache_valid LocalResponseCache"
    ),
    "ip": (
        "allow deny remote_addr remote_addrs whitelist ip_whitelist ipWhiteList ipAllowList ip-restriction "
        "ip_restriction allowed_ips allow_list allowlist denylist blacklist sourceRange geoip rbac "
        "enable_ip_whitelisting blacklisted_ips"
    ),
    "logger": "accessLog access_log access_logs http-log file-log http-logger file-logger tcp-log log_format",
    "mock": "mocking mock mock_response",
    "oidc": "oidc session openid-connect openid_connect openidConnect oauth2 oauth2Login OAuth2Login",
    "ratelimit": (
        "rate_limit rate_limits ratelimits rateLimit rate-limiting rate-limiting-advanced limit_req limit_conn "
        "limit-count limit-req limit-conn RequestRateLimiter rate_limiting throttling throttle inFlightReq "
        "global_rate_limit stick-table response-ratelimiting"
    ),
    "static": "file_server root try_files static alias staticFiles autoindex index charset default_type",
    "transform": "body-transformer body_transformer jq modify_body modify_response_body",
    "validate": "request-validator request-validation request_validation oas-validation openapi_validator",
    "upstream-auth": "aws_sigv4 upstream_auth aws-lambda",
}
_IN_CORE: Final = {
    "StripPrefix stripPrefixRegex": "write strip_path: true on the route",
    "addPrefix PrefixPath proxy-rewrite proxy_rewrite replacePath replacePathRegex RewritePath SetPath URLRewrite": (
        "write rewrite: {prefix: /new}, or rewrite: {template: ...} on the route"
    ),
    "AddRequestParameter RemoveRequestParameter": "write rewrite: {query: {set: {...}, remove: [...]}} on the route",
    "redirect redirectScheme redirectRegex RedirectTo RequestRedirect": (
        "write redirect: {...} on the route, or https_redirect: true on the listener"
    ),
    "retry": "write retries: {attempts: 2} on the upstream or the route",
    "CircuitBreaker circuit-breaker api-breaker": "write circuit_breaker or outlier_detection on the upstream",
    "request-size-limiting RequestSize client-control buffering buffer": "write max_body_bytes on the route",
    "request-termination SetStatus echo direct_response": "write respond: {status: 200, body: ...} on the route",
    "errors error-page": "write error_pages: [{statuses: [404], body: ...}]",
    "prometheus statsd": "write admin: {listen: 127.0.0.1:9090}, which serves /metrics",
    "real-ip realip": "write trusted_proxies, and client_address for what they send it in",
    "proxy-mirror RequestMirror": "write mirror: [{target: shadow, percent: 10}] on the route",
    "traffic-split canary": "write targets with weights on the route",
    "PreserveHostHeader": "write preserve_host: true on the route",
    "chain": "write {use: NAME}, with plugin_sets at the top level",
    "uri-blocker ua-restriction bot-detection": "write a route with that condition, and respond: {status: 403}",
    "SaveSession contentType": "leave it out",
    "grpc-gateway grpc-transcode grpc_json_transcoder": "leave it to the service, calls of gRPC pass as they are",
    "correlation-id request-id": "leave it out, each request goes upstream with an X-Request-Id",
    "pre-function post-function serverless-pre-function serverless-post-function ext-plugin-pre-req lua wasm": (
        "write a plugin of your own: gateway plugins new NAME"
    ),
}
_CORE: Final = {word.lower(): remedy for words, remedy in _IN_CORE.items() for word in words.split()}

_OPTIONS: Final[Mapping[str, Mapping[str, str]]] = {
    "auth": {
        "basic users usersFile": "write providers: {people: {scheme: basic, users: [...]}}",
        "api_keys api_key keys key_names key_in_header": (
            "write providers: {apps: {scheme: api-key, key_from: [{header: X-API-Key}], keys: [...]}}"
        ),
        "mode optional passThrough": "write require: {optional: jwt} for callers without credentials as well",
        "jwk_url jwks_uri jwksUri remote_jwks": "write jwks_url",
        "alg algorithm": "write algorithms: [RS256]",
        "propagate_claims forward_claims": "write claims_to_headers: {X-User: sub}",
        "run_on_preflight": "write allow_preflight",
        "removeHeader": "write hide_credentials: true",
    },
    "ratelimit": {
        "second minute hour day month count limit": "write quota: 60 and window: 1m; several are limits: [...]",
        "time_window windowMs": "write window",
        "average replenishRate redis-rate-limiter.replenishRate": "write rate",
        "period": "write per",
        "burstCapacity redis-rate-limiter.burstCapacity burst_size": "write burst",
        "amount conn": "write concurrency",
        "limit_by key_type key-resolver sourceCriterion": "write key, such as client_ip, identity or header:X-Tenant",
        "policy": "write store: local, or store: redis",
        "redis_host redis_port redis_password": "write store: redis, and redis: {url: redis://...}",
        "rejected_code rejected_msg error_code response status message": "write refusal: {status: 429, detail: ...}",
        "hide_client_headers": "write headers: []",
        "fault_tolerant": "write on_error: continue on the binding",
    },
    "cors": {
        "allow_origins allow_origin allowed_origins allowedOrigins accessControlAllowOriginList": "write origins",
        "allow_methods allowed_methods allowedMethods accessControlAllowMethods": "write methods",
        "allow_headers allowed_headers allowedHeaders accessControlAllowHeaders": "write headers",
        "exposed_headers expose_headers exposedHeaders accessControlExposeHeaders": "write expose",
        "allow_credentials allow_credential allowCredentials accessControlAllowCredentials": "write credentials: true",
        "maxAge accessControlMaxAge": "write max_age",
        "preflight_continue": "write forward_preflights: true",
    },
    "headers": {
        "customRequestHeaders requestHeaders request_headers": "write request: {set: {...}}",
        "customResponseHeaders responseHeaders response_headers": "write response: {set: {...}}",
        "frameDeny customFrameOptionsValue": "write security: {frame_options: DENY}",
        "contentTypeNosniff": "write security: true",
        "stsSeconds stsIncludeSubdomains stsPreload forceSTSHeader": "write security: {hsts: {max_age: 365d}}",
        "browserXssFilter customBrowserXSSValue": "leave it out, browsers ignore X-XSS-Protection",
        "contentSecurityPolicy referrerPolicy permissionsPolicy": "write it in security, as content_security_policy",
    },
    "compress": {
        "minResponseBodyBytes min_length gzip_min_length minimum_length": "write min_size",
        "excludedContentTypes includedContentTypes gzip_types content_type": "write types, the ones to compress",
        "comp_level level compression_level": "write levels: {gzip: 6}",
        "encodings": "write codings",
    },
    "aggregate": {
        "backend backends requests": "write calls, each with a name, a target and a path",
        "sequential": "leave it out: a call waits for those whose values it uses, or that depends_on names",
        "url_pattern url_path": "write path, with {param:id} for a parameter of the route's path",
        "host hosts": "write target, with the name of an upstream or a URL",
        "mapping": "write rename: {/old: new}",
        "whitelist": "write allow",
        "blacklist": "write deny",
        "is_collection": "leave it out, and write group: collection",
        "input_headers headers_to_pass": "write client_headers",
        "input_query_strings querystring_params": "write client_query",
        "concurrent_calls": "leave it out",
    },
    "forward-auth": {
        "uri url address endpoint authURL": "write target, with the name of an upstream or a URL, and path",
        "authRequestHeaders": "write request_headers",
        "authResponseHeaders headers_to_backend": "write upstream_headers",
        "trustForwardHeader": "leave it out",
    },
    "ip": {"sourceRange whitelist": "write allow", "blacklist": "write deny", "ipStrategy": "write trusted_proxies"},
    "static": {
        "path directory dir folder": "write root",
        "browse autoindex": "write listing: true",
        "try_files spa": "write fallback: index.html",
    },
}
_OPTION_WORDS: Final = {
    plugin: {word: remedy for words, remedy in options.items() for word in words.split()}
    for plugin, options in _OPTIONS.items()
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


def core_form_of(name: str) -> str:
    """Return how one writes what the gateway does without a plugin and another one by the plugin ``name``."""
    return _CORE.get(name.lower(), "")


def option_hint(plugin: str, key: str) -> str:
    """Return what an option of the same plugin of another gateway is called here; empty if that is not known."""
    return _OPTION_WORDS.get(plugin, {}).get(key, "")
