from __future__ import annotations

import pytest
from gateway_core.metrics import Metrics
from gateway_core.metrics.http2 import CODES, GATEWAY, PEER, Http2Counts
from gateway_core.metrics.samples import Distribution, Samples
from gateway_core.proxy.wire.h2.errors import ErrorCode


def samples_of(counts: Http2Counts) -> Samples:
    samples = Samples()
    counts.put(samples, "client")
    return samples


def test_codes_have_the_names_of_the_rfc() -> None:
    assert [code.name for code in ErrorCode] == list(CODES)
    assert [int(code) for code in ErrorCode] == list(range(len(CODES)))


def test_ends_are_counted_by_who_sent_them_and_by_code() -> None:
    counts = Http2Counts()
    for code in (8, 8, 1):
        counts.reset(code, PEER)
    counts.reset(8, GATEWAY)
    counts.goaway(11, GATEWAY)

    samples = samples_of(counts)

    assert samples.value("gateway_http2_resets", "client", "peer", "CANCEL") == 2
    assert samples.value("gateway_http2_resets", "client", "peer", "PROTOCOL_ERROR") == 1
    assert samples.value("gateway_http2_resets", "client", "gateway", "CANCEL") == 1
    assert samples.value("gateway_http2_goaways", "client", "gateway", "ENHANCE_YOUR_CALM") == 1


def test_codes_that_no_rfc_has_share_a_series() -> None:
    counts = Http2Counts()
    for code in (14, 15, 0xFFFFFFFF):
        counts.reset(code, PEER)
    assert samples_of(counts).value("gateway_http2_resets", "client", "peer", "_other") == 3


@pytest.mark.parametrize(("seconds", "bucket"), [(0.0, 0), (1.0, 0), (1.5, 1), (3600.0, 4), (1e6, 7)])
def test_ages_are_counted_where_a_connection_is_closed(seconds: float, bucket: int) -> None:
    counts = Http2Counts()
    counts.closed(seconds)
    ages = samples_of(counts).value("gateway_http2_connection_age_seconds", "client")
    assert isinstance(ages, Distribution)
    assert ages.counts == [int(each == bucket) for each in range(8)]
    assert ages.sum == seconds


def test_both_sides_are_shown_before_anything_happens() -> None:
    samples = Metrics().collect()
    for side in ("client", "upstream"):
        assert samples.value("gateway_http2_stalled_seconds", side) == 0
