"""Words of other gateways for keys of routes (`gateway_core.config.synonyms` has those of other sections)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway_core.config.plugin_words import KEYS

_TARGET: Final = "write target, with the name of an upstream or a URL"
_ON_UPSTREAM: Final = "it belongs on an upstream, under upstreams"
_REWRITE: Final = "write rewrite: {prefix: /new}, or rewrite: {template: ...}"
_NO_WEBSOCKETS: Final = "leave it out, WebSockets pass without a setting"
_HEADERS: Final = "write headers: {x-version: v2}"
MIDDLEWARES: Final = "write plugins: [{name: ..., config: {...}}]"
_WEIGHTS: Final = "write targets: [{target: a, weight: 9}, {target: b, weight: 1}]"
_STREAMED: Final = "leave it out, bodies are streamed"
_BUFFERED: Final = "write buffer_request: 1MiB for requests; responses are streamed"

_NOT_CACHED: Final = "bind the plugin cache: plugins: [{name: cache, config: {...}}]"
_CONDITIONS: Final = "write conditions on the route: path_prefix, hosts, methods, headers, query, cookies, client_ip"
_KEEP: Final = "leave it out, all fields go upstream; the plugin headers keeps only some: request: {keep: [...]}"

ROUTE_WORDS: Final[Mapping[str, str]] = {
    **KEYS,
    "when": "its conditions are keys of the route itself: methods, headers, query, cookies, client_ip",
    **dict.fromkeys(
        ["https_redirect", "redirect_https", "ssl_redirect", "https_only", "require_tls", "redirectScheme"],
        "write https_redirect: true on a listener, or redirect: {scheme: https} on a route beside this one",
    ),
    **dict.fromkeys(
        ["one_of", "none_of", "not"], "write it as the value of a condition: client_ip: {none_of: [10.0.0.0/8]}"
    ),
    "limits": "write max_body_bytes; other limits are those of the whole gateway, at the top level",
    "predicates": "write path, path_prefix, hosts, methods or headers beside each other",
    "weight": _WEIGHTS,
    "strip_prefix": "write strip_path: true",
    "stripPrefix": "write strip_path: true",
    "strip_uri": "write strip_path: true",
    "handle_path": "write path_prefix and strip_path: true",
    **dict.fromkeys(["upstream", "upstream_id", "upstream_url", "service", "service_id", "services"], _TARGET),
    **dict.fromkeys(["cluster", "backend", "proxy_pass", "reverse_proxy", "to", "url"], _TARGET),
    "backends": "write target, or targets with weights",
    "endpoints": "write them on an upstream, and its name as target",
    "nodes": "write them as endpoints of an upstream, and its name as target",
    "weighted_clusters": _WEIGHTS,
    "split": _WEIGHTS,
    "name": "write id",
    "uri": "write path, path_prefix or path_regex",
    "uris": "write path, path_prefix or path_regex",
    "paths": "write path: [/a, /b]; path_prefix and path_regex take lists as well",
    **dict.fromkeys(
        ["conditions", "condition"],
        "write keys of the route itself: headers, query, cookies, params, client_ip",
    ),
    "prefix": "write path_prefix",
    "pathPrefix": "write path_prefix",
    "location": "write path_prefix",
    "regex": "write path_regex",
    "rule": "write path, path_prefix, hosts, methods or headers",
    "match": "write path, path_prefix, hosts, methods or headers beside each other",
    "matches": "write path, path_prefix, hosts, methods or headers beside each other",
    "method": "write methods: [GET]",
    "host": "write hosts: [api.example.com]",
    "domains": "write hosts",
    "server_name": "write hosts",
    "header": _HEADERS,
    "vars": _HEADERS,
    "query_params": "write query",
    "query_string": "write query",
    "prefix_rewrite": _REWRITE,
    "regex_rewrite": _REWRITE,
    "rewrite_target": _REWRITE,
    "replace_prefix": _REWRITE,
    "host_rewrite": "write rewrite: {host: ...}",
    "host_rewrite_literal": "write rewrite: {host: ...}",
    "pass_host": "write preserve_host: true, or rewrite: {host: ...}",
    "passHostHeader": "write preserve_host: true",
    "return": "write respond: {status: 200, body: ...}, or redirect: {status: 301, ...}",
    "direct_response": "write respond: {status: 200, body: ...}",
    "static_response": "write respond: {status: 200, body: ...}",
    "error_page": "write error_pages: [{statuses: [404], body: ...}]",
    "disabled": "write enabled: false",
    "redir": "write redirect",
    "middlewares": MIDDLEWARES,
    "plugin": MIDDLEWARES,
    "filters": MIDDLEWARES,
    "timeout": "write timeouts: {total: 5s}",
    "retry": "write retries: {attempts: 2}",
    "retry_policy": "write retries: {attempts: 2}",
    "priorities": "write priority",
    "order": "write priority",
    **dict.fromkeys(["websocket", "websockets", "enable_websocket", "upgrade_configs"], _NO_WEBSOCKETS),
    "entryPoints": "write listeners, with the names of listeners",
    "entrypoints": "write listeners, with the names of listeners",
    **dict.fromkeys(["health_check", "healthcheck", "health_checks", "healthchecks"], _ON_UPSTREAM),
    **dict.fromkeys(["strategy", "circuit_breaker", "outlier_detection", "keepalive"], _ON_UPSTREAM),
    **dict.fromkeys(
        ["load_balancer", "load_balancing", "loadBalancer", "loadBalancing"], _ON_UPSTREAM + ", as strategy"
    ),
    "lb_policy": _ON_UPSTREAM + ", as strategy",
    "tls": "it belongs on a listener (from clients) or on an upstream (to endpoints)",
    "client_max_body_size": "write max_body_bytes",
    "protocols": "write listeners, with the names of listeners",
    "snis": "write hosts",
    "regex_priority": "write priority",
    "proxy_read_timeout": "write timeouts: {response: 30s, idle: 30s}",
    "proxy_connect_timeout": "write timeouts: {connect: 2s} on the upstream",
    "proxy_redirect": "write rewrite_response: {location: true}",
    "proxy_buffering": _STREAMED,
    "route": _TARGET,
    "virtual_hosts": "write hosts and path_prefix beside each other",
    "hash_policy": "write hash_on: [cookie:session]",
    "request_mirror_policies": "write mirror: [{target: shadow, percent: 10}]",
    "mirroring": "write mirror: [{target: shadow, percent: 10}]",
    **dict.fromkeys(["typed_per_filter_config", "plugin_config_id"], MIDDLEWARES),
    "handle": "write path_prefix",
    "matchers": "write path, path_prefix, hosts, methods or headers beside each other",
    "path_regexp": "write path_regex",
    "host_regexp": "write hosts, in which :name stands for one label",
    "header_regexp": _HEADERS,
    **dict.fromkeys(["lb_try_duration", "num_retries", "proxy_next_upstream"], "write retries: {attempts: 2}"),
    "proxy_send_timeout": "write timeouts: {total: 30s}",
    "proxy_http_version": "write protocol: http1, http2 or auto on the upstream",
    "response_buffering": _STREAMED,
    "terminal": "leave it out, one route takes a request",
    **dict.fromkeys(["traffic-split", "traffic_split", "split_clients", "canary"], _WEIGHTS),
    **dict.fromkeys(["replacePathRegex", "replacePath", "proxy-rewrite", "addPrefix", "sub_filter"], _REWRITE),
    **dict.fromkeys(["proxy-mirror", "mirror_percent"], "write mirror: [{target: shadow, percent: 10}]"),
    **dict.fromkeys(["request_buffering", "proxy_request_buffering", "buffering", "request_buffers"], _BUFFERED),
    **dict.fromkeys(["flush_interval", "flushInterval", "responseForwarding", "response_buffers"], _STREAMED),
    "per_try_timeout": "write retries: {per_try_timeout: 1s}",
    "safe_regex": "write path_regex",
    "matcher": "write path, path_prefix, hosts, methods or headers beside each other",
    "path_handling": "leave it out",
    "stat_prefix": "leave it out, metrics have the id of the route",
    "tags": "write x-tags, which is ignored",
    **dict.fromkeys(
        ["script", "filter_func", "content_by_lua_block", "njs", "js_content"], "write a plugin of your own"
    ),
    **dict.fromkeys(
        ["proxy_cache", "proxy-cache", "cache"], "bind the plugin cache: plugins: [{name: cache, config: {...}}]"
    ),
    "server_tokens": "leave it out, the gateway sends no Server of its own",
    "proxy_ssl_verify": "write tls: {verify: false} on the upstream",
    # nginx
    **dict.fromkeys(["proxy_cache_bypass", "cache_ttl", "cache_options", "proxy_cache_valid"], _NOT_CACHED),
    "proxy_intercept_errors": "write error_pages: [{statuses: [500-599], from: [upstream], body: ...}]",
    "satisfy": "bind the plugin authorize, whose rule may be {any: [...]}",
    "internal": "leave it out, a path that no route takes is 404",
    "log_not_found": "leave it out",
    "proxy_ssl_server_name": "leave it out, the name of the host is sent",
    **dict.fromkeys(
        ["uwsgi_pass", "fastcgi_pass", "scgi_pass", "php_fastcgi"],
        "write target, with the URL of a server of HTTP in front of the application",
    ),
    "grpc_pass": _TARGET + "; gRPC needs protocol: http2 on the upstream",
    "mirror_request_body": "leave it out",
    **dict.fromkeys(["if", "set", "acl", "matchers_set"], _CONDITIONS),
    # Caddy
    "handle_errors": "write error_pages: [{statuses: [404], body: ...}]",
    "request_body": "write max_body_bytes",
    "import": "write plugins: [{use: NAME}], with plugin_sets at the top level",
    "health_uri": _ON_UPSTREAM + ", as health_check: {path: ...}",
    "transport": "write protocol and tls on the upstream",
    "abort": "bind the plugin fault: plugins: [{name: fault, config: {abort: {status: reset}}}]",
    **dict.fromkeys(["templates", "push", "sub_filter_once"], "leave it out"),
    # Envoy
    "idle_timeout": "write timeouts: {idle: 30s}",
    "max_stream_duration": "write timeouts: {total: 30s}",
    "decorator": "leave it out, metrics have the id of the route",
    # KrakenD
    "endpoint": "write path",
    "url_pattern": "write rewrite: {template: /v1/users/:id}",
    **dict.fromkeys(["output_encoding", "encoding"], "leave it out, bodies pass as they are"),
    **dict.fromkeys(["input_headers", "headers_to_pass"], _KEEP),
    **dict.fromkeys(["input_query_strings", "querystring_params"], "write rewrite: {query: {remove: [...]}}"),
    "concurrent_calls": "leave it out",
    "extra_config": MIDDLEWARES,
    # Tyk
    "listen_path": "write path_prefix",
    "target_url": _TARGET,
    "strip_listen_path": "write strip_path: true",
    **dict.fromkeys(["active", "status"], "write enabled"),
    **dict.fromkeys(["use_keyless", "disable_rate_limit", "disable_quota"], "leave it out, nothing is on by itself"),
    "custom_middleware": "write a plugin of your own",
    **dict.fromkeys(["extended_paths", "version_data"], "write a route for each"),
    # APISIX
    "labels": "write x-labels, which is ignored",
    "desc": "write description",
    # HAProxy
    **dict.fromkeys(["use_backend", "default_backend"], _TARGET),
    "path_beg": "write path_prefix",
    **dict.fromkeys(["path_reg", "path_end", "path_sub"], "write path_regex, for the whole path"),
    "hdr": _HEADERS,
    **dict.fromkeys(
        ["http-request", "http-response"], "write redirect or rewrite, or bind headers, ip or another plugin"
    ),
    "balance": _ON_UPSTREAM + ", as strategy",
    "maxconn": _ON_UPSTREAM + ", as limits: {max_connections: ...}",
    "option": "leave it out, X-Forwarded-For is sent; health checks are health_check of an upstream",
    "cookie": "write sticky_cookie: {name: ...} on the upstream",
    "http_check": _ON_UPSTREAM + ", as health_check: {path: ...}",
    # Gateway API, Spring Cloud Gateway
    "hostnames": "write hosts",
    "backendRefs": "write target, or targets with weights",
    "parentRefs": "write listeners, with the names of listeners",
    "rules": "write a route for each",
    "sessionPersistence": "write sticky_cookie: {name: ...}",
    "metadata": "write timeouts: {response: 5s}, or x-metadata, which is ignored",
}
