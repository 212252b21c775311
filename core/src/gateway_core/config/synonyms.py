"""Words of other gateways (Kong, Traefik, nginx, Envoy, Caddy, APISIX), and what they are called here.

A hint is for a key that is unknown where it stands. It reads on behind the problem: ``unknown key "upstream": ...``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway_core.config.catalog import FIRST_PARTY
from gateway_core.config.plugin_words import KEYS
from gateway_core.config.problems import KeyPath
from gateway_core.config.route_words import MIDDLEWARES, ROUTE_WORDS
from gateway_core.config.section_words import SECTION_WORDS

_ENDPOINTS: Final = "write endpoints: [{url: http://127.0.0.1:8081}]"
_LISTEN: Final = 'write listen: ":8080"'
_STRATEGY: Final = "write strategy, such as least-requests"
_TLS: Final = 'write it on a listener: listen: {address: ":443", tls: {cert: ..., key: ...}}'
_LISTENER_TLS: Final = "write tls: {cert: ..., key: ...}"
_TRUSTED: Final = "write trusted_proxies: [10.0.0.5], and client_address for what they send it in"
_NO_VERIFICATION: Final = "write tls: {verify: false}"
_REAL_IP: Final = (
    *("real_ip_header", "set_real_ip_from", "real_ip_recursive", "xff_num_trusted_hops", "use_remote_address"),
    *("forwardedHeaders", "trusted_ips", "trustedIPs", "real-ip", "skip_xff_append"),
)
_OUTLIERS: Final = "write outlier_detection: {consecutive_failures: 5, base_ejection_time: 30s}"

_TOP: Final[Mapping[str, str]] = {
    **KEYS,
    # nginx, Caddy
    "server": _LISTEN + " and routes",
    "servers": _LISTEN + " and routes",
    "http": "write its content at the top level: listen, upstreams, routes",
    "location": "write routes: [{path_prefix: /, target: ...}]",
    "locations": "write routes: [{path_prefix: /, target: ...}]",
    "upstream": "write upstreams: [{name: ..., endpoints: [...]}]",
    "worker_processes": "write workers",
    "worker_connections": "write limits: {max_connections: ...}",
    "keepalive_timeout": "write limits: {idle_timeout: 75s}",
    "client_max_body_size": "write limits: {max_body_bytes: 1MiB}",
    "error_log": "write log: {level: ...}",
    # Traefik, Envoy
    **dict.fromkeys(["entryPoints", "entrypoints", "listeners", "listener"], _LISTEN),
    "routers": "write routes",
    "services": "write upstreams, and their names as target of routes",
    "clusters": "write upstreams",
    "middlewares": MIDDLEWARES,
    "providers": "write sources: [{url: ...}], or give them with -c",
    "static_resources": "write its content at the top level: listen, upstreams, routes",
    "api": "write admin: {listen: 127.0.0.1:9090}",
    # Kong, APISIX
    "_format_version": "leave it out",
    "_transform": "leave it out",
    "consumers": "write them into the configuration of the plugin auth",
    "global_rules": "write plugins, which are gateway-wide",
    "plugin_config": "write plugins",
    "error_page": "write error_pages: [{statuses: [404], body: ...}]",
    "defaults": "write route_defaults, or plugins, which are gateway-wide",
    "snippets": "write plugin_sets: [{name: ..., plugins: [...]}]",
    # HAProxy
    "frontend": _LISTEN + " and routes",
    **dict.fromkeys(["backend", "backends"], "write upstreams"),
    "global": "leave it out",
    # KrakenD, Tyk, Spring Cloud Gateway, Gateway API
    **dict.fromkeys(["endpoints", "apis", "api_definition", "rules"], "write routes: [{path_prefix: /, target: ...}]"),
    "timeout": "write timeouts on an upstream or a route",
    **dict.fromkeys(["version", "name", "$schema", "output_encoding"], "leave it out"),
    **dict.fromkeys(["cache_ttl", "cache_options"], "bind the plugin cache: plugins: [{name: cache, config: {...}}]"),
    "extra_config": "write plugins, which are gateway-wide",
    **dict.fromkeys(["spring", "spec"], "write its content at the top level: listen, upstreams, routes"),
    "resilience4j": "write circuit_breaker or outlier_detection on upstreams",
    **dict.fromkeys(["apiVersion", "kind"], "leave it out"),
    # everybody
    **dict.fromkeys(
        ["tls", "ssl", "ssls", "ssl_certificate", "ssl_certificate_key", "certificatesResolvers", "auto_https"], _TLS
    ),
    **dict.fromkeys(["port", "bind", "host", "address"], _LISTEN),
    "logging": "write log",
    "log_level": "write log: {level: ...}",
    "imports": "write include",
    "import": "write include",
    "timeouts": "write them on an upstream or a route",
    "retries": "write them on an upstream or a route",
    "events": "leave it out",
    "node": "leave it out",
    "user": "leave it out, start the gateway as that user",
    "resolver": "write nameservers in the config of dns discovery",
    "ping": "write admin: {listen: 127.0.0.1:9090}, which serves /ready",
    "stats_sinks": "write admin: {listen: 127.0.0.1:9090}, which serves /metrics",
    "dynamic_resources": "write sources: [{url: ...}], or give them with -c",
    "apps": "write its content at the top level: listen, upstreams, routes",
    "apisix": "write its content at the top level: listen, upstreams, routes",
    "deployment": "write sources: [{url: ...}], or give them with -c",
    "handle": "write routes: [{path_prefix: /, target: ...}]",
    "route": "write routes: [{path_prefix: /, target: ...}]",
    "reverse_proxy": "write routes: [{path_prefix: /, target: ...}]",
    "plugin_configs": "write plugins, gateway-wide or on a route",
    "plugin_metadata": "write it into the config of the plugin's bindings",
    **dict.fromkeys(_REAL_IP, _TRUSTED),
    **dict.fromkeys(["certificates", "snis", "certResolver", "tls_automation", "ssl_protocols"], _TLS),
    **dict.fromkeys(
        ["large_client_header_buffers", "client_header_buffer_size"], "write limits: {max_head_bytes: 64KiB}"
    ),
    **dict.fromkeys(["client_header_timeout"], "write limits: {header_timeout: 10s}"),
    **dict.fromkeys(["client_body_timeout"], "write limits: {body_timeout: 30s}"),
    "send_timeout": "write limits: {write_timeout: 30s}",
    "overload_manager": "write limits",
    "server_tokens": "leave it out, the gateway sends no Server of its own",
    **dict.fromkeys(
        ["stub_status", "observability", "prometheus"], "write admin: {listen: 127.0.0.1:9090}, which serves /metrics"
    ),
    **dict.fromkeys(["consumer_groups", "credentials"], "write them into the configuration of the plugin auth"),
    **dict.fromkeys(["vaults", "secrets"], "write ${NAME} or ${file:/path} where the secret is needed"),
    "split_clients": "write targets with weights on a route",
    "map": "write conditions on routes: headers, query, cookies",
    "proxy_cache_path": "bind the plugin cache: plugins: [{name: cache, config: {...}}]",
}

_UPSTREAM: Final[Mapping[str, str]] = {
    "balance": _STRATEGY,
    "balancing": _STRATEGY,
    "maxconn": "write limits: {max_connections: ...}",
    **dict.fromkeys(["httpchk", "http_check", "health_uri"], "write health_check: {path: /healthz}"),
    "nodes": _ENDPOINTS,
    "targets": _ENDPOINTS,
    "servers": _ENDPOINTS,
    "server": _ENDPOINTS,
    "hosts": _ENDPOINTS,
    "backends": _ENDPOINTS,
    "addresses": _ENDPOINTS,
    "load_assignment": _ENDPOINTS,
    "url": _ENDPOINTS,
    "urls": _ENDPOINTS,
    "target": _ENDPOINTS,
    "id": "write name",
    "lb": _STRATEGY,
    "type": _STRATEGY,
    "algorithm": _STRATEGY,
    "lb_policy": _STRATEGY,
    "load_balancing": _STRATEGY,
    "load_balancer": _STRATEGY,
    "loadBalancer": _STRATEGY,
    "policy": _STRATEGY,
    "key": "write hash_on: [cookie:session]",
    "hash": "write hash_on: [cookie:session]",
    "checks": "write health_check",
    "healthcheck": "write health_check",
    "healthchecks": "write health_check",
    "healthCheck": "write health_check",
    "health_checks": "write health_check",
    "sticky": "write sticky_cookie: {name: ...}",
    "sticky_session": "write sticky_cookie: {name: ...}",
    "timeout": "write timeouts: {connect: 2s, response: 30s}",
    "connect_timeout": "write timeouts: {connect: 2s}",
    "read_timeout": "write timeouts: {response: 30s, idle: 30s}",
    "write_timeout": "write timeouts",
    "retry": "write retries: {attempts: 2}",
    "pass_host": "write preserve_host: true, or rewrite: {host: ...} on routes",
    "passHostHeader": "write preserve_host: true",
    "circuit_breakers": "write circuit_breaker, and limits",
    "max_connections": "write limits: {max_connections: ...}",
    "service_name": "write discovery: {name: ..., config: {...}}",
    "discovery_type": "write discovery: {name: ..., config: {...}}",
    "ssl": "write tls",
    "scheme": "write it in the url of each endpoint",
    "slowStart": "write slow_start",
    "least_conn": "write strategy: least-requests",
    "ip_hash": "write hash_on: [client_ip]",
    "max_fails": _OUTLIERS,
    "fail_timeout": _OUTLIERS,
    "fail_duration": _OUTLIERS,
    "weighted": "write targets with weights on the route",
    "serversTransport": "write tls, timeouts and keepalive",
    "transport": "write tls, timeouts and keepalive",
    "transport_socket": "write tls",
    "host_header": "write rewrite: {host: ...} on routes",
    "upstream_host": "write rewrite: {host: ...} on routes",
    "lb_endpoints": _ENDPOINTS,
    "upstreams": _ENDPOINTS,
    "to": _ENDPOINTS,
    "dial": _ENDPOINTS,
    "health_uri": "write health_check: {path: /health}",
    "retry_timeout": "write timeouts: {total: 5s}, or retries",
    "keepalive_pool": "write keepalive",
    "backup": "write backup: true on an endpoint",
    "slots": "leave it out",
    **dict.fromkeys(["lb_try_duration", "proxy_next_upstream"], "write retries: {attempts: 2}"),
    **dict.fromkeys(["tls_insecure_skip_verify", "insecureSkipVerify", "tls_verify"], _NO_VERIFICATION),
    **dict.fromkeys(["proxy_ssl_verify", "insecure_skip_verify"], _NO_VERIFICATION),
    **dict.fromkeys(["ca_certificates", "rootCAs", "proxy_ssl_trusted_certificate"], "write tls: {ca: ca.pem}"),
    **dict.fromkeys(["client_certificate", "proxy_ssl_certificate"], "write tls: {cert: ..., key: ...}"),
    "common_tls_context": "write tls",
    **dict.fromkeys(["http2", "h2c", "http2_protocol_options", "codec_type"], "write protocol: http2"),
    "per_try_timeout": "write retries: {per_try_timeout: 1s}",
    "max_conns": "write limits: {max_connections_per_endpoint: ...}",
    "max_requests_per_connection": "write keepalive: {max_requests: ...}",
    "health_interval": "write health_check: {interval: 10s}",
    "unhealthy_status": "write outlier_detection: {consecutive_5xx: 5}",
    "failover": "write backup: true on an endpoint",
    "dns_lookup_family": "write discovery: {name: dns, config: {family: ...}}",
    "rewrite": "write it on routes",
    "strip_path": "write it on routes",
}

_LISTENER: Final[Mapping[str, str]] = {
    "port": 'write address: ":8080"',
    "host": 'write address: "127.0.0.1:8080", and hosts for names',
    "bind": 'write address: ":8080"',
    "listen": 'write address: ":8080"',
    "ssl": "write tls: {cert: ..., key: ...}",
    "server_name": "write hosts",
    "server_names": "write hosts",
    "domains": "write hosts",
    "certificate": "write tls: {cert: ..., key: ...}",
    "reuse_port": "leave it out",
    "reuseport": "leave it out",
    "socket_mode": "write mode",
    "default_server": "leave it out, the first listener of an address takes other hosts",
    "socket_address": 'write address: ":8080"',
    "filter_chains": "write tls, and routes at the top level",
    **dict.fromkeys(["ssl_certificate", "ssl_certificate_key", "certificates", "snis", "certResolver"], _LISTENER_TLS),
    **dict.fromkeys(["cert", "key", "transport_socket"], _LISTENER_TLS),
    "ssl_protocols": "write tls: {min_version: ...}",
    **dict.fromkeys(_REAL_IP, _TRUSTED),
    "http_filters": "write plugins at the top level",
    **dict.fromkeys(["location", "route_config", "virtual_hosts"], "write routes at the top level"),
    **dict.fromkeys(["keepalive_timeout", "idle_timeout"], "write limits: {idle_timeout: 75s} at the top level"),
    "client_max_body_size": "write limits: {max_body_bytes: 1MiB} at the top level",
}

_HINTS: Final[Mapping[str, Mapping[str, str]]] = {
    "": _TOP,
    "routes": ROUTE_WORDS,
    "upstreams": _UPSTREAM,
    "listen": _LISTENER,
    **SECTION_WORDS,
}
"""Hints by the section that a key stands in, then by the key."""


_TO_CHANGE_FIELDS: Final = "these are conditions: bind the plugin headers to change fields"
_CONDITION: Final[Mapping[str, str]] = {
    **dict.fromkeys(["exact", "equals", "eq", "is", "exactMatch"], "write value"),
    **dict.fromkeys(["in", "any", "anyOf", "any_of"], "write one_of"),
    **dict.fromkeys(["not", "not_in", "notIn", "ne", "nin", "not_one_of"], "write none_of: [...]"),
    **dict.fromkeys(["exists", "present_match"], "write present: true"),
    **dict.fromkeys(["pattern", "regexp", "matches", "match", "safe_regex", "re"], "write regex, for the whole value"),
    "prefix": "write regex: value.*",
    "suffix": "write regex: .*value",
    "contains": "write regex: .*value.*",
    **dict.fromkeys(["set", "add", "append", "remove"], _TO_CHANGE_FIELDS),
}
_CONDITIONS: Final = frozenset({"headers", "query", "cookies", "params"})


def synonym_hint(path: KeyPath) -> str:
    """Return a hint for the unknown key at the end of ``path``, or an empty text."""
    key = str(path[-1])
    if len(path) > 1 and path[-2] == "client_ip":
        return _CONDITION.get(key, "")
    if len(path) > 2 and path[-3] in _CONDITIONS:
        # `headers: {set: {x-a: b}}` is written for `{x-a: {set: b}}` as well.
        return _CONDITION.get(key) or _CONDITION.get(str(path[-2]), "")
    section = next((part for part in reversed(path[:-1]) if isinstance(part, str)), "")
    if section == "plugins" and key in FIRST_PARTY:
        return f"write {{name: {key}, config: {{...}}}}"
    return _HINTS.get(section, {}).get(key, "")


def placement_hint(path: KeyPath) -> str:
    """Return where an unknown key that resembles none probably belongs, or an empty text."""
    section = next((part for part in reversed(path[:-1]) if isinstance(part, str)), "")
    return "write options of the plugin in config: {...}" if section == "plugins" else ""
