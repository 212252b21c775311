from __future__ import annotations

from collections.abc import Hashable

import pytest
from gateway_core.metrics import Metrics
from gateway_core.metrics.catalogue import ENDPOINT_HEALTHY, OTHER, UPSTREAM_PENDING
from gateway_core.metrics.ledger import InForce, Ledger, counters, merge
from gateway_core.metrics.samples import Distribution, Family, Labels, Merge, Samples, Value
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

HITS = Family("hits", "counter", "Hits")
TOOK = Family("took_seconds", "histogram", "Time")
BY_ROUTE = Family("by_route", "counter", "Hits", ("route",))
BY_ENDPOINT = Family("by_endpoint", "counter", "Hits", ("upstream", "endpoint"))


def gauge(merge: Merge) -> Family:
    return Family(f"gauge_{merge}", "gauge", "A gauge", merge=merge)


def samples(*rows: tuple[Family, Labels, Value]) -> Samples:
    found = Samples()
    for family, labels, value in rows:
        found.put(family, [(labels, value)], (0.1, 1.0) if family.kind == "histogram" else ())
    return found


def shown(ledger: Ledger, fresh: list[Hashable], in_force: InForce | None = None) -> dict[Labels, Value]:
    return {
        (series.family.name, *labels): value
        for series in ledger.total(fresh, in_force)
        for labels, value in series.values.items()
    }


# -- adding up


def test_counters_and_buckets_of_all_processes_are_added() -> None:
    first = samples((HITS, (), 3), (TOOK, (), Distribution([1, 0, 2], 4.0)))
    second = samples((HITS, (), 4), (TOOK, (), Distribution([0, 5, 1], 0.5)))

    merged = merge([first, second])

    assert merged.value("hits") == 7
    assert merged.value("took_seconds") == Distribution([1, 5, 3], 4.5)
    assert first.value("hits") == 3


@pytest.mark.parametrize(("rule", "expected"), [("sum", 9), ("max", 5), ("min", 1), ("latest", 3)])
def test_a_gauge_is_merged_by_its_own_rule(rule: Merge, expected: float) -> None:
    parts = [samples((gauge(rule), (), value)) for value in (1, 5, 3)]

    assert merge(parts).value(f"gauge_{rule}") == expected


def test_labels_that_only_one_process_has_are_kept() -> None:
    merged = merge([samples((BY_ROUTE, ("a",), 1)), samples((BY_ROUTE, ("b",), 5))])

    assert (merged.value("by_route", "a"), merged.value("by_route", "b")) == (1, 5)


def test_histograms_with_other_buckets_are_not_mixed() -> None:
    old, new = samples((TOOK, (), Distribution([1, 2, 3], 9.0))), Samples()
    new.put(TOOK, [((), Distribution([4, 5], 1.0))], (0.5,))

    assert merge([old, new]).value("took_seconds") == Distribution([4, 5], 1.0)


@pytest.mark.parametrize("position", [0, 1, 2])
@pytest.mark.parametrize("name", ["hits", "took"])
def test_a_process_where_a_plugin_has_counted_nothing_yet_takes_nothing_from_others(name: str, position: int) -> None:
    counted, idle = Metrics(), Metrics()
    for each in (counted, idle):
        each.counter("hits", "Hits.", ["kind"])
        each.histogram("took", "Took.", ["kind"], buckets=(0.1, 1.0))
    counted.counter("hits", "Hits.", ["kind"]).labels("a").inc(3)
    counted.histogram("took", "Took.", ["kind"], buckets=(0.1, 1.0)).labels("a").observe(0.5)
    parts = [counted.collect(), counted.collect()]
    parts.insert(position, idle.collect())

    merged = merge(Samples.load(each.dump()) for each in parts)

    assert merged.value(name, "a") == {"hits": 6, "took": Distribution([0, 2, 0], 1.0)}[name]
    assert merged.series[name].family.labels == ("kind",)


def test_of_a_process_that_is_gone_counters_stay_and_gauges_go() -> None:
    kept = counters(samples((HITS, (), 3), (gauge("sum"), (), 2)))

    assert list(kept.series) == ["hits"]


# -- processes that come and go


def test_a_report_replaces_the_one_before_it() -> None:
    ledger = Ledger()
    ledger.open("a")
    ledger.report("a", samples((HITS, (), 3)))
    ledger.report("a", samples((HITS, (), 5)))

    assert shown(ledger, ["a"]) == {("hits",): 5}


def test_a_process_that_has_ended_counts_once_whatever_comes_later() -> None:
    ledger = Ledger()
    ledger.open("a")
    ledger.report("a", samples((HITS, (), 3)))

    ledger.end("a")
    ledger.end("a")
    ledger.report("a", samples((HITS, (), 3)))

    assert shown(ledger, []) == {("hits",): 3}


def test_a_process_that_does_not_respond_keeps_its_counters_and_loses_its_gauges() -> None:
    ledger = Ledger()
    for name in ("a", "b"):
        ledger.open(name)
        ledger.report(name, samples((HITS, (), 3), (gauge("sum"), (), 1)))

    assert shown(ledger, ["a"]) == {("hits",): 6, ("gauge_sum",): 1}


def test_a_successor_goes_on_where_the_program_before_it_was() -> None:
    ledger = Ledger()
    for name, hits in (("gone", 1), ("program", 2), ("worker", 4)):
        ledger.open(name)
        ledger.report(name, samples((HITS, (), hits)))
    ledger.end("gone")

    successor = Ledger(Samples.load(ledger.lasting(but=["worker"]).dump()))
    successor.open("adopted", Samples.load(ledger.last_report("worker").dump()))

    assert shown(successor, []) == {("hits",): 7}
    successor.report("adopted", samples((HITS, (), 5)))
    assert shown(successor, ["adopted"]) == {("hits",): 8}


# -- what is in force


def upstream(endpoints: dict[str, float], counted: dict[str, float]) -> Samples:
    return samples(
        (UPSTREAM_PENDING, ("u",), 0),
        *((ENDPOINT_HEALTHY, ("u", name), health) for name, health in endpoints.items()),
        *((BY_ENDPOINT, ("u", name), number) for name, number in counted.items()),
    )


def endpoints_shown(ledger: Ledger, fresh: list[Hashable]) -> dict[str, Value]:
    found = ledger.total(fresh).series["by_endpoint"].values
    return {labels[1]: value for labels, value in found.items()}


def test_routes_that_are_not_in_force_are_not_shown() -> None:
    ledger = Ledger()
    ledger.open("a")
    ledger.report("a", samples(*((BY_ROUTE, (name,), 1) for name in ("", "kept", "removed", OTHER))))

    found = shown(ledger, ["a"], InForce(routes={"kept"}))

    assert sorted(found) == [("by_route", ""), ("by_route", OTHER), ("by_route", "kept")]


def test_an_endpoint_that_comes_back_goes_on_where_it_was() -> None:
    ledger = Ledger()
    for name in ("gone", "a"):
        ledger.open(name)
        ledger.report(name, upstream({"e": 1}, {"e": 10}))
    ledger.end("gone")
    assert endpoints_shown(ledger, ["a"]) == {"e": 20}

    ledger.report("a", upstream({}, {"e": 10}))
    assert endpoints_shown(ledger, ["a"]) == {}
    ledger.report("a", upstream({"e": 1}, {"e": 11}))

    assert endpoints_shown(ledger, ["a"]) == {"e": 21}


def test_what_no_process_knows_any_more_begins_at_0_when_it_comes_back() -> None:
    ledger = Ledger()
    for name in ("gone", "a"):
        ledger.open(name)
        ledger.report(name, upstream({"e": 1}, {"e": 10}))
    ledger.end("gone")

    ledger.report("a", upstream({}, {}))
    assert endpoints_shown(ledger, ["a"]) == {}
    ledger.report("a", upstream({"e": 1}, {"e": 1}))

    assert endpoints_shown(ledger, ["a"]) == {"e": 1}


def test_nothing_is_forgotten_while_a_process_does_not_respond() -> None:
    ledger = Ledger()
    for name in ("gone", "silent", "a"):
        ledger.open(name)
        ledger.report(name, upstream({"e": 1}, {"e": 10}))
    ledger.end("gone")

    ledger.report("a", upstream({}, {}))
    assert endpoints_shown(ledger, ["a"]) == {}
    for name in ("silent", "a"):
        ledger.report(name, upstream({"e": 1}, {"e": 10}))

    assert endpoints_shown(ledger, ["a", "silent"]) == {"e": 30}


# -- the whole story


class Gateway(RuleBasedStateMachine):
    """Workers that count, are killed, drain, do not respond, and are taken over by a new program.

    What is shown of a counter never goes back, and is never more than what was counted.
    """

    workers = Bundle("workers")

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger()
        self.counted: dict[int, int] = {}  # of each worker that ever was
        self.living: set[int] = set()
        self.silent: set[int] = set()
        self.shown = 0.0
        self.told: dict[int, int] = {}

    def key(self, worker: int) -> Hashable:
        return (id(self.ledger), worker)

    @initialize(target=workers, number=st.integers(1, 4))
    def start(self, number: int) -> object:
        return multiple(*(self.launch() for _ in range(number)))

    @rule(target=workers)
    def launch(self) -> int:
        worker = len(self.counted)
        self.counted[worker] = self.told[worker] = 0
        self.living.add(worker)
        self.ledger.open(self.key(worker))
        return worker

    @rule(worker=workers, number=st.integers(0, 50))
    def serve(self, worker: int, number: int) -> None:
        if worker in self.living:
            self.counted[worker] += number

    @rule(worker=workers)
    def stick(self, worker: int) -> None:
        self.silent ^= {worker}

    def tell(self, worker: int) -> None:
        self.told[worker] = self.counted[worker]
        self.ledger.report(self.key(worker), samples((HITS, (), self.counted[worker]), (gauge("sum"), (), 1)))

    @rule()
    def scrape(self) -> None:
        fresh = self.living - self.silent
        for worker in fresh:
            self.tell(worker)
        total = self.ledger.total([self.key(worker) for worker in fresh])
        hits = total.value("hits") or 0.0
        assert isinstance(hits, int | float)
        assert hits >= self.shown
        assert hits == sum(self.told.values())
        assert (total.value("gauge_sum") or 0) == len(fresh)
        self.shown = hits

    @rule(worker=consumes(workers), times=st.integers(1, 3))
    def kill(self, worker: int, times: int) -> None:
        self.living.discard(worker)
        for _ in range(times):
            self.ledger.end(self.key(worker))

    @rule(worker=consumes(workers))
    def drain(self, worker: int) -> None:
        if worker in self.living and worker not in self.silent:
            self.tell(worker)
        self.kill(worker, 1)

    @rule(worker=workers)
    def say_something_late(self, worker: int) -> None:
        if worker not in self.living:
            self.ledger.report(self.key(worker), samples((HITS, (), self.counted[worker])))

    @rule()
    def take_over(self) -> None:
        before, old = self.ledger, {worker: self.key(worker) for worker in self.living}
        self.ledger = Ledger(Samples.load(before.lasting(but=list(old.values())).dump()))
        for worker, key in old.items():
            self.ledger.open(self.key(worker), Samples.load(before.last_report(key).dump()))

    @invariant()
    def nothing_counts_twice(self) -> None:
        total = self.ledger.total([]).value("hits") or 0.0
        assert isinstance(total, int | float)
        assert self.shown <= total <= sum(self.counted.values())


TestGateway = Gateway.TestCase
