"""Events of upstreams, their endpoints, and how these are found."""

from __future__ import annotations

from typing import Final

from gateway_core.events.event import ERROR, INFO, WARNING, define

_FAILURE: Final = ("upstream", "endpoint", "reason", "count", "request_id", "trace_id")
UPSTREAM_CONNECT_FAILED: Final = define(
    "upstream.connect_failed", WARNING, "no connection: refused, unreachable, a name that does not resolve, or TLS "
    "failed; `reason` is the system's or OpenSSL's own text", *_FAILURE,
)  # fmt: skip
UPSTREAM_CONNECT_TIMEOUT: Final = define(
    "upstream.connect_timeout", WARNING, "no connection within `timeouts.connect`, TLS included", *_FAILURE
)
UPSTREAM_RESPONSE_TIMEOUT: Final = define(
    "upstream.response_timeout", WARNING, "no response within `timeouts.response` or `retries.per_try_timeout`, or "
    "no more of it within `timeouts.idle`", *_FAILURE,
)  # fmt: skip
UPSTREAM_RESET: Final = define(
    "upstream.reset", WARNING, "the endpoint closed the connection before its response began", *_FAILURE
)
UPSTREAM_BAD_RESPONSE: Final = define(
    "upstream.bad_response", WARNING, "the response is not HTTP that has one meaning; `reason` says where", *_FAILURE
)
UPSTREAM_TRUNCATED: Final = define("upstream.truncated", WARNING, "the endpoint closed within a response", *_FAILURE)
UPSTREAM_UNAVAILABLE: Final = define(
    "upstream.unavailable",
    WARNING,
    "requests get 503: no endpoint may get them",
    "upstream",
    "reason",
    "count",
    "request_id",
    "trace_id",
)
UPSTREAM_OVERLOADED: Final = define(
    "upstream.overloaded", WARNING, "requests get 503: `limits` of the upstream are reached", "upstream", "reason",
    "count", "request_id", "trace_id",
)  # fmt: skip
UPSTREAM_LOCAL_ERROR: Final = define(
    "upstream.local_error", ERROR, "this process has no descriptor, port or memory for a connection; the endpoint is "
    "not to blame", "reason", "count", "descriptor_limit",
)  # fmt: skip

# -- endpoints: what the gateway decides from checks and from requests

ENDPOINT_UNHEALTHY: Final = define(
    "endpoint.unhealthy", WARNING, "active checks failed `unhealthy_threshold` times in a row", "upstreams",
    "endpoint", "check", "reason",
)  # fmt: skip
ENDPOINT_HEALTHY: Final = define(
    "endpoint.healthy", INFO, "active checks of an unhealthy endpoint pass again", "upstreams", "endpoint", "check"
)
ENDPOINT_EJECTED: Final = define(
    "endpoint.ejected", WARNING, "outlier detection, or a dead discovered address, took an endpoint out for a while",
    "upstream", "endpoint", "reason", "seconds",
)  # fmt: skip
BREAKER_OPENED: Final = define(
    "breaker.opened", WARNING, "a circuit breaker rejects requests to an endpoint", "upstream", "endpoint", "reason"
)
BREAKER_HALF_OPEN: Final = define(
    "breaker.half_open", INFO, "an open circuit breaker lets a few requests probe the endpoint", "upstream", "endpoint"
)
BREAKER_CLOSED: Final = define("breaker.closed", INFO, "a breaker lets all requests through", "upstream", "endpoint")

# -- discovery and names

DISCOVERY_STALE: Final = define(
    "discovery.stale", WARNING, "a registry does not confirm the endpoints of an upstream, which keeps the last ones",
    "upstream", "reason", "endpoints",
)  # fmt: skip
DISCOVERY_RECOVERED: Final = define(
    "discovery.recovered", INFO, "a registry confirms the endpoints again", "upstream", "endpoints"
)
DISCOVERY_EMPTY: Final = define(
    "discovery.empty", WARNING, "a registry says that an upstream has no endpoints", "upstream", "reason"
)
DISCOVERY_FOUND: Final = define(
    "discovery.found", INFO, "an upstream without discovered endpoints has some again", "upstream", "endpoints"
)
DISCOVERY_CHANGED: Final = define(
    "discovery.changed", INFO, "a registry has other endpoints than before; the message names some", "upstream",
    "endpoints", "added", "removed",
)  # fmt: skip
DISCOVERY_PARTIAL: Final = define(
    "discovery.partial", WARNING, "some of what a registry names cannot be used and is left out", "name", "reason"
)
DISCOVERY_STRATEGY_REFUSED: Final = define(
    "discovery.strategy_refused", WARNING, "a registry names a strategy that the upstream cannot use", "upstream",
    "strategy", "reason",
)  # fmt: skip
NAME_UNRESOLVED: Final = define(
    "name.unresolved", WARNING, "a name of an endpoint does not resolve; its last addresses stay in use", "name",
    "reason",
)  # fmt: skip
NAME_RESOLVED: Final = define("name.resolved", INFO, "a name that did not resolve does again", "name")
