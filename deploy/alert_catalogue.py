"""Every alert and recording rule for Prometheus, with what to do about it.

`prometheus_rules.py` makes the rule files and the page of runbooks from this table. Expressions keep the label ``job``,
so that one Prometheus may watch several fleets, and ``instance`` where the trouble is that of one gateway.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Severity = Literal["critical", "warning"]

OBJECTIVE: Final = 0.999
"""The share of requests that must not fail: what the error budget of the burn rates is derived from."""

WINDOWS: Final = ("5m", "30m", "1h", "6h", "3d")
"""Over which the share of failed requests is recorded."""

MIN_FAILURES: Final = 20
"""Failed requests in the longer window below which a burn rate is no alert: with little traffic one failure is a large share."""

MIN_RATE: Final = 0.5
"""Requests a second below which a percentile of durations is no alert."""

JOB: Final = "gateway"
"""The job of the scrape configuration; absence can only be seen with a name for what is absent."""


@dataclass(frozen=True, slots=True)
class Recording:
    name: str
    expression: str


@dataclass(frozen=True, slots=True)
class Alert:
    """:param wait: how long the expression holds before it fires; "" fires at once.

    :param meaning: of the runbook: what is the case, and what clients notice.
    :param action: of the runbook: how to find the cause, and what to do.
    """

    name: str
    severity: Severity
    expression: str
    wait: str
    summary: str
    meaning: str
    action: str


def _recordings() -> tuple[Recording, ...]:
    failed = 'gateway_requests_total{status=~"5..",origin!="client"}'
    found = []
    for window in WINDOWS:
        requests = f"sum by (job, route) (rate(gateway_requests_total[{window}]))"
        found += [
            Recording(f"job_route:gateway_requests:rate{window}", requests),
            Recording(
                f"job_route:gateway_requests_failed:rate{window}", f"sum by (job, route) (rate({failed}[{window}]))"
            ),
            Recording(
                f"job_route:gateway_requests_failed:ratio_rate{window}",
                f"job_route:gateway_requests_failed:rate{window} / (job_route:gateway_requests:rate{window} > 0)",
            ),
        ]
    for quantile in (0.5, 0.95, 0.99):
        found += [
            Recording(
                f"job_route:gateway_request_duration_seconds:p{quantile * 100:g}",
                f"histogram_quantile({quantile}, sum by (job, route, le) "
                "(rate(gateway_request_duration_seconds_bucket[5m])))",
            ),
            Recording(
                f"job_upstream:gateway_upstream_duration_seconds:p{quantile * 100:g}",
                f"histogram_quantile({quantile}, sum by (job, upstream, le) "
                "(rate(gateway_upstream_duration_seconds_bucket[5m])))",
            ),
        ]
    endpoints = "count by (job, instance, upstream) (gateway_upstream_endpoint_healthy)"
    healthy = "sum by (job, instance, upstream) (gateway_upstream_endpoint_healthy)"
    return (
        *found,
        Recording("job_instance_upstream:gateway_upstream_endpoint_healthy:ratio", f"{healthy} / {endpoints}"),
    )


RECORDINGS: Final = _recordings()


def _burn(long: str, short: str, factor: float) -> str:
    ratio, most = "job_route:gateway_requests_failed:ratio_rate", f"{factor:g} * {1 - OBJECTIVE:g}"
    failures = f'sum by (job, route) (increase(gateway_requests_total{{status=~"5..",origin!="client"}}[{long}]))'
    return f"{ratio}{long} > {most}\nand {ratio}{short} > {most}\nand {failures} > {MIN_FAILURES}"


def _expires_within(days: int, part: int) -> str:
    """Return what holds in the last days of a certificate, but not before the last part of a short lifetime.

    Those of six days are renewed two days before they expire.
    """
    expiry, start = "gateway_certificate_expiry_timestamp_seconds", "gateway_certificate_not_before_timestamp_seconds"
    return f"{expiry} - time() < {days} * 86400\nunless {expiry} - time() > ({expiry} - {start}) / {part}"


_BUDGET_ACTION: Final = """\
`origin` and `reason` say whose failures they are: open the dashboard *one route* for the route, or ask
`sum by (status, origin) (rate(gateway_requests_total{route="ROUTE"}[5m]))` and
`sum by (reason) (rate(gateway_request_failures_total[5m]))`. Failures of `upstream` are the service's own responses; for those
of `gateway` see [reasons](reasons.md) and [incidents](incidents.md). If they began with a change, take it back: the reloads are
marked in the dashboards, and `gateway status` has the last one."""

ALERTS: Final = (
    Alert(
        "GatewayAbsent", "critical", f'sum by (job) (up{{job="{JOB}"}}) == 0\nor absent(up{{job="{JOB}"}})', "2m",
        "no gateway of the job {{ $labels.job }} can be scraped",
        "Not one gateway of the job responds to Prometheus: the fleet is away, its admin listener is, or the scrape "
        "configuration names something else. All other alerts are blind meanwhile.",
        f"Look at the targets of Prometheus for the reason. `gateway status` on the machine says whether it serves. Where "
        f"the job is not called `{JOB}`, make the rules with `--job NAME`.",
    ),
    Alert(
        "GatewayDown", "warning", f'up{{job="{JOB}"}} == 0', "2m",
        "the gateway {{ $labels.instance }} cannot be scraped",
        "One gateway does not respond to Prometheus, others do.",
        "Look at its process and its log. A gateway that drains responds until it ends; a machine that is gone is to be taken "
        "out of the targets.",
    ),
    Alert(
        "GatewayErrorBudgetBurnsFast", "critical", _burn("1h", "5m", 14.4), "2m",
        "{{ $value | humanizePercentage }} of the requests of route {{ $labels.route }} fail",
        f"At this rate the error budget of 30 days ({1 - OBJECTIVE:.1%} of all requests) is spent within two days. "
        "Both the last hour and the last five minutes are above the rate, so it goes on.",
        _BUDGET_ACTION,
    ),
    Alert(
        "GatewayErrorBudgetBurns", "critical", _burn("6h", "30m", 6), "15m",
        "{{ $value | humanizePercentage }} of the requests of route {{ $labels.route }} fail, for hours",
        "At this rate the error budget of 30 days is spent within five days; a twentieth of it went in the last six hours. It is "
        "too slow for [GatewayErrorBudgetBurnsFast](#gatewayerrorbudgetburnsfast), and goes on.",
        _BUDGET_ACTION,
    ),
    Alert(
        "GatewayErrorBudgetBurnsSlowly", "warning", _burn("3d", "6h", 1), "1h",
        "route {{ $labels.route }} spends its error budget: {{ $value | humanizePercentage }} of its requests fail",
        "Over three days more requests failed than the objective allows, and they still do.",
        _BUDGET_ACTION,
    ),
    Alert(
        "GatewaySlow", "warning",
        f"job_route:gateway_request_duration_seconds:p99 > 1\nand job_route:gateway_requests:rate5m > {MIN_RATE}", "10m",
        "1 % of the requests of route {{ $labels.route }} take longer than {{ $value | humanizeDuration }}",
        "The 99th percentile of the route's durations, from the complete head of a request to the last byte of its response.",
        "Compare with `job_upstream:gateway_upstream_duration_seconds:p99` of its upstream: if that is as long, the service is "
        "slow. Otherwise look for plugins (`gateway_plugin_seconds` with `server_timing: true`), for the event loop's lag, and for "
        "clients that take long to read. A route that is meant to be slow (long polls, downloads) is excluded in the rule.",
    ),
    Alert(
        "GatewayUpstreamDown", "critical", "job_instance_upstream:gateway_upstream_endpoint_healthy:ratio == 0", "1m",
        "no endpoint of upstream {{ $labels.upstream }} is healthy for {{ $labels.instance }}",
        "Health checks of every endpoint fail. Clients get 502, 503 or 504, or responses of endpoints in panic mode.",
        "`endpoint.unhealthy` in the log has each endpoint's reason. If the checks themselves are wrong (path, status, port), "
        "`gateway status` shows what they expect.",
    ),
    Alert(
        "GatewayEndpointUnhealthy", "warning", "gateway_upstream_endpoint_healthy == 0", "5m",
        "checks of endpoint {{ $labels.endpoint }} of {{ $labels.upstream }} fail",
        "The endpoint gets no requests; the others take its share.",
        "Look at [a dead endpoint](incidents.md#a-dead-endpoint).",
    ),
    Alert(
        "GatewayNoEndpoint", "critical",
        f"sum by (job, upstream, reason) (increase(gateway_upstream_refusals_total[5m])) > {MIN_FAILURES}", "5m",
        "requests to upstream {{ $labels.upstream }} are refused: {{ $labels.reason }}",
        "Requests find no endpoint at all: none is known, all are open breakers, or the upstream's limits are reached. A moment of "
        "it, as when the only endpoint restarts, is no alert.",
        "The reason says which ([reasons](reasons.md)). For limits, compare `gateway_upstream_requests_in_flight` with the "
        "configuration; for breakers see `breaker.opened` in the log.",
    ),
    Alert(
        "GatewayUpstreamFails", "warning",
        "sum by (job, upstream, endpoint, reason) (rate(gateway_upstream_errors_total[5m])) > 0.05", "5m",
        "attempts at {{ $labels.endpoint }} of {{ $labels.upstream }} fail: {{ $labels.reason }}",
        "Attempts end without a response: refused or reset connections, timeouts, responses that are none. Retries may "
        "hide it from clients.",
        "The reason says where to look; the log has one line for each endpoint and kind with the system's own words.",
    ),
    Alert(
        "GatewayReloadFailed", "warning", "gateway_config_last_reload_successful == 0", "1m",
        "the last change of the configuration is not in force on {{ $labels.instance }}",
        "A change was refused; the gateway serves with the configuration that it had. A restart in this state fails, unless it "
        "may start from the last good one.",
        "`gateway status` and `config.rejected` in the log have the problems with their places; `gateway check` shows the same.",
    ),
    Alert(
        "GatewaySourceStale", "warning",
        'label_replace(gateway_source_stale == 1, "what", "$1", "source", "(.*)")\n'
        'or label_replace(gateway_discovery_stale == 1, "what", "$1", "upstream", "(.*)")', "5m",
        "{{ $labels.instance }} gets nothing new from {{ $labels.what }}",
        "A configuration source or a registry does not respond. What it said last stays in force; changes do not arrive, and "
        "endpoints that are gone are still used.",
        "`source.stale` or `discovery.stale` in the log has the reason. Look at [a stale source](incidents.md#a-stale-source).",
    ),
    Alert(
        "GatewayDocumentsRejected", "warning", "gateway_source_documents_rejected > 0", "5m",
        "{{ $value }} documents of {{ $labels.source }} are not in force",
        "Documents of a source have problems; the others are in force.",
        "`documents.rejected` in the log names each with its problems.",
    ),
    Alert(
        "GatewayCertificateExpiresSoon", "warning", _expires_within(14, 4), "1h",
        "the certificate for {{ $labels.name }} expires in {{ $value | humanizeDuration }}",
        "Clients will refuse connections when it is over. Certificates of few days have a quarter of their lifetime left.",
        "Renew it and replace the file; it is read again by itself. For those by ACME see "
        "[GatewayCertificateNotIssued](#gatewaycertificatenotissued).",
    ),
    Alert(
        "GatewayCertificateExpires", "critical", _expires_within(2, 8), "",
        "the certificate for {{ $labels.name }} expires in {{ $value | humanizeDuration }}",
        "Clients refuse connections when it is over, in less than two days (an eighth of a shorter lifetime) or already.",
        "Renew it and replace the file; it is read again by itself. If it was replaced, the file in force is another: "
        "`gateway status`.",
    ),
    Alert(
        "GatewayCertificateNotIssued", "warning",
        "max by (job, name) (gateway_certificate_last_failure_timestamp_seconds)\n"
        "> max by (job, name) (gateway_certificate_last_success_timestamp_seconds)", "1h",
        "no certificate for {{ $labels.name }} can be got from its authority",
        "Getting or renewing a certificate by ACME has failed for an hour. The certificate that is there serves on until it expires; "
        "a name that never had one shows clients one that they do not trust, or refuses them.",
        "`gateway status` and `gateway certs list` have the authority's reason and when the next attempt is; what it means is in "
        "[certificates by ACME](certificates-acme.md#3-look). After a repair `gateway certs renew` does not wait.",
    ),
    Alert(
        "GatewayRevocationListExpires", "warning",
        "gateway_revocation_list_expiry_timestamp_seconds - time() < 86400", "",
        "a revocation list of listener {{ $labels.listener }} expires in {{ $value | humanizeDuration }}",
        "With an expired list no client certificate of its issuer is accepted.",
        "Fetch the issuer's newer list and replace the file.",
    ),
    Alert(
        "GatewayDescriptors", "warning",
        "gateway_process_open_descriptors / gateway_process_descriptor_limit > 0.8", "5m",
        "a process ({{ $labels.process }}) of {{ $labels.instance }} has used {{ $value | humanizePercentage }} of its file descriptors",
        "At the limit connections are not accepted; some are kept back for upstreams and the admin listener.",
        "Raise the hard limit (`LimitNOFILE=` of systemd, `ulimit -Hn`), or bound `max_connections`.",
    ),
    Alert(
        "GatewayShortage", "warning", "sum by (job, instance, what) (increase(gateway_shortages_total[15m])) > 0", "",
        "{{ $labels.instance }} was short of something: {{ $labels.what }}",
        "Something failed for want of descriptors, ports, memory or space on a disk, once at least.",
        "The label `what` and the log say what failed; `/ready` and `gateway status` whether it still does. See [too few "
        "descriptors](incidents.md#too-few-descriptors) and [a full disk](incidents.md#a-full-disk).",
    ),
    Alert(
        "GatewayShortageLasts", "critical",
        'sum by (job, instance, what) (increase(gateway_shortages_total{what=~"accept|connect|memory"}[3m])) > 0', "5m",
        "{{ $labels.instance }} is short of something for minutes: {{ $labels.what }}",
        "Clients are not accepted or not served, again and again, for want of descriptors, ports or memory.",
        "Bound what clients may take (`max_connections`), raise the limit, or start another gateway. See [too few "
        "descriptors](incidents.md#too-few-descriptors).",
    ),
    Alert(
        "GatewayLoopLag", "warning",
        "histogram_quantile(0.99, sum by (job, instance, process, le) (rate(gateway_event_loop_lag_seconds_bucket[5m]))) > 0.25",
        "5m", "timers of {{ $labels.process }} on {{ $labels.instance }} are {{ $value | humanizeDuration }} late",
        "Something holds the event loop, or there is not enough CPU: every request waits as long.",
        "`plugin.blocked` in the log and `gateway_plugin_blocked_total` name a plugin that blocks. If there is none, compare "
        "`rate(gateway_process_cpu_seconds_total[5m])` with the number of workers: near 1 for each, it needs more workers.",
    ),
    Alert(
        "GatewayWorkersMissing", "critical", "gateway_workers < gateway_workers_wanted", "2m",
        "{{ $labels.instance }} has {{ $value }} workers that serve, and should have more",
        "A worker is away and its replacement does not start.",
        "`worker.ended` and the lines behind it say why it cannot be replaced.",
    ),
    Alert(
        "GatewayWorkersSilent", "warning", "gateway_workers_silent > 0", "5m",
        "{{ $value }} workers of {{ $labels.instance }} do not respond",
        "A worker does not respond to scrapes: its event loop is held, or it is stopped.",
        "Look for a plugin that blocks (`plugin.blocked`), and at the process itself.",
    ),
    Alert(
        # Not 1: `increase` extrapolates, so that one is mostly a little more.
        "GatewayWorkerRestarts", "warning", "increase(gateway_worker_crashes_total[15m]) > 1.5", "",
        "workers of {{ $labels.instance }} end unexpectedly, again and again",
        "Each end cuts the requests that the worker had. One alone is no alert.",
        "`worker.ended` has the signal or status: 9 is mostly the kernel's memory limit "
        "([a memory limit](incidents.md#a-memory-limit)), 11 a crash in a C extension.",
    ),
    Alert(
        "GatewayPluginFails", "warning",
        "sum by (job, plugin, binding) (rate(gateway_plugin_errors_total[5m]) + rate(gateway_plugin_timeouts_total[5m])) > 0",
        "5m", "plugin {{ $labels.plugin }} fails in {{ $labels.binding }}",
        "Hooks raise or take longer than they may. What that means for requests is the binding's `on_error`.",
        "`plugin.failed` in the log has file and line. A binding in quarantine is tried again by itself.",
    ),
    Alert(
        "GatewayPluginQuarantined", "warning", "sum by (job, plugin, binding) (increase(gateway_plugin_quarantines_total[15m])) > 0",
        "", "plugin {{ $labels.plugin }} is in quarantine in {{ $labels.binding }}",
        "It failed so often that its hooks are skipped for a while; with `on_error: fail` its requests get 503 meanwhile.",
        "See `plugin.quarantined` and the failures before it in the log.",
    ),
    Alert(
        "GatewayTaskFails", "warning", "gateway_tasks_failing > 0", "5m",
        "a background task of {{ $labels.instance }} keeps failing",
        "A task that should run all the time (watching, checks, discovery) fails and begins again.",
        "`task.failed` in the log has its name and the traceback; `gateway_task_failures_total` counts by name.",
    ),
    Alert(
        "GatewayLogDropped", "warning", "sum by (job, instance) (increase(gateway_log_dropped_lines_total[10m])) > 0", "",
        "{{ $labels.instance }} loses lines of its log",
        "What reads the gateway's stderr does not keep up.",
        "Look at the log's reader (journald's rate limit, a full pipe). `log.dropped` says how many.",
    ),
    Alert(
        "GatewayTracesLost", "warning", "sum by (job, instance, reason) (increase(gateway_trace_spans_lost_total[10m])) > 0",
        "10m", "{{ $labels.instance }} loses spans: {{ $labels.reason }}",
        "The collector is away, refuses spans, or takes them more slowly than they come. Requests are not affected.",
        "`tracing.export_failed` in the log says why. `overflow`: sample less, or raise `tracing.queue.max_spans`; `rejected`: "
        "look at the collector's limits and credentials; `gave-up`: it could not be reached for five minutes.",
    ),
)  # fmt: skip
