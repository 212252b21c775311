from __future__ import annotations

import logging
from typing import Any

import pytest
from gateway_plugin_logger.sinks.stats import SinkStats
from gateway_plugin_sdk import Metrics


def test_losses_are_counted_one_by_one_and_logged_at_most_every_ten_seconds(
    clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = Metrics()
    stats = SinkStats("file:a", metrics, clock, logging.getLogger("test"))

    stats.dropped(1, "overflow", "too slow")
    for _ in range(5):
        stats.dropped(2, "overflow", "too slow")
    clock.advance(11)
    stats.dropped(1, "stop", lambda: "not in time")

    labels = {"sink": "file:a", "reason": "overflow"}
    assert metrics.registry.get_sample_value("gateway_logger_dropped_total", labels) == 11
    assert [record.getMessage() for record in caplog.records] == [
        "access log: 1 line lost for file:a: overflow: too slow",
        "access log: 10 lines lost for file:a: overflow: too slow",
        "access log: 1 line lost for file:a: stop: not in time",
    ]


def test_losses_that_were_not_told_of_yet_are_told_at_the_end(clock: Any, caplog: pytest.LogCaptureFixture) -> None:
    stats = SinkStats("file:a", Metrics(), clock, logging.getLogger("test"))
    stats.dropped(1, "write-error", "no space")
    stats.dropped(5, "write-error", "no space")

    stats.report()
    stats.report()

    assert [record.getMessage() for record in caplog.records] == [
        "access log: 1 line lost for file:a: write-error: no space",
        "access log: 5 lines lost for file:a: write-error: no space",
    ]


def test_what_a_sink_refuses_of_a_batch_is_lost_and_a_mere_warning_is_told(
    clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = Metrics()
    stats = SinkStats("otlp:a", metrics, clock, logging.getLogger("test"))

    stats.refused(0, "old schema")
    stats.refused(0, "old schema")
    clock.advance(11)
    stats.refused(2, "too old")

    labels = {"sink": "otlp:a", "reason": "rejected"}
    assert metrics.registry.get_sample_value("gateway_logger_dropped_total", labels) == 2
    assert [record.getMessage() for record in caplog.records] == [
        "access log: otlp:a took a batch and warns: old schema",
        "access log: 2 lines lost for otlp:a: rejected: too old",
    ]


def test_no_lines_are_no_loss(clock: Any, caplog: pytest.LogCaptureFixture) -> None:
    SinkStats("x", Metrics(), clock, logging.getLogger("test")).dropped(0, "stop")

    assert not caplog.records


def test_several_sinks_share_the_metrics(clock: Any) -> None:
    metrics = Metrics()
    for label in ("a", "b"):
        stats = SinkStats(label, metrics, clock, logging.getLogger("test"))
        stats.wrote(3)
        stats.retried()

    for label in ("a", "b"):
        assert metrics.registry.get_sample_value("gateway_logger_lines_total", {"sink": label}) == 3
        assert metrics.registry.get_sample_value("gateway_logger_retries_total", {"sink": label}) == 1


@pytest.mark.parametrize(("reason", "level"), [("write-error", "ERROR"), ("overflow", "WARNING")])
def test_what_this_machine_cannot_write_is_an_error(
    clock: Any, caplog: pytest.LogCaptureFixture, reason: str, level: str
) -> None:
    stats = SinkStats("file:a", Metrics(), clock, logging.getLogger("test"))

    stats.dropped(1, reason, "no space")

    assert [record.levelname for record in caplog.records] == [level]
