"""For each alert, series with which it fires and series with which it must not, in promtool's notation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

ONE: Final = 'job="gateway",instance="one"'
ROUTE: Final = f'{ONE},route="shop"'
ENDPOINT: Final = f'{ONE},upstream="shop",endpoint="10.0.0.1:80"'
NOW: Final = 'gateway_requests_total{%s,status="%s",origin="%s"}'


@dataclass(frozen=True)
class Case:
    """:param fires: series with which the alert fires at ``at``; each is a name and values.
    :param quiet: by name of the case, series with which it must not.
    :param interval: between two values, and between two evaluations.
    """

    fires: dict[str, str]
    quiet: dict[str, dict[str, str]]
    at: str = "30m"
    interval: str = "1m"
    labels: dict[str, str] = field(default_factory=dict)


def requests(status: str, each: float, *, origin: str = "upstream", values: int = 500) -> dict[str, str]:
    return {NOW % (ROUTE, status, origin): f"0+{each}x{values}"}


def durations(fast: float, slow: float) -> dict[str, str]:
    """Return a histogram of requests a minute that take up to 0.1 s, or between 2.5 and 5 s."""
    both = fast + slow
    name = f'gateway_request_duration_seconds_bucket{{{ROUTE},status_class="2xx",le="%s"}}'
    return {
        name % "0.1": f"0+{fast}x60",
        name % "2.5": f"0+{fast}x60",
        name % "5": f"0+{both}x60",
        name % "+Inf": f"0+{both}x60",
        **requests("200", both, values=60),
    }


def lag(seconds: str, values: str = "0+60x60") -> dict[str, str]:
    name = f'gateway_event_loop_lag_seconds_bucket{{{ONE},process="worker",le="%s"}}'
    bounds = ("0.01", "0.25", "1", "+Inf")
    late = bounds.index(seconds)
    return {name % bound: values if index >= late else "0x60" for index, bound in enumerate(bounds)}


def gauge(name: str, labels: str, values: str) -> dict[str, str]:
    return {f"{name}{{{labels}}}": values}


def shortages(what: str, values: str) -> dict[str, str]:
    return gauge("gateway_shortages_total", f'{ONE},what="{what}"', values)


DAY: Final = 86_400


def certificate(lifetime: float, left: float, name: str = "a.example") -> dict[str, str]:
    """Return a certificate of so many days, of which so many are left at the epoch."""
    labels = f'{ONE},listener="a",name="{name}"'
    return gauge("gateway_certificate_expiry_timestamp_seconds", labels, f"{left * DAY}x120") | gauge(
        "gateway_certificate_not_before_timestamp_seconds", labels, f"{(left - lifetime) * DAY}x120"
    )


def issuance(failure: int, success: int, instance: str = "one") -> dict[str, str]:
    labels = f'job="gateway",instance="{instance}",listener="a",name="a.example"'
    return gauge("gateway_certificate_last_failure_timestamp_seconds", labels, f"{failure}x120") | gauge(
        "gateway_certificate_last_success_timestamp_seconds", labels, f"{success}x120"
    )


CASES: Final = {
    "GatewayAbsent": Case(
        gauge("up", 'job="gateway",instance="one"', "1x5 0x60"),
        {"one of two": gauge("up", ONE, "0x60") | gauge("up", 'job="gateway",instance="two"', "1x60"),
         "a restart": gauge("up", ONE, "1x29 0 1x30")},
        labels={"job": "gateway"},
    ),
    "GatewayDown": Case(
        gauge("up", ONE, "1x5 0x60"), {"a restart": gauge("up", ONE, "1x29 0 1x30")}, labels={"instance": "one"}
    ),
    "GatewayErrorBudgetBurnsFast": Case(
        requests("200", 1000) | requests("503", 30),
        {"failures within the objective": requests("200", 10_000) | requests("503", 5),
         "one failure of little traffic": requests("200", 0.2) | requests("503", 0.02),
         "clients that leave": requests("200", 1000) | requests("499", 500, origin="client"),
         "refusals": requests("200", 1000) | requests("429", 500, origin="plugin"),
         "failures that are over": {NOW % (ROUTE, "200", "upstream"): "0+1000x200",
                                    NOW % (ROUTE, "503", "upstream"): "0+100x5 500x200"},
         "counters that begin again": {NOW % (ROUTE, "200", "upstream"): "0+1000x60 0+1000x100",
                                       NOW % (ROUTE, "503", "upstream"): "0x60 0x100"}},
        at="90m", labels={"route": "shop"},
    ),
    "GatewayErrorBudgetBurns": Case(
        requests("200", 10_000) | requests("503", 100),
        {"failures that spend it within weeks": requests("200", 10_000) | requests("503", 30),
         "one failure of little traffic": requests("200", 0.2) | requests("503", 0.02),
         "failures that are over": {NOW % (ROUTE, "200", "upstream"): "0+10000x60",
                                    NOW % (ROUTE, "503", "upstream"): "0+200x40 8000x20"},
         "counters that begin again": {NOW % (ROUTE, "200", "upstream"): "0+10000x40 0+10000x20",
                                       NOW % (ROUTE, "503", "upstream"): "9000x40 0x20"}},
        at="8h", interval="10m", labels={"route": "shop"},
    ),
    "GatewayErrorBudgetBurnsSlowly": Case(
        requests("200", 10_000) | requests("503", 20),
        {"failures within the objective": requests("200", 100_000) | requests("503", 50),
         "one failure of little traffic": requests("200", 0.1) | requests("503", 0.01),
         "failures that are over": {NOW % (ROUTE, "200", "upstream"): "0+10000x450",
                                    NOW % (ROUTE, "503", "upstream"): "0+100x300 30000x150"}},
        at="74h", interval="10m", labels={"route": "shop"},
    ),
    "GatewaySlow": Case(
        durations(1000, 20),
        {"fast": durations(1000, 0), "one slow request of little traffic": durations(1, 1)},
        labels={"route": "shop"},
    ),
    "GatewayUpstreamDown": Case(
        gauge("gateway_upstream_endpoint_healthy", ENDPOINT, "1x5 0x60"),
        {"one of two": gauge("gateway_upstream_endpoint_healthy", ENDPOINT, "0x60")
                       | gauge("gateway_upstream_endpoint_healthy", ENDPOINT.replace("0.1", "0.2"), "1x60"),
         "for a moment": gauge("gateway_upstream_endpoint_healthy", ENDPOINT, "1x28 0 1x60")},
        labels={"upstream": "shop"},
    ),
    "GatewayEndpointUnhealthy": Case(
        gauge("gateway_upstream_endpoint_healthy", ENDPOINT, "1x5 0x60"),
        {"for a moment": gauge("gateway_upstream_endpoint_healthy", ENDPOINT, "1x27 0x2 1x60")},
        labels={"endpoint": "10.0.0.1:80"},
    ),
    "GatewayNoEndpoint": Case(
        gauge("gateway_upstream_refusals_total", f'{ONE},upstream="shop",reason="upstream.unavailable"', "0x20 0+10x60"),
        {"none": gauge("gateway_upstream_refusals_total", f'{ONE},upstream="shop",reason="upstream.unavailable"', "7x60"),
         "a few of little traffic": gauge("gateway_upstream_refusals_total", f'{ONE},upstream="shop",reason="x"', "7+1x60"),
         "many of a moment": gauge("gateway_upstream_refusals_total", f'{ONE},upstream="shop",reason="x"', "7x26 900x60"),
         "a restart": gauge("gateway_upstream_refusals_total", f'{ONE},upstream="shop",reason="x"', "900x20 0x60")},
        labels={"upstream": "shop"},
    ),
    "GatewayUpstreamFails": Case(
        gauge("gateway_upstream_errors_total", f'{ENDPOINT},reason="upstream.reset"', "0+10x60"),
        {"one now and then": gauge("gateway_upstream_errors_total", f'{ENDPOINT},reason="upstream.reset"', "0x26 1x4 2x60")},
        labels={"reason": "upstream.reset"},
    ),
    "GatewayReloadFailed": Case(
        gauge("gateway_config_last_reload_successful", ONE, "1x20 0x60"),
        {"mended at once": gauge("gateway_config_last_reload_successful", ONE, "1x29 0 1x60")},
        labels={"instance": "one"},
    ),
    "GatewaySourceStale": Case(
        gauge("gateway_source_stale", f'{ONE},source="etcd://a"', "0x5 1x60")
        | gauge("gateway_discovery_stale", f'{ONE},upstream="shop"', "0x60"),
        {"for a moment": gauge("gateway_discovery_stale", f'{ONE},upstream="shop"', "0x28 1x1 0x60")},
        labels={"what": "etcd://a"},
    ),
    "GatewayDocumentsRejected": Case(
        gauge("gateway_source_documents_rejected", f'{ONE},source="etcd://a"', "0x5 2x60"),
        {"none": gauge("gateway_source_documents_rejected", f'{ONE},source="etcd://a"', "0x60")},
        labels={"source": "etcd://a"},
    ),
    "GatewayCertificateExpiresSoon": Case(
        certificate(90, 10) | certificate(6, 1, "six-days"),
        {"in time": certificate(90, 30), "six days, before it is renewed": certificate(6, 1.7),
         "six days, just renewed": certificate(6, 6)},
        at="100m", labels={"listener": "a"},
    ),
    "GatewayCertificateExpires": Case(
        certificate(90, 1),
        {"in time": certificate(90, 10), "six days, before it is renewed": certificate(6, 1.7),
         "six days, late": certificate(6, 1)},
        labels={"name": "a.example"},
    ),
    "GatewayCertificateNotIssued": Case(
        issuance(failure=60, success=0),
        {"a success since": issuance(failure=60, success=120),
         "a success since, at another gateway": issuance(failure=60, success=0) | issuance(0, 120, instance="two"),
         "never failed": issuance(failure=0, success=60),
         "a failure that is repaired by the next attempt":
             gauge("gateway_certificate_last_failure_timestamp_seconds", f'{ONE},listener="a",name="a.example"', "600x120")
             | gauge("gateway_certificate_last_success_timestamp_seconds", f'{ONE},listener="a",name="a.example"', "0x59 3600x60")},
        at="100m", labels={"name": "a.example"},
    ),
    "GatewayRevocationListExpires": Case(
        gauge("gateway_revocation_list_expiry_timestamp_seconds", f'{ONE},listener="a"', "7200x60"),
        {"in time": gauge("gateway_revocation_list_expiry_timestamp_seconds", f'{ONE},listener="a"', f"{7 * DAY}x60")},
        labels={"listener": "a"},
    ),
    "GatewayDescriptors": Case(
        gauge("gateway_process_open_descriptors", f'{ONE},process="worker"', "900x60")
        | gauge("gateway_process_descriptor_limit", f'{ONE},process="worker"', "1000x60"),
        {"enough": gauge("gateway_process_open_descriptors", f'{ONE},process="worker"', "700x60")
                   | gauge("gateway_process_descriptor_limit", f'{ONE},process="worker"', "1000x60")},
        labels={"process": "worker"},
    ),
    "GatewayShortage": Case(
        # A configuration that is not kept is counted once, however long the disk is full.
        shortages("state", "0x28 1x60"),
        {"long ago": shortages("accept", "0x2 5x60"), "a restart": shortages("accept", "5x28 0x60")},
        labels={"what": "state"},
    ),
    "GatewayShortageLasts": Case(
        shortages("accept", "0x20 1+40x60"),
        {"one": shortages("accept", "0x26 1x60"),
         "many within a minute": shortages("connect", "0x26 5000x60"),
         "one in ten minutes": shortages("memory", "0x8 1x9 2x9 3x60"),
         "a restart": shortages("accept", "5x24 0x60"),
         "what clients do not notice": shortages("log", "0+40x60") | shortages("state", "0+1x60")},
        labels={"what": "accept"},
    ),
    "GatewayLoopLag": Case(
        lag("1"), {"none": lag("0.01"), "the start of a process": lag("1", "0x26 20x60")}, labels={"process": "worker"}
    ),
    "GatewayWorkersMissing": Case(
        gauge("gateway_workers", ONE, "2x5 1x60") | gauge("gateway_workers_wanted", ONE, "2x65"),
        {"a restart": gauge("gateway_workers", ONE, "2x28 1 2x60") | gauge("gateway_workers_wanted", ONE, "2x90")},
        labels={"instance": "one"},
    ),
    "GatewayWorkersSilent": Case(
        gauge("gateway_workers_silent", ONE, "0x5 1x60"),
        {"one scrape": gauge("gateway_workers_silent", ONE, "0x29 1 0x60")}, labels={"instance": "one"},
    ),
    "GatewayWorkerRestarts": Case(
        gauge("gateway_worker_crashes_total", ONE, "0x20 1x4 2x2 3x60"),
        {"one": gauge("gateway_worker_crashes_total", ONE, "0x25 1x60"),
         # As most evaluations are between two scrapes, which makes a little more than one of it.
         "one after earlier ones": gauge("gateway_worker_crashes_total", ONE, "5x14 _ 5x9 6x60"),
         "a restart of the gateway": gauge("gateway_worker_crashes_total", ONE, "5x25 0x60")},
        labels={"instance": "one"},
    ),
    "GatewayPluginFails": Case(
        gauge("gateway_plugin_errors_total", f'{ONE},plugin="auth",binding="auth",phase="request"', "0+10x60")
        | gauge("gateway_plugin_timeouts_total", f'{ONE},plugin="auth",binding="auth",phase="request"', "0x60"),
        {"long ago": gauge("gateway_plugin_errors_total", f'{ONE},plugin="auth",binding="auth",phase="request"', "0x2 9x60")
                     | gauge("gateway_plugin_timeouts_total", f'{ONE},plugin="auth",binding="auth",phase="request"', "0x60")},
        labels={"plugin": "auth"},
    ),
    "GatewayPluginQuarantined": Case(
        gauge("gateway_plugin_quarantines_total", f'{ONE},plugin="auth",binding="auth",phase="request"', "0x25 1x60"),
        {"long ago": gauge("gateway_plugin_quarantines_total", f'{ONE},plugin="auth",binding="auth"', "0x5 1x60")},
        labels={"plugin": "auth"},
    ),
    "GatewayTaskFails": Case(
        gauge("gateway_tasks_failing", ONE, "0x5 1x60"), {"one that goes on": gauge("gateway_tasks_failing", ONE, "0x28 1 0x60")},
        labels={"instance": "one"},
    ),
    "GatewayLogDropped": Case(
        gauge("gateway_log_dropped_lines_total", f'{ONE},process="worker"', "0x25 40x60"),
        {"long ago": gauge("gateway_log_dropped_lines_total", f'{ONE},process="worker"', "0x5 40x60")},
        labels={"instance": "one"},
    ),
    "GatewayTracesLost": Case(
        gauge("gateway_trace_spans_lost_total", f'{ONE},reason="overflow"', "0x5 40+40x60"),
        {"long ago": gauge("gateway_trace_spans_lost_total", f'{ONE},reason="overflow"', "0x5 40x60"),
         "a moment": gauge("gateway_trace_spans_lost_total", f'{ONE},reason="overflow"', "0x26 40x60"),
         "a restart": gauge("gateway_trace_spans_lost_total", f'{ONE},reason="stop"', "40x20 0x60")},
        labels={"instance": "one", "reason": "overflow"},
    ),
}  # fmt: skip
