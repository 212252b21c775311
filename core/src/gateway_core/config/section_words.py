"""Words of other gateways for keys of smaller sections (`gateway_core.config.synonyms` has those of the others)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SECTION_WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "endpoints": {
        "address": "write url: http://127.0.0.1:8081",
        "host": "write url: http://127.0.0.1:8081",
        "port": "write it in url: http://127.0.0.1:8081",
        "target": "write url: http://127.0.0.1:8081",
        "server": "write url: http://127.0.0.1:8081",
        "scheme": "write it in url: https://127.0.0.1:8443",
        "name": "write id",
        "down": "write status: down",
        "tls": "write https in url, and tls on the upstream",
        "max_fails": "write outlier_detection on the upstream",
        "fail_timeout": "write outlier_detection on the upstream",
        "max_conns": "write limits: {max_connections_per_endpoint: ...} on the upstream",
        "priority": "write backup: true for those that wait",
        "dial": "write url: http://127.0.0.1:8081",
    },
    "plugins": {
        "conf": "write config",
        "options": "write config",
        "settings": "write config",
        "with": "write config",
        "plugin": "write name",
        "type": "write name",
        "disabled": "write enabled: false",
        "disable": "write enabled: false",
        "instance_name": "write id",
        "failure_mode_allow": "write on_error: continue",
        "route": "write plugins on that route",
        "service": "write plugins on the routes of that upstream",
        "run_on": "leave it out",
    },
    "tls": {
        **dict.fromkeys(["certificate", "certFile", "cert_file", "ssl_certificate", "crt"], "write cert"),
        **dict.fromkeys(["private_key", "keyFile", "key_file", "ssl_certificate_key"], "write key"),
        "ssl_protocols": "write min_version",
        "ssl_ciphers": "write ciphers",
        "ssl_client_certificate": "write client_ca",
        "trusted_ca": "write ca on an upstream, client_ca on a listener",
        "insecure_skip_verify": "write verify: false",
        "insecureSkipVerify": "write verify: false",
        "insecure": "write verify: false",
        "sni": "write server_name",
        "protocols": "write min_version",
    },
    "health_check": {
        "http_path": "write path",
        "uri": "write path",
        "unhealthy": "write unhealthy_threshold",
        "healthy": "write healthy_threshold",
        "passive": "write outlier_detection on the upstream",
        "active": "write its content here",
        "fails": "write unhealthy_threshold",
        "passes": "write healthy_threshold",
        "status": "write expected_statuses",
    },
    "circuit_breaker": {
        **dict.fromkeys(["failure_threshold", "failures", "unhealthy"], "write outlier_detection on the upstream"),
        **dict.fromkeys(["failure-rate-threshold", "error_ratio", "expression"], "write failure_ratio: 0.5"),
        **dict.fromkeys(["sliding-window-size", "minimum-number-of-calls", "max_requests"], "write minimum_requests"),
        **dict.fromkeys(
            ["wait-duration-in-open-state", "break_duration", "fallbackDuration", "timeout"], "write open_for"
        ),
        "permitted-number-of-calls-in-half-open-state": "write half_open_requests",
        **dict.fromkeys(["fallback", "fallbackUri"], "write error_pages on the route"),
    },
    "error_pages": {
        "url": "write path, and target unless it is the route's",
        "file": "write body: ${file:page.html}",
        **dict.fromkeys(["code", "codes"], "write statuses"),
        "service": "write target",
        **dict.fromkeys(["headers", "type", "contentType"], "write content_type: application/json"),
    },
    "rewrite": {
        "uri": "write prefix, or template",
        "path": "write prefix, or template",
        "regex": "write path_regex on the route, and template here",
        "replacement": "write template",
    },
    "redirect": {
        **dict.fromkeys(["url", "uri", "to", "location"], "write scheme, host and path, or prefix"),
        **dict.fromkeys(["code", "status_code", "statusCode", "http_code"], "write status"),
        "replacement": "write path, with path_regex on the route",
        "permanent": "write status: 308, or 307",
    },
    "admin": {
        "port": "write listen: 127.0.0.1:9090",
        "address": "write listen: 127.0.0.1:9090",
        "bind": "write listen: 127.0.0.1:9090",
    },
    "metrics": {
        "listen": "write admin: {listen: 127.0.0.1:9090}, which serves /metrics",
        "address": "write admin: {listen: 127.0.0.1:9090}, which serves /metrics",
        "enabled": "write admin: {listen: 127.0.0.1:9090}, which serves /metrics",
        "prometheus": "write admin: {listen: 127.0.0.1:9090}, which serves /metrics",
    },
    "retries": {
        "true": 'write "on": with quotes, as a writer of YAML 1.1 takes on for true',
        "num_retries": "write attempts",
        "count": "write attempts",
        "retry_on": "write on",
    },
    "timeouts": {
        "read": "write response for the head, idle between pieces of the body",
        "send": "write total",
        "write": "write total",
        "request": "write total",
        "backendRequest": "write response",
    },
}
"""Hints by the section that a key stands in, then by the key."""
