from __future__ import annotations

import pytest
from gateway_core.metrics.render import OPENMETRICS, PROMETHEUS, content_type_for, render, takes_gzip
from gateway_core.metrics.samples import Distribution, Family, Samples
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_prometheus

HITS = Family("hits", "counter", "Hits", ("route", "code"))
TOOK = Family("took_seconds", "histogram", "Time", ("route",))
INFO = Family("build", "info", "What runs", ("version",))


def some() -> Samples:
    samples = Samples()
    samples.put(HITS, [(("a", "1"), 2), (("", "0"), 0)])
    samples.put(TOOK, [(("a",), Distribution([1, 0, 2], 1.5))], (0.1, 1.0))
    samples.one(INFO, 1, "1.2")
    return samples


def test_the_format_of_prometheus() -> None:
    assert render(some()).decode() == (
        "# HELP build_info What runs.\n"
        "# TYPE build_info gauge\n"
        'build_info{version="1.2"} 1.0\n'
        "# HELP hits_total Hits.\n"
        "# TYPE hits_total counter\n"
        'hits_total{code="0",route=""} 0.0\n'
        'hits_total{code="1",route="a"} 2.0\n'
        "# HELP took_seconds Time.\n"
        "# TYPE took_seconds histogram\n"
        'took_seconds_bucket{route="a",le="0.1"} 1.0\n'
        'took_seconds_bucket{route="a",le="1.0"} 1.0\n'
        'took_seconds_bucket{route="a",le="+Inf"} 3.0\n'
        'took_seconds_count{route="a"} 3.0\n'
        'took_seconds_sum{route="a"} 1.5\n'
    )


def test_openmetrics_differs_in_names_units_and_its_end() -> None:
    lines = render(some(), OPENMETRICS).decode().splitlines()

    assert "# TYPE build info" in lines
    assert "# TYPE hits counter" in lines
    assert "# UNIT took_seconds seconds" in lines
    assert lines[-1] == "# EOF"


def test_a_family_without_samples_is_left_out() -> None:
    samples = Samples()
    samples.put(HITS, ())

    assert render(samples) == b""


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])), st.floats())
def test_both_formats_are_read_as_they_were_meant(label: str, value: float) -> None:
    samples = Samples()
    samples.put(Family("up", "gauge", 'A "text"\nwith \\ lines', ("name",)), [((label,), value)])

    for parse, content_type in ((parse_prometheus, PROMETHEUS), (parse_openmetrics, OPENMETRICS)):
        (family,) = parse(render(samples, content_type).decode())
        (sample,) = family.samples
        assert sample.labels == {"name": label}
        assert sample.value == value or value != value  # noqa: PLR0124 - not a number
        assert family.documentation == 'A "text"\nwith \\ lines.'


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", PROMETHEUS),
        ("*/*", PROMETHEUS),
        ("text/plain", PROMETHEUS),
        ("application/openmetrics-text", OPENMETRICS),
        (
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;q=0.5",
            OPENMETRICS,
        ),
        ("application/openmetrics-text; q=0.1, text/plain; q=0.9", PROMETHEUS),
        ("application/openmetrics-text; q=0.3, */*; q=0.9", PROMETHEUS),
        ("application/openmetrics-text; q=0.3, text/*; q=0.9", PROMETHEUS),
        ("application/*, text/*; q=0.1", OPENMETRICS),
        ("application/openmetrics-text; q=0", PROMETHEUS),
        ("application/openmetrics-text; q=x", PROMETHEUS),
        ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily", PROMETHEUS),
    ],
)
def test_the_format_is_the_one_that_the_client_prefers(accept: str, expected: str) -> None:
    assert content_type_for(accept) == expected


@pytest.mark.parametrize(("header", "expected"), [("gzip", True), ("", False), ("br, gzip;q=0", False)])
def test_gzip_is_for_clients_that_take_it(header: str, expected: bool) -> None:
    assert takes_gzip(header) is expected
