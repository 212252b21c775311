"""Every dashboard for Grafana: its rows, panels and queries.

`grafana_dashboards.py` makes Grafana's JSON from this table. All queries take the variables ``job`` and ``instance``,
and ``$__rate_interval`` for rates, which Grafana derives from the scrape interval.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

FLEET: Final = 'job=~"$job",instance=~"$instance"'
SERVER_ERRORS: Final = 'status=~"5.."'
WARNINGS: Final = 'level=~"warning|error"'


@dataclass(frozen=True, slots=True)
class Query:
    """:param legend: with labels in double braces, as Grafana has it."""

    expression: str
    legend: str = ""
    is_instant: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """:param kind: of Grafana: ``timeseries`` or ``stat``.
    :param red_above: from which value a stat is red; None has no colours.
    """

    title: str
    unit: str
    queries: tuple[Query, ...]
    text: str = ""
    kind: str = "timeseries"
    red_above: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Dashboard:
    """:param variables: beside the fleet's: names with the query of their values."""

    uid: str
    title: str
    rows: tuple[Row, ...]
    variables: dict[str, str] = field(default_factory=dict)


def _rate(metric: str, *, by: str = "", where: str = "") -> str:
    """Return the rate of a counter, summed by labels."""
    selector = f"{FLEET},{where}" if where else FLEET
    rate = f"rate({metric}{{{selector}}}[$__rate_interval])"
    return f"sum by ({by}) ({rate})" if by else f"sum({rate})"


def _gauge(metric: str, *, by: str = "", how: str = "sum", where: str = "") -> str:
    selector = f"{FLEET},{where}" if where else FLEET
    return f"{how} by ({by}) ({metric}{{{selector}}})" if by else f"{how}({metric}{{{selector}}})"


def _quantiles(metric: str, *, by: str = "", where: str = "") -> tuple[Query, ...]:
    """Return the 50th, 95th and 99th percentile of a histogram; with a label in ``by`` the 99th of each value."""
    labels = f"{by}, le" if by else "le"
    name = f"{{{{{by}}}}} " if by else ""
    return tuple(
        Query(f"histogram_quantile({q}, {_rate(f'{metric}_bucket', by=labels, where=where)})", f"{name}p{q * 100:g}")
        for q in ((0.99,) if by else (0.5, 0.95, 0.99))
    )


def _line(title: str, unit: str, expression: str, legend: str, text: str = "") -> Panel:
    return Panel(title, unit, (Query(expression, legend),), text)


def _stat(
    title: str, unit: str, expression: str, text: str, *, red_above: float | None = None, legend: str = ""
) -> Panel:
    return Panel(title, unit, (Query(expression, legend, is_instant=True),), text, kind="stat", red_above=red_above)


def _share(where: str) -> str:
    return f"({_rate('gateway_requests_total', where=where)} or vector(0)) / ({_rate('gateway_requests_total')} > 0)"


OWN_ERRORS: Final = f'{SERVER_ERRORS},origin=~"gateway|plugin"'
PASSED_ERRORS: Final = f'{SERVER_ERRORS},origin="upstream"'
UPSTREAM_REASONS: Final = (
    'reason=~"upstream.(unavailable|connect-failure|connect-timeout|reset|timeout|bad-response|truncated)"'
)
"""Why the gateway responds itself, or cuts a response off, for what an upstream did."""
_UNREACHED: Final = (
    f"{_rate('gateway_request_failures_total', where=UPSTREAM_REASONS)} / ({_rate('gateway_requests_total')} > 0)"
)

OVERVIEW: Final = Dashboard(
    "gateway-overview",
    "Gateway: overview",
    (
        Row("Whose trouble is it?", (
            _stat("Clients: 4xx and those who left", "percentunit", _share('status=~"4..|0"'),
                  "Requests that were refused or given up: mostly of the clients' making.", red_above=0.2),
            _stat("The gateway: 5xx of its own", "percentunit",
                  f"clamp_min({_share(OWN_ERRORS)} - {_UNREACHED}, 0)",
                  "Responses that the gateway or a plugin made because something of theirs did not work.", red_above=0.01),
            _stat("Upstreams: 5xx, or no response", "percentunit",
                  f"{_share(PASSED_ERRORS)} + {_UNREACHED}",
                  "5xx of services, and requests for which none could be reached or responded to the end.", red_above=0.01),
            _stat("Last change", "dateTimeFromNow",
                  f"1000 * {_gauge('gateway_config_last_reload_success_timestamp_seconds', how='max')}",
                  "When a configuration was put in force last."),
            _stat("Gateways with a refused change", "short",
                  f"count(gateway_config_last_reload_successful{{{FLEET}}} == 0) or vector(0)",
                  "Their last change is not in force.", red_above=1),
        )),
        Row("Requests", (
            _line("Requests by status", "reqps", _rate("gateway_requests_total", by="status"), "{{status}}"),
            _line("Requests by whose response it was", "reqps", _rate("gateway_requests_total", by="origin"), "{{origin}}"),
            Panel("Durations", "s", _quantiles("gateway_request_duration_seconds")),
        )),
        Row("Routes and reasons", (
            _line("Busiest routes", "reqps", f"topk(10, {_rate('gateway_requests_total', by='route')})", "{{route}}"),
            _line("Routes with most 5xx", "reqps",
                  f"topk(10, {_rate('gateway_requests_total', by='route', where=SERVER_ERRORS)})", "{{route}}"),
            _line("Failures by reason", "reqps", f"topk(10, {_rate('gateway_request_failures_total', by='reason')})", "{{reason}}",
                  "The codes are explained in docs/reasons.md and by `gateway explain CODE`."),
        )),
        Row("Upstreams", (
            Panel("Slowest upstreams, p99", "s", (Query(
                f"topk(10, {_quantiles('gateway_upstream_duration_seconds', by='upstream')[0].expression})", "{{upstream}}"),)),
            _line("Unhealthy endpoints", "short",
                  f"count by (upstream) (gateway_upstream_endpoint_healthy{{{FLEET}}}) - "
                  f"sum by (upstream) (gateway_upstream_endpoint_healthy{{{FLEET}}})", "{{upstream}}"),
            _line("Failed attempts by reason", "reqps", _rate("gateway_upstream_errors_total", by="reason"), "{{reason}}"),
        )),
        Row("Connections", (
            _line("Open connections of clients", "short", _gauge("gateway_client_connections", by="instance"), "{{instance}}"),
            _line("Requests in flight", "short", _gauge("gateway_requests_in_flight", by="instance"), "{{instance}}"),
            _line("Bodies", "Bps", _rate("gateway_response_body_bytes_total"), "sent to clients"),
        )),
        Row("Configuration and discovery", (
            _line("Reloads", "short", f"sum by (result) (increase(gateway_config_reloads_total{{{FLEET}}}[$__rate_interval]))",
                  "{{result}}"),
            _line("Certificates: time left", "s",
                  f"min by (name) (gateway_certificate_expiry_timestamp_seconds{{{FLEET}}}) - time()", "{{name}}"),
            _line("Endpoints of discoveries", "short", _gauge("gateway_discovery_endpoints", by="upstream", how="max"),
                  "{{upstream}}"),
        )),
    ),
)  # fmt: skip

_ROUTE: Final = 'route=~"$route"'
_ROUTE_ERRORS: Final = f"{_ROUTE},{SERVER_ERRORS}"
ROUTE: Final = Dashboard(
    "gateway-route",
    "Gateway: one route",
    (
        Row("Now", (
            _stat("Requests", "reqps", _rate("gateway_requests_total", where=_ROUTE), "Requests of the route."),
            _stat("5xx", "percentunit",
                  f"({_rate('gateway_requests_total', where=_ROUTE_ERRORS)} or vector(0)) / "
                  f"({_rate('gateway_requests_total', where=_ROUTE)} > 0)", "Share of its requests.", red_above=0.01),
            _stat("p99", "s", _quantiles("gateway_request_duration_seconds", where=_ROUTE)[2].expression,
                  "1 % of its requests take longer."),
        )),
        Row("Requests", (
            _line("By status", "reqps", _rate("gateway_requests_total", by="status", where=_ROUTE), "{{status}}"),
            _line("By whose response it was", "reqps", _rate("gateway_requests_total", by="origin", where=_ROUTE), "{{origin}}"),
            Panel("Durations", "s", _quantiles("gateway_request_duration_seconds", where=_ROUTE)),
        )),
        Row("Bodies and refusals", (
            Panel("Bodies", "Bps", (
                Query(_rate("gateway_request_body_bytes_total", where=_ROUTE), "from clients"),
                Query(_rate("gateway_response_body_bytes_total", where=_ROUTE), "to clients"),
            )),
            _line("Durations by class of status, p99", "s",
                  f"histogram_quantile(0.99, "
                  f"{_rate('gateway_request_duration_seconds_bucket', by='status_class, le', where=_ROUTE)})", "{{status_class}}"),
            _line("Refusals by status", "reqps",
                  _rate("gateway_requests_total", by="status, origin", where=f'{_ROUTE},status=~"4.."'), "{{status}} {{origin}}",
                  "Of plugins (auth, ratelimit), of the gateway, and of the upstream."),
        )),
    ),
    {"route": f"label_values(gateway_requests_total{{{FLEET}}}, route)"},
)  # fmt: skip

_UPSTREAM: Final = 'upstream=~"$upstream"'
UPSTREAM: Final = Dashboard(
    "gateway-upstream",
    "Gateway: one upstream",
    (
        Row("Now", (
            _stat("Responses", "reqps", _rate("gateway_upstream_requests_total", where=_UPSTREAM), "Of all its endpoints."),
            _stat("Healthy endpoints", "percentunit",
                  f"avg(gateway_upstream_endpoint_healthy{{{FLEET},{_UPSTREAM}}})", "1 where there are no checks."),
            _stat("Refused requests", "reqps", _rate("gateway_upstream_refusals_total", where=_UPSTREAM),
                  "No endpoint could be picked, or its limits left no room.", red_above=0.001),
            _stat("In panic mode", "short", f"max(gateway_upstream_panic{{{FLEET},{_UPSTREAM}}})",
                  "Unhealthy endpoints get requests because too few are healthy.", red_above=1),
        )),
        Row("Endpoints", (
            _line("Responses by endpoint", "reqps", _rate("gateway_upstream_requests_total", by="endpoint", where=_UPSTREAM),
                  "{{endpoint}}"),
            Panel("Time to the head by endpoint", "s",
                  _quantiles("gateway_upstream_duration_seconds", by="endpoint", where=_UPSTREAM)),
            _line("Failed attempts", "reqps", _rate("gateway_upstream_errors_total", by="endpoint, reason", where=_UPSTREAM),
                  "{{endpoint}} {{reason}}"),
        )),
        Row("State", (
            _line("Healthy", "short", _gauge("gateway_upstream_endpoint_healthy", by="endpoint", how="min", where=_UPSTREAM),
                  "{{endpoint}}"),
            _line("Open breakers (workers)", "short",
                  _gauge("gateway_upstream_breaker_state", by="endpoint", where=_UPSTREAM + ',state="open"'), "{{endpoint}}"),
            _line("Taken out (workers)", "short", _gauge("gateway_upstream_endpoint_ejected", by="endpoint", where=_UPSTREAM),
                  "{{endpoint}}"),
        )),
        Row("Work", (
            _line("Requests in flight", "short", _gauge("gateway_upstream_requests_in_flight", by="endpoint", where=_UPSTREAM),
                  "{{endpoint}}"),
            _line("Requests that wait for a connection", "short",
                  _gauge("gateway_upstream_requests_pending", by="upstream", where=_UPSTREAM), "{{upstream}}"),
            _line("Retries", "reqps", _rate("gateway_upstream_retries_total", by="upstream", where=_UPSTREAM), "{{upstream}}"),
        )),
        Row("Connections", (
            _line("Kept", "short", _gauge("gateway_upstream_connections_idle", by="endpoint", where=_UPSTREAM), "{{endpoint}}"),
            _line("Opened", "cps", _rate("gateway_upstream_connections_opened_total", by="endpoint", where=_UPSTREAM),
                  "{{endpoint}}"),
            Panel("Bytes", "Bps", (
                Query(_rate("gateway_upstream_sent_bytes_total", where=_UPSTREAM), "sent"),
                Query(_rate("gateway_upstream_received_bytes_total", where=_UPSTREAM), "received"),
            )),
        )),
    ),
    {"upstream": f"label_values(gateway_upstream_requests_total{{{FLEET}}}, upstream)"},
)  # fmt: skip

_PLUGIN: Final = 'plugin=~"$plugin"'
PLUGINS: Final = Dashboard(
    "gateway-plugins",
    "Gateway: plugins",
    (
        Row("Now", (
            _stat("Failures", "ops", _rate("gateway_plugin_errors_total", where=_PLUGIN), "Hooks that raised.", red_above=0.001),
            _stat("Timeouts", "ops", _rate("gateway_plugin_timeouts_total", where=_PLUGIN),
                  "Hooks that took longer than their binding allows.", red_above=0.001),
            _stat("Skipped in quarantine", "ops", _rate("gateway_plugin_quarantined_total", where=_PLUGIN),
                  "Calls that did not happen.", red_above=0.001),
            _stat("Blocked the event loop", "ops", f"{_rate('gateway_plugin_blocked_total', where=_PLUGIN)} or vector(0)",
                  "Every request of the worker waited.", red_above=0.001),
        )),
        Row("Calls", (
            _line("By plugin and phase", "ops", _rate("gateway_plugin_calls_total", by="plugin, phase", where=_PLUGIN),
                  "{{plugin}} {{phase}}"),
            _line("By binding", "ops", f"topk(20, {_rate('gateway_plugin_calls_total', by='binding', where=_PLUGIN)})",
                  "{{binding}}"),
            Panel("Time of a call, p99", "s", _quantiles("gateway_plugin_seconds", by="plugin", where=_PLUGIN),
                  "Measured only with `server_timing: true`."),
        )),
        Row("What goes wrong", (
            _line("Failures by binding", "ops", _rate("gateway_plugin_errors_total", by="binding, phase", where=_PLUGIN),
                  "{{binding}} {{phase}}"),
            _line("Quarantines", "short",
                  f"sum by (binding) (increase(gateway_plugin_quarantines_total{{{FLEET},{_PLUGIN}}}[$__rate_interval]))",
                  "{{binding}}"),
            _line("Background tasks that failed", "ops", _rate("gateway_plugin_task_errors_total", by="binding", where=_PLUGIN),
                  "{{binding}}"),
        )),
    ),
    {"plugin": f"label_values(gateway_plugin_calls_total{{{FLEET}}}, plugin)"},
)  # fmt: skip

_PROCESS: Final = 'process=~"$process"'
PROCESSES: Final = Dashboard(
    "gateway-processes",
    "Gateway: processes",
    (
        Row("Now", (
            _stat("Workers that serve", "short", _gauge("gateway_workers"), "Of the gateways that are chosen."),
            _stat("Workers missing", "short", f"sum(gateway_workers_wanted{{{FLEET}}}) - sum(gateway_workers{{{FLEET}}})",
                  "Replacements that do not start.", red_above=1),
            _stat("Background tasks that fail", "short", _gauge("gateway_tasks_failing"), "`task.failed` in the log.", red_above=1),
            _stat("Version", "short", f"count by (version) (gateway_build_info{{{FLEET}}})", "Gateways of each version.",
                  legend="{{version}}"),
        )),
        Row("Resources", (
            _line("CPU", "short", _rate("gateway_process_cpu_seconds_total", by="instance, process", where=_PROCESS),
                  "{{instance}} {{process}}", "Cores in use."),
            _line("Memory (PSS)", "bytes", _gauge("gateway_process_memory_pss_bytes", by="instance, process", where=_PROCESS),
                  "{{instance}} {{process}}"),
            _line("File descriptors, share of the limit", "percentunit",
                  f"gateway_process_open_descriptors{{{FLEET},{_PROCESS}}} / "
                  f"gateway_process_descriptor_limit{{{FLEET},{_PROCESS}}}", "{{instance}} {{process}}"),
        )),
        Row("Event loop and workers", (
            Panel("Lag of the event loop, p99", "s",
                  _quantiles("gateway_event_loop_lag_seconds", by="process", where=_PROCESS)),
            _line("Workers that ended unexpectedly", "short",
                  f"sum by (instance) (increase(gateway_worker_crashes_total{{{FLEET}}}[$__rate_interval]))", "{{instance}}"),
            _line("Age of the youngest process", "s",
                  f"time() - gateway_process_start_timestamp_seconds{{{FLEET},{_PROCESS}}}", "{{instance}} {{process}}"),
        )),
        Row("Log and sources", (
            _line("Warnings and errors in the log", "ops",
                  f"topk(10, {_rate('gateway_log_events_total', by='event', where=WARNINGS)})", "{{event}}"),
            _line("Shortages", "ops", _rate("gateway_shortages_total", by="what"), "{{what}}"),
            _line("Connections of clients that were refused", "cps",
                  _rate("gateway_client_connections_refused_total", by="instance"), "{{instance}}"),
        )),
        Row("Traces", (
            _line("Spans that the collector took", "ops", _rate("gateway_trace_spans_exported_total", by="instance"), "{{instance}}",
                  "Only with the section `tracing`."),
            _line("Spans that were lost", "ops", _rate("gateway_trace_spans_lost_total", by="reason"), "{{reason}}",
                  "`overflow`: the queue was full; `rejected`: the collector refused them; `gave-up`: it was away for five minutes."),
            Panel("Spans that wait, and requests to the collector that failed", "short", (
                Query(_gauge("gateway_trace_spans_waiting"), "spans that wait"),
                Query(f"sum(increase(gateway_trace_export_failures_total{{{FLEET}}}[$__rate_interval]))", "failed requests"),
            )),
        )),
    ),
    {"process": f"label_values(gateway_process_cpu_seconds_total{{{FLEET}}}, process)"},
)  # fmt: skip

DASHBOARDS: Final = (OVERVIEW, ROUTE, UPSTREAM, PLUGINS, PROCESSES)
