from __future__ import annotations

import pytest
from gateway_core.metrics import Metrics
from gateway_core.metrics.catalogue import OTHER
from gateway_core.metrics.endpoint_fold import EndpointFold
from gateway_core.metrics.route_fold import fold_routes
from gateway_core.metrics.samples import Distribution, Family, Merge, Samples

HITS = Family("hits", "counter", "Hits", ("binding", "route", "reason"))


def counted(**routes: float) -> Samples:
    samples = Samples()
    samples.put(HITS, [(("auth", route, "expired"), number) for route, number in routes.items()])
    return samples


def test_routes_beyond_the_limit_are_one_in_metrics_of_plugins() -> None:
    samples = counted(a=1, b=2, c=3)

    fold_routes(samples, {"b", "c"}, EndpointFold())

    assert samples.series["hits"].values == {("auth", "a", "expired"): 1, ("auth", OTHER, "expired"): 5}


def test_a_route_that_comes_within_the_limit_leaves_what_it_has_shared() -> None:
    fold = EndpointFold()
    fold_routes(counted(a=1, b=2), {"b"}, fold)
    samples = counted(a=1, b=5)

    fold_routes(samples, set(), fold)

    shown = {labels[1]: value for labels, value in samples.series["hits"].values.items()}
    assert shown == {"a": 1, "b": 3, OTHER: 2}


@pytest.mark.parametrize(("merge", "expected"), [("sum", 5), ("max", 3), ("min", 2)])
def test_gauges_are_merged_as_those_of_processes_are(merge: Merge, expected: float) -> None:
    samples = Samples()
    samples.put(Family("open", "gauge", "Open", ("route",), merge), [(("b",), 2), (("c",), 3)])

    fold_routes(samples, {"b", "c"}, EndpointFold())

    assert samples.series["open"].values == {(OTHER,): expected}


def test_histograms_are_added() -> None:
    samples = Samples()
    took = Family("took", "histogram", "Took", ("route",))
    samples.put(took, [(("b",), Distribution([1, 0], 0.5)), (("c",), Distribution([0, 1], 2.0))], (1.0,))

    fold_routes(samples, {"b", "c"}, EndpointFold())

    assert samples.value("took", OTHER) == Distribution([1, 1], 2.5)


def test_metrics_fold_the_routes_that_are_acquired_as_others() -> None:
    metrics = Metrics()
    hits = metrics.counter("hits", "Hits.", ["route"])
    metrics.acquire_route("a", "a")
    for route in ("b", "c"):
        metrics.acquire_route(route, OTHER)
    for route in ("a", "b", "c", "gone"):
        hits.labels(route).inc()

    values = metrics.collect().series["hits"].values

    assert values == {("a",): 1, ("gone",): 1, (OTHER,): 2}
