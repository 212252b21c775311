"""Metrics: what is counted, how the counts of all processes become one, and how they are written for Prometheus.

How it works: `catalogue` declares every family of the gateway's own. The request path counts in plain integers
(`counts`). When a scrape comes, each process collects them as `Samples`, which go over its channel; the supervisor's
`Ledger` adds them up with those of processes that are gone, and `render` writes the text. All of it is pure: what reads
clocks, files and channels is elsewhere.

Plugins make metrics of their own with `Metrics`, in prometheus-client's classes.
"""

from __future__ import annotations

from gateway_core.metrics.registry import DURATION_BUCKETS, MetricError, Metrics

__all__ = ["DURATION_BUCKETS", "MetricError", "Metrics"]
