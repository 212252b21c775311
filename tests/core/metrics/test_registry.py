from __future__ import annotations

import pytest
from gateway_core.metrics import MetricError, Metrics
from gateway_core.metrics.catalogue import OTHER, PLUGIN_ERRORS
from gateway_core.metrics.samples import Distribution
from prometheus_client import CollectorRegistry, Counter


def test_a_metric_that_exists_is_returned() -> None:
    metrics = Metrics()

    first = metrics.counter("hits", "Hits.", ["route"])

    assert metrics.counter("hits", "Hits.", ["route"]) is first
    assert metrics.gauge("open", "Open.") is metrics.gauge("open", "Open.")
    assert metrics.histogram("took", "Took.") is metrics.histogram("took", "Took.")


def test_a_name_has_one_type_and_one_set_of_labels() -> None:
    metrics = Metrics()
    metrics.counter("hits", "Hits.", ["route"])

    with pytest.raises(MetricError, match=r"'hits' exists already as a Counter with labels \('route',\)"):
        metrics.gauge("hits", "Hits.", ["route"])
    with pytest.raises(MetricError, match="'hits'"):
        metrics.counter("hits", "Hits.", ["status"])


def test_two_gateways_in_one_process_count_apart() -> None:
    first, second = Metrics(), Metrics()

    first.counter("hits", "Hits.").inc()

    assert b"hits_total 1.0" in first.exposition()
    assert b"hits" not in second.exposition()


def test_a_registry_that_is_given_is_used() -> None:
    registry = CollectorRegistry()
    Counter("elsewhere", "Made by another library.", registry=registry).inc(2)

    assert b"elsewhere_total 2.0" in Metrics(registry).exposition()


def test_durations_have_the_buckets_of_opentelemetry_unless_others_are_given() -> None:
    metrics = Metrics()
    metrics.histogram("took", "Took.").observe(0.03)
    metrics.histogram("sized", "Sized.", buckets=(1, 10)).observe(5)

    text = metrics.exposition().decode()

    assert 'took_bucket{le="0.025"} 0.0' in text
    assert 'took_bucket{le="0.05"} 1.0' in text
    assert 'sized_bucket{le="10.0"} 1.0' in text


def test_the_names_of_the_gateways_own_metrics_are_not_for_plugins() -> None:
    metrics = Metrics()

    with pytest.raises(MetricError, match="'gateway_requests_total' is one of the gateway's own: give it another name"):
        metrics.counter("gateway_requests_total", "Mine.")


def test_metrics_of_plugins_are_collected_as_they_are() -> None:
    metrics = Metrics()
    metrics.counter("hits", "Hits.", ["route"]).labels("a").inc(3)
    metrics.gauge("free", "Free.", merge="min").set(2)
    metrics.histogram("took", "Took.", ["route"], buckets=(0.1, 1.0)).labels("a").observe(0.5)

    samples = metrics.collect()

    assert samples.value("hits", "a") == 3
    assert samples.value("free") == 2
    assert samples.series["free"].family.merge == "min"
    assert samples.value("took", "a") == Distribution([0, 1, 0], 0.5)
    assert samples.series["took"].bounds == (0.1, 1.0)


def test_local_counters_are_collected_and_rendered_as_other_counters_are() -> None:
    metrics = Metrics()
    hits = metrics.local_counter("hits_total", "Hits.", ["route"])
    hits.labels("a").inc()
    hits.labels("a").inc(2)
    metrics.counter("seen", "Seen.", ["route"]).labels("a").inc()

    samples = metrics.collect()

    assert metrics.local_counter("hits", "Hits.", ["route"]) is hits
    assert samples.value("hits", "a") == 3
    assert b'hits_total{route="a"} 3.0' in metrics.exposition()
    assert metrics.registry.get_sample_value("hits_total", {"route": "a"}) == 3
    assert metrics.collect().value("hits", "a") == 3, "what the registry shows as well counts once"


def test_local_counters_of_routes_beyond_the_limit_are_one() -> None:
    metrics = Metrics()
    hits = metrics.local_counter("hits", "Hits.", ["route"])
    for route in ("a", "b", "c"):
        hits.labels(route).inc()
    metrics.acquire_route("a", "a")
    metrics.acquire_route("b", OTHER)
    metrics.acquire_route("c", OTHER)

    assert metrics.collect().series["hits"].values == {("a",): 1, (OTHER,): 2}


def test_the_gateways_own_metrics_can_be_read_in_the_registry() -> None:
    metrics = Metrics()
    metrics.count(PLUGIN_ERRORS, "p", "b", "gateway_request")
    metrics.hook("p", "b", "gateway_request").calls += 2

    labels = {"plugin": "p", "binding": "b", "phase": "gateway_request"}
    assert metrics.registry.get_sample_value("gateway_plugin_errors_total", labels) == 1
    assert metrics.registry.get_sample_value("gateway_plugin_calls_total", labels) == 2


def test_errors_of_a_hook_begin_at_0() -> None:
    metrics = Metrics()
    metrics.hook("p", "b", "gateway_request")

    assert metrics.collect().value("gateway_plugin_errors", "p", "b", "gateway_request") == 0
    assert metrics.collect().value("gateway_plugin_timeouts", "p", "b", "gateway_request") == 0


def test_the_endpoints_with_series_of_their_own_are_the_same_in_whatever_order_they_were_found() -> None:
    found = []
    for order in (("u", "v"), ("v", "u")):
        metrics = Metrics()
        metrics.use(bounds=(1.0,), max_endpoints=3)
        for upstream in order:
            for endpoint in ("b", "a"):
                metrics.endpoints.acquire((upstream, endpoint))
        found.append(metrics.named_endpoints().endpoints)

    assert found == [{("u", "a"), ("u", "b"), ("v", "a")}] * 2


def test_other_buckets_hold_for_all_counts() -> None:
    metrics = Metrics()
    route, endpoint = metrics.routes.acquire("r"), metrics.endpoints.acquire(("u", "e"))

    metrics.use(bounds=(1.0, 2.0), max_endpoints=10)

    assert route.bounds == endpoint.bounds == metrics.unrouted.bounds == (1.0, 2.0)
    assert metrics.routes.acquire("later").bounds == (1.0, 2.0)


def test_hooks_of_bindings_that_are_gone_leave_room_for_others() -> None:
    metrics = Metrics()
    in_use = metrics.hook("p", "first", "gateway_request")
    in_use.calls = 7

    for number in range(5000):
        metrics.hook("p", f"b{number}", "gateway_request")

    samples = metrics.collect().series["gateway_plugin_calls"].values
    assert samples["p", "first", "gateway_request"] == 7
    assert ("p", "b4999", "gateway_request") in samples
    assert ("p", OTHER, "gateway_request") not in samples
    assert len(samples) < 300


def test_a_hook_that_comes_back_soon_goes_on_where_it_was() -> None:
    metrics = Metrics()
    metrics.hook("p", "b", "gateway_request").calls = 3

    assert metrics.hook("p", "b", "gateway_request").calls == 3
