from __future__ import annotations

import os
import time

import pytest
from gateway_core.clock import ManualClock, SystemClock
from gateway_core.metrics.samples import Distribution, Samples
from gateway_core.process.process_metrics import ProcessMetrics, pss_of, put_tasks
from gateway_core.tasks import Supervised


def put(metrics: ProcessMetrics) -> Samples:
    samples = Samples()
    metrics.put(samples)
    return samples


def number(samples: Samples, name: str, *labels: str) -> float:
    value = samples.value(name, *labels)
    assert isinstance(value, int | float)
    return value


def test_time_memory_and_descriptors_of_this_process_are_shown() -> None:
    samples = put(ProcessMetrics("worker", SystemClock()))

    assert number(samples, "gateway_process_cpu_seconds", "worker") > 0
    assert number(samples, "gateway_process_memory_pss_bytes", "worker") > 1_000_000
    assert number(samples, "gateway_process_open_descriptors", "worker") >= 3
    assert number(samples, "gateway_process_descriptor_limit", "worker") >= 3
    assert abs(number(samples, "gateway_process_start_timestamp_seconds", "worker") - time.time()) < 60  # noqa: TID251


def test_a_program_that_goes_on_in_a_process_counts_its_own_time() -> None:
    samples = put(ProcessMetrics("supervisor", SystemClock(), goes_on=True))

    times = os.times()
    assert number(samples, "gateway_process_cpu_seconds", "supervisor") < times.user + times.system


def test_how_late_the_event_loop_is_is_counted_once_it_is_watched() -> None:
    metrics = ProcessMetrics("worker", SystemClock())
    assert "gateway_event_loop_lag_seconds" not in put(metrics).series

    for seconds in (0.0005, 0.002, 30):
        metrics.note_lag(seconds)

    lag = put(metrics).value("gateway_event_loop_lag_seconds", "worker")
    assert isinstance(lag, Distribution)
    assert (lag.counts[0], lag.counts[1], lag.counts[-1], lag.sum) == (1, 1, 1, 30.0025)


def test_tasks_that_never_failed_are_shown_with_0_failures() -> None:
    tasks, samples = Supervised(), Samples()
    tasks.note_start("watch")
    tasks.note_start("watch")
    tasks.note_start("ended")
    tasks.note_end("ended")
    tasks.note_failure("watch", ValueError("x"))

    put_tasks(samples, tasks)

    assert (number(samples, "gateway_tasks_running", "watch"), number(samples, "gateway_tasks_running", "ended")) == (
        2,
        0,
    )
    assert number(samples, "gateway_task_failures", "watch") == 1
    assert number(samples, "gateway_task_failures", "ended") == 0
    assert number(samples, "gateway_tasks_failing") == 1


def test_of_very_many_tasks_the_later_ones_are_one() -> None:
    tasks, samples = Supervised(), Samples()
    for index in range(150):
        tasks.note_start(f"discovery of {index}")

    put_tasks(samples, tasks)

    assert len(samples.series["gateway_tasks_running"].values) == 101
    assert number(samples, "gateway_tasks_running", "_other") == 50


def test_the_proportional_set_size_is_in_bytes() -> None:
    assert pss_of("55d0-7ffd ---p [rollup]\nRss:  900 kB\nPss:   42 kB\nPss_Dirty: 7 kB\n") == 42 * 1024
    with pytest.raises(ValueError, match="no line Pss"):
        pss_of("Rss: 900 kB\n")


def test_the_start_is_that_of_the_wall_clock() -> None:
    clock = ManualClock()

    assert (
        put(ProcessMetrics("watcher", clock)).value("gateway_process_start_timestamp_seconds", "watcher")
        == clock.wall()
    )
