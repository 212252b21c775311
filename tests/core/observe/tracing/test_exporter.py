"""Spans on their way to a collector on a real socket, which may be away, slow or full."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web
from gateway_core.clock import ManualClock, SystemClock
from gateway_core.config.models.tracing import TracingConfig
from gateway_core.metrics import Metrics
from gateway_core.observe.tracing.environment import Defaults
from gateway_core.observe.tracing.exporter import Exporter, retry_after
from gateway_core.observe.tracing.otlp import json_encoding
from gateway_core.observe.tracing.otlp_binary import protobuf_encoding
from gateway_core.observe.tracing.settings import exporter_settings
from gateway_core.observe.tracing.spans import HookFacts, RawSpan, SpanBatch
from gateway_core.testing import eventually

from tests.collector import Collector

UNSET = Defaults()


def batch(number: int = 1, spans: int = 1) -> SpanBatch:
    facts = HookFacts("p", "b", "gateway_request", None)
    made = [RawSpan(b"%08x%08x" % (number, index + 1), b"", 1.0, 1.5, facts) for index in range(spans)]
    caller = ((b"traceparent", b"traceparent: 00-%b-%b-01" % (b"e" * 32, b"f" * 16)),)
    return SpanBatch(b"%032x" % number, 1, "a=1", made, caller=caller, formats=("w3c",))


def exporter(
    collector: Collector, metrics: Metrics, protocol: str = "http/json", variables: Defaults = UNSET, **queue: Any
) -> Exporter:
    config = TracingConfig.model_validate(
        {"otlp": {"url": collector.url, "protocol": protocol}, "queue": {"delay": "10ms", **queue}}
    )
    encode = protobuf_encoding if protocol == "http/protobuf" else json_encoding
    encoding = encode({"service.name": "edge"}, "1")
    return Exporter(exporter_settings(config, variables), encoding, SystemClock(), metrics)


def count(metrics: Metrics, name: str, *labels: str) -> Any:
    return metrics.collect_own().value(name, *labels) or 0


@pytest.mark.parametrize("protocol", ["http/json", "http/protobuf"])
async def test_both_forms_say_the_same(collector: Collector, protocol: str) -> None:
    sender = exporter(collector, Metrics(), protocol)
    sender.start()

    sender.put(batch(7, 2))
    await sender.aclose()

    first, second = collector.spans
    assert (first.trace_id, first.span_id, first.parent_id) == (f"{7:032x}", "0000000700000001", "")
    assert (first.name, first.kind, first.state, first.flags) == ("b request", "internal", "a=1", 0x101)
    offset = SystemClock().wall() - SystemClock().monotonic()
    assert first.ended - first.started == 500_000_000
    assert first.started / 1e9 == pytest.approx(offset + 1.0, abs=60)
    assert first.links == (("e" * 32, "f" * 16),)
    assert second.links == ()
    assert first.resource == {"service.name": "edge"}
    assert collector.requests[0][0]["Content-Encoding"] == "gzip"


async def test_what_is_too_much_is_dropped_and_counted(collector: Collector) -> None:
    metrics = Metrics()
    sender = exporter(collector, metrics, max_spans=3)
    for number in range(5):
        sender.put(batch(number + 1))
    sender.start()
    await sender.aclose()

    assert [each.trace_id for each in collector.spans] == [f"{number:032x}" for number in (1, 2, 3)]
    assert count(metrics, "gateway_trace_spans_lost", "overflow") == 2
    assert count(metrics, "gateway_trace_spans_exported") == 3


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_a_batch_is_sent_again_when_the_collector_asks_for_it_later(collector: Collector, status: int) -> None:
    metrics = Metrics()
    collector.replies.append(lambda: web.Response(status=status, headers={"Retry-After": "0"}))
    sender = exporter(collector, metrics)
    sender.start()
    sender.put(batch())

    await asyncio.to_thread(collector.wait_for, 1)
    await sender.aclose()

    assert len(collector.requests) == 2
    assert count(metrics, "gateway_trace_export_failures") == 1
    assert count(metrics, "gateway_trace_spans_exported") == 1


async def test_a_collector_that_was_away_gets_what_waited(collector: Collector) -> None:
    metrics = Metrics()
    collector.stop()
    sender = exporter(collector, metrics)
    sender.start()
    sender.put(batch())
    await asyncio.to_thread(eventually, lambda: count(metrics, "gateway_trace_export_failures"))

    await asyncio.to_thread(collector.start)
    await asyncio.to_thread(collector.wait_for, 1)
    await sender.aclose()

    assert count(metrics, "gateway_trace_spans_exported") == 1


@pytest.mark.parametrize("status", [302, 400, 401, 413, 500])
async def test_a_batch_that_is_refused_is_lost_and_counted_and_the_next_one_goes_on(
    collector: Collector, status: int
) -> None:
    metrics = Metrics()
    collector.replies.append(lambda: web.Response(status=status, headers={"Location": "/elsewhere"}))
    sender = exporter(collector, metrics, batch_spans=1)
    sender.start()
    sender.put(batch(1))
    sender.put(batch(2))
    await sender.aclose()

    assert [each.trace_id for each in collector.spans] == [f"{2:032x}"]
    assert count(metrics, "gateway_trace_spans_lost", "rejected") == 1


async def test_a_batch_is_given_up_after_the_time_that_a_variable_gives(collector: Collector) -> None:
    metrics = Metrics()
    collector.replies.append(lambda: web.Response(status=503))
    sender = exporter(collector, metrics, variables=Defaults(give_up=0.01), batch_spans=1)
    sender.start()
    sender.put(batch(1))
    sender.put(batch(2))

    await asyncio.to_thread(collector.wait_for, 1)
    await sender.aclose()

    assert [each.trace_id for each in collector.spans] == [f"{2:032x}"]
    assert count(metrics, "gateway_trace_spans_lost", "gave-up") == 1


async def test_texts_are_as_long_as_a_variable_allows(collector: Collector) -> None:
    sender = exporter(collector, Metrics(), variables=Defaults(longest=9))
    sender.start()
    sender.put(batch())
    await sender.aclose()

    assert collector.spans[0].attributes == {
        "gateway.plugin": "p",
        "gateway.binding": "b",
        "gateway.phase": "gateway_r",
    }


async def test_a_partial_success_counts_what_was_refused(collector: Collector) -> None:
    metrics = Metrics()
    reply = {"partialSuccess": {"rejectedSpans": "2", "errorMessage": "too old"}}
    collector.replies.append(lambda: web.json_response(reply))
    sender = exporter(collector, metrics)
    sender.start()
    sender.put(batch(1, 3))
    await sender.aclose()

    assert count(metrics, "gateway_trace_spans_lost", "rejected") == 2
    assert count(metrics, "gateway_trace_spans_exported") == 1


async def test_what_a_collector_does_not_take_before_the_end_is_lost_and_counted(collector: Collector) -> None:
    metrics = Metrics()
    collector.stop()
    sender = exporter(collector, metrics)
    sender.last_word = lambda: 0.05
    sender.start()
    sender.put(batch(1, 3))
    await sender.aclose()
    sender.put(batch(2))

    assert count(metrics, "gateway_trace_spans_lost", "stop") == 4
    assert sender.waiting == 0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("7", 7.0),
        ("999999999999", 300.0),
        ("soon", None),
        ("-3", None),
        ("Fri, 01 Jan 1999 00:00:00 GMT", 0.0),
        ("Tue, 14 Nov 2023 22:13:30 GMT", 10.0),
    ],
)
def test_retry_after_is_read_in_both_forms_and_bounded(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, ManualClock().wall()) == seconds
