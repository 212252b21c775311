"""The metrics of one process: those of plugins, over prometheus-client, and those of the gateway's own parts.

Making a metric that exists returns it, so an instance can make its metrics in its constructor or in ``start`` without
asking whether an earlier instance did.

prometheus-client's counters take a lock and a look-up by labels, which is too slow for what every request counts. The
request path counts in the objects of `gateway_core.metrics.counts`, which are kept here so that they outlive snapshots.
Parts of the gateway register a `Collector`, which reads their numbers when a scrape comes; what is rare is counted by
`Metrics.count`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final
from weakref import ref

from gateway_core.metrics.catalogue import (
    CATALOGUE,
    DURATION_BOUNDS,
    MAX_ENDPOINTS,
    OTHER,
    PLUGIN_CALLS,
    PLUGIN_ERRORS,
    PLUGIN_QUARANTINED,
    PLUGIN_QUARANTINES,
    PLUGIN_TASK_ERRORS,
    PLUGIN_TIMEOUTS,
)
from gateway_core.metrics.counts import KEPT, Counts, EndpointCounts, HookCounts, RouteCounts, UpstreamCounts
from gateway_core.metrics.endpoint_fold import EndpointFold, Named
from gateway_core.metrics.http2 import Http2Counts
from gateway_core.metrics.local import LocalCounter
from gateway_core.metrics.render import PROMETHEUS, SUFFIX, render
from gateway_core.metrics.route_fold import fold_routes
from gateway_core.metrics.samples import Distribution, Family, Kind, Labels, Merge, Samples, Value

if TYPE_CHECKING:  # it costs time and memory, and only plugins need it
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
    from prometheus_client.metrics_core import Metric

DURATION_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Seconds; the buckets that OpenTelemetry's HTTP conventions recommend."""

Collector = Callable[[Samples], None]
"""Adds what a part of the gateway has counted; called in any thread."""

_MOST_HOOKS: Final = 2000

_KINDS: Final[dict[str, Kind]] = {"counter": "counter", "histogram": "histogram", "info": "info"}


class MetricError(ValueError):
    """A metric was asked for again with another type or other labels, or has the name of one of the gateway's own."""


class Metrics:
    """Makes metrics in one registry, and collects those of the whole process."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self._registry = registry
        if registry is not None:
            registry.register(_Own(self))
        self._made: dict[str, tuple[str, tuple[str, ...], Any]] = {}
        self._local: dict[str, LocalCounter] = {}
        self._merges: dict[str, Merge] = {}
        self._collectors: list[Collector] = []
        self._counts: dict[Family, dict[Labels, float]] = {}
        self.bounds: tuple[float, ...] = DURATION_BOUNDS
        """Of durations of requests."""
        self.max_endpoints = MAX_ENDPOINTS
        self.routes: Counts[RouteCounts] = Counts(lambda: RouteCounts(self.bounds))
        """By id; those beyond the limit by `OTHER`."""
        self._other_routes: Counts[None] = Counts(lambda: None)
        self._route_fold = EndpointFold()
        self.unrouted = RouteCounts()
        """Of requests that no route matched."""
        self.endpoints: Counts[EndpointCounts] = Counts(lambda: EndpointCounts(self.bounds))
        """By upstream and id."""
        self.endpoint_fold = EndpointFold()
        self.upstream_fold = EndpointFold()
        self.upstreams: Counts[UpstreamCounts] = Counts(UpstreamCounts)
        """By name."""
        self.http2_clients = Http2Counts()
        self.http2_upstreams = Http2Counts()
        # By plugin, binding and phase: those that a hook counts in, and some that were used last.
        self._hooks: dict[Labels, ref[HookCounts]] = {}
        self._other_hooks: list[HookCounts] = []
        self._last_hooks: deque[HookCounts] = deque(maxlen=KEPT)

    # -- of plugins

    @property
    def registry(self) -> CollectorRegistry:
        """Where the metrics of plugins are, and the gateway's own can be read; made when it is asked for."""
        if self._registry is None:
            from prometheus_client import CollectorRegistry  # noqa: PLC0415 - it costs time and memory

            self._registry = CollectorRegistry()
            self._registry.register(_Own(self))
        return self._registry

    def counter(self, name: str, help_text: str, labels: Sequence[str] = ()) -> Counter:
        """Return the counter of that name; bind labels once with ``.labels(...)``, not per request."""
        made: Counter = self._metric("Counter", name, help_text, labels)
        return made

    def local_counter(self, name: str, help_text: str, labels: Sequence[str] = ()) -> LocalCounter:
        """Return the counter of that name for what every request counts: a tenth of what `counter` takes.

        Only the event loop's thread may add to it, or threads that hold one lock while they do.
        """
        made: LocalCounter = self._metric("LocalCounter", name, help_text, labels)
        self._local[made.family.name] = made
        return made

    def gauge(self, name: str, help_text: str, labels: Sequence[str] = (), *, merge: Merge = "sum") -> Gauge:
        """Return the gauge of that name.

        :param merge: what ``/metrics`` shows of several workers: their ``sum``, the ``max`` or ``min``, or the value of
            the ``latest`` that responded.
        """
        self._merges[name] = merge
        made: Gauge = self._metric("Gauge", name, help_text, labels)
        return made

    def histogram(
        self, name: str, help_text: str, labels: Sequence[str] = (), buckets: Sequence[float] = DURATION_BUCKETS
    ) -> Histogram:
        """Return the histogram of that name."""
        made: Histogram = self._metric("Histogram", name, help_text, labels, buckets=tuple(buckets))
        return made

    def _metric(self, kind: str, name: str, text: str, labels: Sequence[str], **options: Any) -> Any:
        key = name.removesuffix("_total")  # which formats add to the names of counters
        made = self._made.get(key)
        if made is None:
            if key in CATALOGUE:
                raise MetricError(f"metric {name!r} is one of the gateway's own: give it another name")
            if kind == "LocalCounter":
                metric: Any = LocalCounter(name, text, labels)
            else:
                import prometheus_client  # noqa: PLC0415 - as above

                metric = getattr(prometheus_client, kind)(name, text, tuple(labels), registry=self.registry, **options)
            self._made[key] = (kind, tuple(labels), metric)
            return metric
        if made[:2] != (kind, tuple(labels)):
            raise MetricError(f"metric {name!r} exists already as a {made[0]} with labels {made[1]}")
        return made[2]

    # -- of the gateway's own parts

    def register(self, collector: Collector) -> None:
        """Have a part asked for its samples from now on."""
        self._collectors.append(collector)

    def count(self, family: Family, *labels: str, by: float = 1) -> None:
        """Add to a counter, or begin it with ``by=0``; not for the path of every request."""
        counts = self._counts.setdefault(family, {})
        counts[labels] = counts.get(labels, 0) + by

    def acquire_route(self, route: str, key: str) -> RouteCounts:
        """Return the counts of a route, in use until it is released as often.

        :param key: its id, or `OTHER` if it is beyond the limit, for which metrics of plugins are folded as well.
        """
        if key == OTHER:
            self._other_routes.acquire(route)
        return self.routes.acquire(key)

    def release_route(self, route: str, key: str) -> None:
        """End one use of the counts of a route."""
        if key == OTHER:
            self._other_routes.release(route)
        self.routes.release(key)

    def named_endpoints(self) -> Named:
        """Return the upstreams and endpoints that have series of their own; others share those of `OTHER`."""
        endpoints: list[Any] = self.endpoints.in_use()
        upstreams: list[Any] = self.upstreams.in_use()
        return Named.of(endpoints, {*upstreams, *(upstream for upstream, _ in endpoints)}, self.max_endpoints)

    def hook(self, plugin: str, binding: str, phase: str) -> HookCounts:
        """Return the counts of the hooks of a binding in a phase."""
        key = plugin, binding, phase
        if (counts := self._hook_of(key)) is not None:
            return counts
        if len(self._hooks) >= _MOST_HOOKS:
            self._hooks = {each: reference for each, reference in self._hooks.items() if reference() is not None}
        if len(self._hooks) >= _MOST_HOOKS:
            key = plugin, OTHER, phase
            if (counts := self._hook_of(key)) is not None:
                return counts
        counts = HookCounts()
        self._hooks[key] = ref(counts)
        (self._other_hooks if key[1] == OTHER else self._last_hooks).append(counts)
        return counts

    def _hook_of(self, key: Labels) -> HookCounts | None:
        found = self._hooks.get(key)
        return None if found is None else found()

    def hook_calls(self) -> list[tuple[Labels, int]]:
        """Return how often the hooks were called, by plugin, binding and phase."""
        references = list(self._hooks.items())  # in one step: the path of a reload adds to them meanwhile
        return [(labels, hook.calls) for labels, each in references if (hook := each()) is not None]

    def counted(self, family: Family) -> list[tuple[Labels, float]]:
        """Return what `count` has counted of a family."""
        return list(self._counts.get(family, {}).items())

    def use(self, *, bounds: tuple[float, ...], max_endpoints: int) -> None:
        """Follow the configuration; with other bounds all histograms of durations begin anew."""
        has_same_bounds = bounds == self.bounds
        self.bounds, self.max_endpoints = bounds, max_endpoints
        if has_same_bounds:  # as with almost every configuration; there may be tens of thousands of histograms
            return
        self.unrouted.use_bounds(bounds)
        for _, route in self.routes.items():
            route.use_bounds(bounds)
        for _, endpoint in self.endpoints.items():
            endpoint.use_bounds(bounds)

    # -- all of them

    def collect(self) -> Samples:
        """Return what this process has counted; may be called in a thread."""
        samples, of_plugins = self.collect_own(), Samples()
        for metric in () if self._registry is None else self._registry.collect():
            if metric.name not in CATALOGUE and metric.name not in self._local:
                _put(of_plugins, metric, self._merges.get(metric.name, "sum"))
        self.collect_local(of_plugins)
        fold_routes(of_plugins, {*self._other_routes.in_use()} - {*self.routes.in_use()}, self._route_fold)
        samples.series |= of_plugins.series
        return samples

    def collect_own(self) -> Samples:
        """Return what the gateway's own parts have counted."""
        samples = Samples()
        for family, counts in list(self._counts.items()):
            samples.put(family, list(counts.items()))
        hooks = self.hook_calls()
        samples.put(PLUGIN_CALLS, hooks)
        # The first failure is to be seen as an increase.
        for family in (PLUGIN_ERRORS, PLUGIN_TIMEOUTS, PLUGIN_QUARANTINES, PLUGIN_QUARANTINED):
            counted = self._counts.get(family, {})
            samples.put(family, [(labels, counted.get(labels, 0)) for labels, _ in hooks])
        counted = self._counts.get(PLUGIN_TASK_ERRORS, {})
        samples.put(PLUGIN_TASK_ERRORS, [(key, counted.get(key, 0)) for key in {labels[:2] for labels, _ in hooks}])
        self.http2_clients.put(samples, "client")
        self.http2_upstreams.put(samples, "upstream")
        for collector in self._collectors:
            collector(samples)
        return samples

    def collect_local(self, samples: Samples) -> None:
        """Add what plugins have counted in `local_counter`."""
        for counter in list(self._local.values()):
            samples.put(counter.family, counter.rows())

    def exposition(self) -> bytes:
        """Return every metric in the text format of Prometheus."""
        return render(self.collect(), PROMETHEUS)


class _Own:
    """Shows the gateway's own metrics, and local counters, in a registry of prometheus-client's."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def describe(self) -> Iterable[Metric]:
        """Claim no names: they are kept from plugins elsewhere."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield them in prometheus-client's form."""
        from prometheus_client.metrics_core import Metric  # noqa: PLC0415 - as above

        samples = self._metrics.collect_own()
        self._metrics.collect_local(samples)
        for series in samples:
            family = series.family
            metric = Metric(family.name, family.help, family.kind)
            for labels, value in series.values.items():
                named = dict(zip(family.labels, labels, strict=True))
                if not isinstance(value, Distribution):
                    metric.add_sample(f"{family.name}{SUFFIX.get(family.kind, '')}", named, float(value))
                    continue
                bounds = [*(str(bound) for bound in series.bounds), "+Inf"]
                for bound, number in zip(bounds, accumulate(value.counts), strict=True):
                    metric.add_sample(f"{family.name}_bucket", {**named, "le": bound}, float(number))
                metric.add_sample(f"{family.name}_count", named, float(sum(value.counts)))
                metric.add_sample(f"{family.name}_sum", named, value.sum)
            yield metric


def _put(samples: Samples, metric: Metric, merge: Merge) -> None:
    """Add a metric of prometheus-client's."""
    kind = _KINDS.get(metric.type, "gauge")
    names = next((tuple(name for name in each.labels if name != "le") for each in metric.samples), ())
    family = Family(metric.name, kind, metric.documentation.rstrip("."), names, merge)
    if kind == "histogram":
        bounds, rows = _distributions(metric, names)
        samples.put(family, rows, bounds)
        return
    shown = metric.name + SUFFIX.get(kind, "")
    samples.put(family, [(_values(names, each.labels), each.value) for each in metric.samples if each.name == shown])


def _values(names: Labels, labels: dict[str, str]) -> Labels:
    return tuple(labels[name] for name in names)


def _distributions(metric: Metric, names: Labels) -> tuple[tuple[float, ...], Iterable[tuple[Labels, Value]]]:
    """Return the bounds of a histogram, and its values with buckets that are not cumulated."""
    cumulated: dict[Labels, dict[float, float]] = {}
    sums: dict[Labels, float] = {}
    for each in metric.samples:
        key = _values(names, each.labels)
        if each.name.endswith("_bucket"):
            cumulated.setdefault(key, {})[float(each.labels["le"])] = each.value
        elif each.name.endswith("_sum"):
            sums[key] = each.value
    bounds: tuple[float, ...] = ()
    rows: list[tuple[Labels, Value]] = []
    for key, buckets in cumulated.items():
        ascending = sorted(buckets)
        bounds = tuple(ascending[:-1])
        rows.append(
            (key, Distribution(list(_differences([buckets[bound] for bound in ascending])), sums.get(key, 0.0)))
        )
    return bounds, rows


def _differences(numbers: Sequence[float]) -> Iterator[int]:
    before = 0.0
    for number in numbers:
        yield int(number - before)
        before = number
