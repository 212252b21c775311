from __future__ import annotations

import sys
from bisect import bisect_left
from threading import Event, Thread
from typing import Any

import pytest
from gateway_core.metrics.catalogue import DURATION_BOUNDS, OTHER
from gateway_core.metrics.counts import (
    CLIENT,
    GATEWAY,
    KEPT,
    MOST_STATUSES,
    UPSTREAM,
    Counts,
    EndpointCounts,
    RouteCounts,
    class_of,
    used,
)
from gateway_core.metrics.samples import Distribution
from hypothesis import given
from hypothesis import strategies as st


def test_requests_are_told_apart_by_status_and_origin() -> None:
    counts = RouteCounts()

    for outcome in (200 * 4 + UPSTREAM, 200 * 4 + UPSTREAM, 200 * 4 + CLIENT, 503 * 4 + GATEWAY):
        counts.add(outcome, 0.01, 5)

    assert sorted(counts.requests()) == [("200", "client", 1), ("200", "upstream", 2), ("503", "gateway", 1)]
    assert counts.bytes_out == 20


@given(st.lists(st.floats(0, 100), min_size=1, max_size=300))
def test_a_duration_falls_into_the_first_bucket_that_it_is_no_longer_than(durations: list[float]) -> None:
    counts = RouteCounts()

    for seconds in durations:
        counts.add(200 * 4, seconds, 0)

    found = counts.durations()["2xx"]
    expected = [0] * (len(DURATION_BOUNDS) + 1)
    for seconds in durations:
        expected[bisect_left(DURATION_BOUNDS, seconds)] += 1
    assert found.counts == expected
    assert found.sum == pytest.approx(sum(durations))


def test_durations_of_one_class_are_one_histogram() -> None:
    counts = RouteCounts((1.0,))

    for status in (200, 204, 404):
        counts.add(status * 4, 0.5, 0)

    assert counts.durations() == {"2xx": Distribution([2, 0], 1.0), "4xx": Distribution([1, 0], 0.5)}


def test_an_example_of_a_bucket_lasts_a_second_and_a_slower_request_is_one_at_once() -> None:
    counts = RouteCounts((0.1, 1.0))
    assert not counts.has_exemplar(200, 0.05, now=10.0)

    counts.note_exemplar(200, 0.05, b"a" * 32, at=1.0, now=10.0)

    assert counts.has_exemplar(200, 0.1, now=10.9)
    assert not counts.has_exemplar(200, 0.1, now=11.0)
    assert not counts.has_exemplar(200, 0.11, now=10.5)
    assert not counts.has_exemplar(201, 0.05, now=10.5)
    counts.note_exemplar(200, 5.0, b"b" * 32, at=2.0, now=10.5)
    assert not counts.has_exemplar(200, 6.0, now=10.6), "beyond the last bound each is one"


def test_statuses_beyond_the_limit_are_one() -> None:
    counts, endpoint = RouteCounts(), EndpointCounts()

    for status in range(200, 200 + MOST_STATUSES + 100):
        counts.add(status * 4, 0.1, 0)
        endpoint.respond(status, 0.1)

    statuses = {status: number for status, _, number in counts.requests()}
    assert len(statuses) == MOST_STATUSES + 1
    assert statuses[OTHER] == 100
    assert dict(endpoint.statuses())[OTHER] == 100


@pytest.mark.parametrize("kind", [RouteCounts, EndpointCounts])
def test_what_a_thread_reads_meanwhile_loses_nothing_and_counts_nothing_twice(kind: type[Any]) -> None:
    counts = kind()
    count = counts.respond if kind is EndpointCounts else lambda status, seconds: counts.add(status * 4, seconds, 0)
    is_over, seen, failures = Event(), [0], []

    def read() -> None:
        try:
            while not is_over.is_set():
                list(counts.distributions())
                seen.append(sum(number for _, number in counts.outcomes()))
        except Exception as error:  # noqa: BLE001 - raised below
            failures.append(error)

    interval, reader = sys.getswitchinterval(), Thread(target=read)
    sys.setswitchinterval(1e-6)
    try:
        reader.start()
        for number in range(100_000):
            count(200 + number // 1_000, 0.01)
    finally:
        is_over.set()
        reader.join()
        sys.setswitchinterval(interval)

    assert failures == []
    assert seen == sorted(seen)
    assert sum(number for _, number in counts.outcomes()) == 100_000
    assert sum(sum(each.counts) for _, each in counts.distributions()) == 100_000


def test_other_bounds_begin_new_histograms_and_keep_the_numbers() -> None:
    counts = RouteCounts((1.0,))
    counts.add(200 * 4, 0.5, 0)

    counts.use_bounds((0.1, 1.0))
    counts.add(200 * 4, 0.5, 0)
    counts.use_bounds((0.1, 1.0))

    assert list(counts.requests()) == [("200", "upstream", 2)]
    assert counts.durations() == {"2xx": Distribution([0, 1, 0], 0.5)}


def test_a_status_that_is_none_has_no_class() -> None:
    assert [class_of(status) for status in (101, 200, 599, 0, 999)] == ["1xx", "2xx", "5xx", OTHER, OTHER]


def test_what_comes_back_goes_on_where_it_was() -> None:
    counts = Counts(EndpointCounts)
    counts.acquire("a").fail("upstream.reset")

    counts.release("a")

    assert counts.get("a") is None
    assert counts.acquire("a").errors == {"upstream.reset": 1}


def test_what_is_in_use_twice_is_one_and_is_kept_until_both_have_released_it() -> None:
    counts = Counts(EndpointCounts)

    first, second = counts.acquire("a"), counts.acquire("a")
    counts.release("a")

    assert first is second
    assert counts.get("a") is first
    assert len(counts) == 1


def test_of_what_is_gone_only_the_last_ones_are_kept() -> None:
    counts = Counts(EndpointCounts)
    used = counts.acquire("used")
    for number in range(KEPT + 10):
        counts.acquire(number).ejections = 1
        counts.release(number)

    assert len(counts.items()) == KEPT + 1
    assert counts.acquire(0).ejections == 0
    assert counts.acquire(KEPT + 9).ejections == 1
    assert counts.acquire("used") is used


def test_used_are_those_that_ever_counted_a_request() -> None:
    idle, busy, settled = RouteCounts(), RouteCounts(), RouteCounts()
    busy.add(200 << 2, 0.1, 0)
    settled.add(500 << 2, 0.1, 0)
    settled.cells()

    assert used([("idle", idle), ("busy", busy), ("settled", settled)]) == [("busy", busy), ("settled", settled)]
