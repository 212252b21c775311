"""Every metric of the gateway's own. docs/metrics.md is made from this table.

Values of labels come from the configuration, from registries that the configuration names, or from tables in the code;
never from clients. What there may be too many of is counted under `OTHER` beyond a limit.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from gateway_core.metrics.samples import Family, Kind, Merge

OTHER: Final = "_other"
"""The label of all routes or endpoints beyond the configured limit, and of statuses that are too many."""

DURATION_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Seconds; the buckets of durations of requests unless the configuration has others."""

HOOK_BOUNDS: Final = (0.00001, 0.0001, 0.001, 0.01, 0.1, 1.0)
"""Seconds; the buckets of the time that hooks take."""

LAG_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Seconds; the buckets of the event loop's lag."""

ORIGINS: Final = ("upstream", "gateway", "plugin", "client")
"""Whose a response was, or ``client`` if the client left before its end. An index here is what counts are kept by."""

MAX_ROUTES: Final = 500
MAX_ENDPOINTS: Final = 500
"""Routes and endpoints with series of their own, unless the configuration has other limits."""

_table: dict[str, Family] = {}


def _family(name: str, kind: Kind, text: str, *labels: str, merge: Merge = "sum") -> Family:
    family = _table[name] = Family(name, kind, text, labels, merge)
    return family


# -- requests of clients

REQUESTS: Final = _family(
    "gateway_requests", "counter", "Requests that are over, by route, exact status and whose response it was", "route",
    "status", "origin",
)  # fmt: skip
GRPC_CALLS: Final = _family(
    "gateway_grpc_calls", "counter", "Calls of gRPC that ended with a grpc-status, by its name", "route", "code"
)
REQUEST_DURATION: Final = _family(
    "gateway_request_duration_seconds", "histogram", "Time from the complete request head to the response's last byte",
    "route", "status_class",
)  # fmt: skip
REQUEST_FAILURES: Final = _family(
    "gateway_request_failures", "counter", "Requests that the gateway responded to itself, or whose response did not "
    "reach its end, by reason (docs/reasons.md)", "reason",
)  # fmt: skip
REQUEST_BODY_BYTES: Final = _family(
    "gateway_request_body_bytes", "counter", "Bytes of request bodies and tunnels that clients sent", "route"
)
RESPONSE_BODY_BYTES: Final = _family(
    "gateway_response_body_bytes", "counter", "Bytes of response bodies and tunnels that were sent to clients", "route"
)
REQUESTS_IN_FLIGHT: Final = _family(
    "gateway_requests_in_flight", "gauge", "Requests and tunnels in progress"
)  # fmt: skip
CLIENT_CONNECTIONS: Final = _family(
    "gateway_client_connections", "gauge", "Open connections of clients, tunnels and TLS handshakes included"
)
CLIENT_CONNECTIONS_OPENED: Final = _family(
    "gateway_client_connections_opened", "counter", "Connections of clients that were admitted"
)
CLIENT_CONNECTIONS_REFUSED: Final = _family(
    "gateway_client_connections_refused", "counter", "Connections of clients over a limit of connections"
)

# -- requests to upstreams

_ENDPOINT: Final = ("upstream", "endpoint")
UPSTREAM_REQUESTS: Final = _family(
    "gateway_upstream_requests", "counter", "Responses of endpoints, by status; attempts without one are errors",
    *_ENDPOINT, "status",
)  # fmt: skip
UPSTREAM_DURATION: Final = _family(
    "gateway_upstream_duration_seconds", "histogram", "Time from picking an endpoint to its response's head", *_ENDPOINT
)
UPSTREAM_ERRORS: Final = _family(
    "gateway_upstream_errors", "counter", "Attempts that failed, by reason (docs/reasons.md)", *_ENDPOINT, "reason"
)
UPSTREAM_REFUSALS: Final = _family(
    "gateway_upstream_refusals", "counter", "Requests that no endpoint could be picked for, or that the upstream's "
    "limits left no room for", "upstream", "reason",
)  # fmt: skip
UPSTREAM_RETRIES: Final = _family(
    "gateway_upstream_retries", "counter", "Attempts that followed a failed one of the same request", "upstream"
)
UPSTREAM_SENT_BYTES: Final = _family(
    "gateway_upstream_sent_bytes", "counter", "Bytes that were sent to endpoints before TLS, those of tunnels included",
    *_ENDPOINT,
)  # fmt: skip
UPSTREAM_RECEIVED_BYTES: Final = _family(
    "gateway_upstream_received_bytes", "counter", "Bytes that came from endpoints after TLS, those of tunnels included",
    *_ENDPOINT,
)  # fmt: skip
UPSTREAM_IN_FLIGHT: Final = _family(
    "gateway_upstream_requests_in_flight", "gauge", "Requests to an endpoint in progress", *_ENDPOINT
)
UPSTREAM_PENDING: Final = _family(
    "gateway_upstream_requests_pending", "gauge", "Requests that wait for a connection under the upstream's limits",
    "upstream",
)  # fmt: skip
UPSTREAM_CONNECTIONS: Final = _family(
    "gateway_upstream_connections_idle", "gauge", "Connections to an endpoint that are kept for further requests",
    *_ENDPOINT,
)  # fmt: skip
UPSTREAM_CONNECTIONS_OPENED: Final = _family(
    "gateway_upstream_connections_opened", "counter", "Connections that were made to an endpoint", *_ENDPOINT
)
UPSTREAM_PANIC: Final = _family(
    "gateway_upstream_panic", "gauge", "Whether unhealthy endpoints get requests because too few are healthy",
    "upstream", merge="max",
)  # fmt: skip
ENDPOINT_HEALTHY: Final = _family(
    "gateway_upstream_endpoint_healthy", "gauge", "Whether active checks have nothing against an endpoint; 1 without "
    "checks", *_ENDPOINT, merge="min",
)  # fmt: skip
ENDPOINT_EJECTED: Final = _family(
    "gateway_upstream_endpoint_ejected", "gauge", "Worker processes that have taken an endpoint out for a while",
    *_ENDPOINT,
)  # fmt: skip
ENDPOINT_EJECTIONS: Final = _family(
    "gateway_upstream_endpoint_ejections", "counter", "Times that a worker process took an endpoint out", *_ENDPOINT
)
BREAKER_STATE: Final = _family(
    "gateway_upstream_breaker_state", "gauge", "Worker processes whose circuit breaker of an endpoint is in a state",
    *_ENDPOINT, "state",
)  # fmt: skip
BREAKER_OPENINGS: Final = _family(
    "gateway_upstream_breaker_openings", "counter", "Times that a circuit breaker of an endpoint opened", *_ENDPOINT
)

# -- HTTP/2

HTTP2_AGE_BOUNDS: Final = (1.0, 10.0, 60.0, 600.0, 3600.0, 21600.0, 86400.0)
"""Seconds; the buckets of the ages of connections."""

_SIDE: Final = "side"  # client or upstream
HTTP2_RESETS: Final = _family(
    "gateway_http2_resets", "counter", "Streams that were reset, on connections of clients or to upstreams (side), by "
    "who did so (gateway or peer) and the error code", _SIDE, "by", "code",
)  # fmt: skip
HTTP2_GOAWAYS: Final = _family(
    "gateway_http2_goaways", "counter", "Connections that were ended by GOAWAY, by who did so and the error code",
    _SIDE, "by", "code",
)  # fmt: skip
HTTP2_STALLED: Final = _family(
    "gateway_http2_stalled_seconds", "counter", "Time that bodies waited for flow control windows of clients or "
    "upstreams: of each stream, and of connections", _SIDE,
)  # fmt: skip
HTTP2_AGE: Final = _family(
    "gateway_http2_connection_age_seconds", "histogram", "How old connections were when they were closed", _SIDE
)

# -- discovery and sources

DISCOVERY_STALE: Final = _family(
    "gateway_discovery_stale", "gauge", "Whether a discovery's registry does not confirm its endpoints", "upstream",
    merge="max",
)  # fmt: skip
DISCOVERY_ENDPOINTS: Final = _family(
    "gateway_discovery_endpoints", "gauge", "Endpoints that a discovery finds", "upstream", merge="max"
)
DISCOVERY_FAILURES: Final = _family(
    "gateway_discovery_failures", "counter", "Watches of registries that failed", "upstream"
)
DISCOVERY_CONFIRMED: Final = _family(
    "gateway_discovery_last_success_timestamp_seconds", "gauge", "When a registry last confirmed the endpoints of an "
    "upstream, since the Unix epoch; 0 is never", "upstream", merge="max",
)  # fmt: skip
SOURCE_STALE: Final = _family(
    "gateway_source_stale", "gauge", "Whether a source of configuration does not respond", "source", merge="latest"
)
SOURCE_CONFIRMED: Final = _family(
    "gateway_source_last_success_timestamp_seconds", "gauge", "When a source of configuration last responded, since "
    "the Unix epoch; 0 is never", "source", merge="latest",
)  # fmt: skip
SOURCE_DOCUMENTS: Final = _family(
    "gateway_source_documents", "gauge", "Documents of a source", "source", merge="latest"
)
SOURCE_REJECTED: Final = _family(
    "gateway_source_documents_rejected", "gauge", "Documents of a source that are not in force because of their "
    "problems", "source", merge="latest",
)  # fmt: skip

# -- the configuration

CONFIG_INFO: Final = _family("gateway_config", "info", "The configuration in force", "version", merge="latest")
CONFIG_WARNINGS: Final = _family(
    "gateway_config_warnings", "gauge", "Warnings about the configuration in force", merge="latest"
)
CONFIG_PINNED: Final = _family(
    "gateway_config_pinned", "gauge", "Whether a version is pinned, so that changes of files are not applied",
    merge="latest",
)  # fmt: skip
OVERRIDE_EXPIRES: Final = _family(
    "gateway_override_expires_timestamp_seconds", "gauge", "When an override of an operator ends, since the Unix epoch",
    "kind", "upstream", "name", merge="latest",
)  # fmt: skip
CONFIG_RELOADS: Final = _family(
    "gateway_config_reloads", "counter", "Reloads by what became of them; the first start is one", "result"
)
CONFIG_LAST_OK: Final = _family(
    "gateway_config_last_reload_successful", "gauge", "Whether the last reload put a configuration in force",
    merge="latest",
)  # fmt: skip
CONFIG_LAST_SECONDS: Final = _family(
    "gateway_config_last_reload_duration_seconds", "gauge", "Time that the last reload took", merge="latest"
)
CONFIG_LAST_SUCCESS: Final = _family(
    "gateway_config_last_reload_success_timestamp_seconds", "gauge", "When a configuration was put in force last, "
    "since the Unix epoch", merge="latest",
)  # fmt: skip
CONFIG_LAST_FAILURE: Final = _family(
    "gateway_config_last_reload_failure_timestamp_seconds", "gauge", "When a reload failed last, since the Unix "
    "epoch; 0 is never", merge="latest",
)  # fmt: skip
CERTIFICATE_EXPIRY: Final = _family(
    "gateway_certificate_expiry_timestamp_seconds", "gauge", "When a certificate of a listener expires, since the "
    "Unix epoch; name is the first that it is for", "listener", "name", merge="min",
)  # fmt: skip
CERTIFICATE_START: Final = _family(
    "gateway_certificate_not_before_timestamp_seconds", "gauge", "From when on a certificate of a listener is valid, "
    "since the Unix epoch; name is the first that it is for", "listener", "name", merge="min",
)  # fmt: skip
CERTIFICATE_SUCCESS: Final = _family(
    "gateway_certificate_last_success_timestamp_seconds", "gauge", "When an authority issued a certificate last, since "
    "the Unix epoch; 0 is never. Only of sources that order certificates, such as acme", "listener", "name",
    merge="max",
)  # fmt: skip
CERTIFICATE_FAILURE: Final = _family(
    "gateway_certificate_last_failure_timestamp_seconds", "gauge", "When getting a certificate from an authority "
    "failed last, since the Unix epoch; 0 is never", "listener", "name", merge="max",
)  # fmt: skip
REVOCATION_EXPIRY: Final = _family(
    "gateway_revocation_list_expiry_timestamp_seconds", "gauge", "When the first revocation list of a listener "
    "expires, since the Unix epoch", "listener", merge="min",
)  # fmt: skip

# -- plugins

_HOOK: Final = ("plugin", "binding", "phase")
PLUGIN_CALLS: Final = _family("gateway_plugin_calls", "counter", "Calls of hooks", *_HOOK)
PLUGIN_ERRORS: Final = _family(
    "gateway_plugin_errors", "counter", "Hooks that raised, or returned what they must not", *_HOOK
)
PLUGIN_TIMEOUTS: Final = _family(
    "gateway_plugin_timeouts", "counter", "Hooks that took longer than their binding allows", *_HOOK
)
PLUGIN_QUARANTINES: Final = _family(
    "gateway_plugin_quarantines", "counter", "Times that a binding was put into quarantine", *_HOOK
)
PLUGIN_QUARANTINED: Final = _family(
    "gateway_plugin_quarantined", "counter", "Hooks that were skipped in quarantine", *_HOOK
)
PLUGIN_SHADOW_DECISIONS: Final = _family(
    "gateway_plugin_shadow", "counter", "What bindings in shadow mode would have decided", *_HOOK, "decision"
)
PLUGIN_DURATION: Final = _family(
    "gateway_plugin_seconds", "histogram", "Time that hooks took, waiting included; only with "
    "server_timing: true", *_HOOK,
)  # fmt: skip
PLUGIN_BLOCKED: Final = _family(
    "gateway_plugin_blocked", "counter", "Times that a hook blocked the event loop", "plugin", "phase"
)
PLUGIN_TASK_ERRORS: Final = _family(
    "gateway_plugin_task_errors", "counter", "Background tasks of plugins that ended with an exception", "plugin",
    "binding",
)  # fmt: skip

# -- traces

TRACE_SPANS: Final = _family("gateway_trace_spans_exported", "counter", "Spans that the collector took")
TRACE_SPANS_LOST: Final = _family(
    "gateway_trace_spans_lost", "counter", "Spans that were not exported: overflow (the queue was full), rejected (the "
    "collector refused them), gave-up (it could not be reached for five minutes), stop (it did not take them before "
    "the end), too-many (of one request)", "reason",
)  # fmt: skip
TRACE_EXPORT_FAILURES: Final = _family(
    "gateway_trace_export_failures", "counter", "Requests to the collector that failed; most are sent again"
)
TRACE_SPANS_WAITING: Final = _family(
    "gateway_trace_spans_waiting", "gauge", "Spans that wait for the collector, those on their way included"
)
TRACE_BAGGAGE_DROPPED: Final = _family(
    "gateway_trace_baggage_dropped", "counter", "Requests that went upstream without their baggage: it was larger than "
    "its limits, or its sender is no trusted proxy",
)  # fmt: skip

# -- processes

_PROCESS: Final = "process"
BUILD_INFO: Final = _family("gateway_build", "info", "What runs", "version", "python", merge="latest")
WORKERS: Final = _family("gateway_workers", "gauge", "Workers that serve")
WORKERS_WANTED: Final = _family("gateway_workers_wanted", "gauge", "Workers that should serve")
WORKERS_SILENT: Final = _family(
    "gateway_workers_silent", "gauge", "Workers that did not respond to this scrape; their counters are those of the "
    "last one",
)  # fmt: skip
WORKER_CRASHES: Final = _family("gateway_worker_crashes", "counter", "Workers that ended unexpectedly")
TASKS: Final = _family("gateway_tasks_running", "gauge", "Endless background tasks that run", "task")
TASKS_FAILING: Final = _family(
    "gateway_tasks_failing", "gauge", "Background tasks that failed and do not go on steadily yet"
)
TASK_FAILURES: Final = _family(
    "gateway_task_failures", "counter", "Failures of background tasks, which begin again after a delay", "task"
)
LOOP_LAG: Final = _family(
    "gateway_event_loop_lag_seconds", "histogram", "How late a timer of the event loop was, looked at once a second",
    _PROCESS,
)  # fmt: skip
PROCESS_CPU: Final = _family("gateway_process_cpu_seconds", "counter", "CPU time, in user and in system mode", _PROCESS)
PROCESS_MEMORY: Final = _family(
    "gateway_process_memory_pss_bytes", "gauge", "Memory; pages that processes share are divided among them (PSS)",
    _PROCESS,
)  # fmt: skip
PROCESS_START: Final = _family(
    "gateway_process_start_timestamp_seconds", "gauge", "When the process began that began last, since the Unix epoch",
    _PROCESS, merge="max",
)  # fmt: skip
PROCESS_DESCRIPTORS: Final = _family(
    "gateway_process_open_descriptors", "gauge", "Open file descriptors of the process that has most", _PROCESS,
    merge="max",
)  # fmt: skip
PROCESS_DESCRIPTOR_LIMIT: Final = _family(
    "gateway_process_descriptor_limit", "gauge", "File descriptors that a process may have (RLIMIT_NOFILE)", _PROCESS,
    merge="min",
)  # fmt: skip
SHORTAGES: Final = _family(
    "gateway_shortages", "counter", "Failures for want of something on this machine (descriptors, ports, memory, space "
    "on a disk), by what failed", "what",
)  # fmt: skip
LOG_EVENTS: Final = _family(
    "gateway_log_events", "counter", "Lines of the gateway's log by event (docs/events.md) and level, of those that "
    "log.level lets through", "event", "level",
)  # fmt: skip
LOG_DROPPED: Final = _family(
    "gateway_log_dropped_lines", "counter", "Lines of the gateway's log that stderr did not take", _PROCESS
)

CATALOGUE: Final[Mapping[str, Family]] = MappingProxyType(_table)
"""All of them, by name."""
