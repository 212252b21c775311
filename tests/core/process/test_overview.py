from __future__ import annotations

from gateway_core.metrics import Metrics
from gateway_core.process.overview import collect, exposition, lasting, merge


def worker(requests: int, open_now: int) -> Metrics:
    metrics = Metrics()
    counter = metrics.counter("requests_total", "Requests.", ["route"])
    counter.labels("a").inc(requests)
    metrics.gauge("open_now", "Open.").set(open_now)
    metrics.histogram("seconds", "Seconds.", buckets=(0.1, 1.0)).observe(0.5)
    return metrics


def values(samples: object) -> dict[str, float]:
    text = exposition(samples).decode()  # type: ignore[arg-type]  # as JSON brings it
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_samples_of_the_same_labels_are_added() -> None:
    found = values(merge([collect(worker(3, 2).registry), collect(worker(4, 1).registry)]))

    assert found['requests_total{route="a"}'] == 7
    assert found["open_now"] == 3
    assert found["seconds_count"] == 2
    assert found["seconds_sum"] == 1.0
    assert found['seconds_bucket{le="0.1"}'] == 0
    assert found['seconds_bucket{le="1.0"}'] == 2
    assert found['seconds_bucket{le="+Inf"}'] == 2


def test_labels_that_only_one_has_are_kept() -> None:
    one, other = worker(1, 0), Metrics()
    other.counter("requests_total", "Requests.", ["route"]).labels("b").inc(5)

    found = values(merge([collect(one.registry), collect(other.registry)]))

    assert (found['requests_total{route="a"}'], found['requests_total{route="b"}']) == (1, 5)


def test_of_a_worker_that_is_gone_counts_stay_and_gauges_go() -> None:
    gone = lasting(collect(worker(3, 2).registry))

    found = values(merge([gone, collect(worker(1, 1).registry)]))

    assert found['requests_total{route="a"}'] == 4
    assert found["open_now"] == 1


def test_the_text_is_what_prometheus_client_writes() -> None:
    metrics = worker(3, 2)

    merged = exposition(merge([collect(metrics.registry)])).decode().splitlines()

    own = metrics.exposition().decode().splitlines()
    assert set(merged) == {line for line in own if "_created" not in line}
