"""Write docs/metrics.md: what `/metrics` has, from the catalogue in the code.

python docs/metrics_reference.py
"""

from __future__ import annotations

from pathlib import Path

from gateway_core.metrics.catalogue import CATALOGUE, DURATION_BOUNDS, MAX_ENDPOINTS, MAX_ROUTES
from gateway_core.metrics.render import SUFFIX
from gateway_core.metrics.samples import Family

PAGE = Path(__file__).with_name("metrics.md")
HEAD = f"""# Metrics

Made from the code by `python docs/metrics_reference.py`; do not edit.

The admin listener serves metrics under `/metrics`, those of all processes together:

```yaml
admin: {{listen: "127.0.0.1:9090"}}
```

```yaml
# prometheus.yml
scrape_configs:
  - job_name: gateway
    static_configs: [{{targets: ["127.0.0.1:9090"]}}]
```

The response is in the text format of Prometheus (0.0.4), or in that of OpenMetrics (1.0.0) if the client's Accept
prefers it, and compressed if Accept-Encoding has gzip. A scraper that uses a host name needs it in `admin.hosts`.

## What is counted

* **Requests** by `route` (its id; empty if none matched), exact `status`, and `origin`: whose the response was
  (`upstream`, `gateway`, `plugin`), or `client` if the client left before its end; status 499 is a client that left
  before there was a response, 0 one whose response never began.
* **Attempts** at endpoints: responses by `status`, failures by `reason`. A request that is retried is several attempts.
  `gateway_upstream_refusals_total` counts requests that got no endpoint at all.
* **Reasons** are the codes of [reasons](reasons.md). Every combination that is known begins at 0, so that the first
  failure is an increase.
* **Calls and errors of plugins** are always counted. The time that they take is measured only with
  `server_timing: true`.
* Labels never have values of clients. Plugins have [metrics of their own](cookbook.md#count-with-metrics-of-your-own).

Ages are times since the Unix epoch (`time() - gateway_..._timestamp_seconds` in PromQL). Durations are in seconds, in
histograms with the bounds
{", ".join(f"{bound:g}" for bound in DURATION_BOUNDS)}. With other bounds, histograms begin anew, and counters go on:

```yaml
metrics: {{buckets: [5ms, 25ms, 100ms, 500ms, 2s, 10s]}}
```

## Names of OpenTelemetry

Names, labels and units are Prometheus's own. What the semantic conventions for HTTP call otherwise is:

| OpenTelemetry | here | what differs |
|---|---|---|
| `http.server.request.duration` | `gateway_request_duration_seconds` | `http.route` is `route`, the id \
of the route and not its pattern; `http.response.status_code` is its class here, and exact in `gateway_requests_total` |
| `http.server.active_requests` | `gateway_requests_in_flight` | without attributes |
| `http.server.request.body.size`, `http.server.response.body.size` | `gateway_request_body_bytes_total`, \
`gateway_response_body_bytes_total` | sums, not histograms |
| `http.client.request.duration` | `gateway_upstream_duration_seconds` | to the response's head; `server.address` and \
`server.port` are `endpoint`, `error.type` is `reason` of `gateway_upstream_errors_total` |
| `http.client.active_requests` | `gateway_upstream_requests_in_flight` | by `upstream` and `endpoint` |
| `http.client.open_connections` | `gateway_upstream_connections_idle`, `gateway_upstream_requests_in_flight` | two \
gauges, as the states `idle` and `active` |
| `error.type` of a request | `reason` of `gateway_request_failures_total` | a code of [reasons](reasons.md) |

A collector takes them with its Prometheus receiver, and its `transform` processor renames them if a backend wants these
names.

## Several processes

One scrape shows all processes. Counters and histograms are sums over all workers, those that are gone included: they do
not go back when a worker crashes, drains or is replaced, nor when a new program takes over (SIGUSR2). What a worker
that was killed had counted since the last scrape is lost. A worker that does not respond within two seconds takes part
with the counters that it told last, and `gateway_workers_silent` says so. A gauge is the `sum`, the `max` or the `min`
of what the processes show, or what the `latest` one shows; the table has it.

## How many series there are

The first `metrics.max_routes` routes of the configuration ({MAX_ROUTES} unless given) have series of their own; all
others together are the route `_other`, in every worker. Likewise the first `metrics.max_endpoints` endpoints in the
order of upstream and id ({MAX_ENDPOINTS} unless given) have their own; the others of an upstream are its endpoint
`_other`, in every worker. Upstreams beyond as many are the upstream `_other` with all their endpoints. What changes
sides, as endpoints come or go, leaves what it has counted where it was. Metrics of plugins with a label `route` have
`_other` for the same routes.

Of the statuses of one route or endpoint 32 have series of their own. A route with requests has about 20 series, 17 more
for each further class of status, and an endpoint 35.

The budget, which `python benchmarks/metrics.py` measures: with 10,000 routes that all have requests, two statuses each,
as many upstreams, and two workers, at most 40,000 series, 4 MB of text (160 kB compressed), and 1.2 s of CPU
time of all processes together for a scrape, outside of the event loop.

Routes, bindings and endpoints that are removed leave `/metrics` with the next scrape. One that comes back soon goes on
where it was; one that comes back after 256 others were removed begins at 0.

## Alerts and dashboards

[alerts](alerts.md) has rules for Prometheus, each with what to do; [dashboards](dashboards.md) has those for Grafana.

## All metrics

| metric | type | labels | of several processes | meaning |
|---|---|---|---|---|
"""


def page() -> str:
    """Return the page."""
    return HEAD + "\n".join(_row(family) for _, family in sorted(CATALOGUE.items())) + "\n"


def _row(family: Family) -> str:
    labels = ", ".join(f"`{label}`" for label in family.labels) or "-"
    merge = family.merge if family.kind in {"gauge", "info"} else "sum"
    return f"| `{family.name}{SUFFIX.get(family.kind, '')}` | {family.kind} | {labels} | {merge} | {family.help} |"


if __name__ == "__main__":
    PAGE.write_text(page())
