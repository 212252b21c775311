from __future__ import annotations

from typing import Any

import pytest
from gateway_plugin_logger.config import Sampling
from gateway_plugin_logger.filters.sampling import even_share, make_sampler
from hypothesis import given
from hypothesis import strategies as st

TRACE = "00-{:032x}-00f067aa0ba902b7-01"


def test_chance_decides_by_the_rate(make_event: Any) -> None:
    drawn = iter([0.0, 0.099, 0.1, 0.9])
    sample = make_sampler(Sampling(rate=0.1), lambda: next(drawn))

    assert [sample(*make_event()) for _ in range(4)] == [True, True, False, False]


@pytest.mark.parametrize("by", ["request_id", "trace_id", "client_ip"])
def test_an_id_decides_alike_for_every_line_and_about_the_rate_of_them(by: str, make_event: Any) -> None:
    sample = make_sampler(Sampling.model_validate({"rate": 0.25, "by": by}))
    events = [
        make_event(
            request_id=f"r{n}", client_ip=f"10.0.{n // 256}.{n % 256}", headers={"traceparent": TRACE.format(n + 1)}
        )
        for n in range(800)
    ]

    first, second = ([sample(*event) for event in events] for _ in range(2))

    assert first == second
    assert 120 < sum(first) < 280


def test_without_a_trace_the_request_id_decides(make_event: Any) -> None:
    sample = make_sampler(Sampling.model_validate({"rate": 0.5, "by": "trace_id"}))

    assert {sample(*make_event(request_id=f"r{n}")) for n in range(50)} == {True, False}


def test_requests_that_always_count_are_not_sampled(make_event: Any) -> None:
    sample = make_sampler(Sampling.model_validate({"rate": 0.0, "always": {"statuses": ["5xx"]}}))

    assert sample(*make_event(status=503))
    assert not sample(*make_event(status=200))


def test_the_first_requests_of_each_interval_get_a_line(make_event: Any) -> None:
    sample = make_sampler(Sampling.model_validate({"rate": 0.0, "first": 2, "interval": "10s"}))
    event = make_event()

    def at(seconds: float) -> bool:
        event.record.started_at = seconds
        return sample(*event)

    assert [at(1000), at(1001), at(1002), at(1009), at(1010), at(1011), at(1012)] == [
        True, True, False, False, True, True, False,
    ]  # fmt: skip


@given(st.text())
def test_shares_are_from_zero_up_to_one(key: str) -> None:
    assert 0 <= even_share(key) < 1
