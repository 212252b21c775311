from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from gateway_plugin_logger.config import LoggerConfig
from gateway_plugin_logger.open_sinks import SinkContext, make_filter, make_forms, open_sink, renderer_for
from gateway_plugin_sdk import Metrics


def config_of(**options: Any) -> LoggerConfig:
    return LoggerConfig.model_validate(options)


@pytest.mark.parametrize("options", [{}, {"sample": {"rate": 1.0, "first": 5}}, {"skip": {}, "only": {}}])
def test_without_conditions_nothing_is_asked(options: dict[str, Any]) -> None:
    assert make_filter(config_of(**options)) is None


@pytest.mark.parametrize(
    ("event", "passes"),
    [
        ({"target": "/health", "status": 500}, False),
        ({"target": "/a", "status": 200}, False),
        ({"target": "/a", "status": 404}, False),
        ({"target": "/a", "status": 503}, True),
    ],
)
def test_skipping_comes_first_then_only_and_last_the_sample(
    event: dict[str, Any], passes: bool, make_event: Any
) -> None:
    config = config_of(
        skip={"paths": ["/health"]},
        only={"statuses": ["4xx", "5xx"]},
        sample={"rate": 0.0, "always": {"statuses": ["5xx"]}},
    )
    test = make_filter(config)

    assert test is not None
    assert test(*make_event(**event)) is passes


def test_sinks_that_take_the_same_lines_share_the_making_of_them() -> None:
    config = config_of(
        sinks=[
            {"type": "stdout"},
            {"type": "http", "url": "http://x"},
            {"type": "otlp", "endpoint": "http://a"},
            {"type": "otlp", "endpoint": "http://b"},
            {"type": "otlp", "endpoint": "http://c", "body": "{status}"},
            {"type": "syslog", "address": "udp://x"},
        ]
    )
    forms = make_forms(config)

    stdout, http, first, second, third, syslog = [renderer_for(sink, forms, "logger") for sink in config.destinations]

    assert stdout is http
    assert first is second
    assert len({stdout, first, third, syslog}) == 4


def test_a_syslog_line_is_the_line_behind_a_head(make_event: Any) -> None:
    config = config_of(format="{path}", sinks=[{"type": "syslog", "address": "udp://x", "hostname": "h"}])
    event = make_event("/a")

    line = renderer_for(config.destinations[0], make_forms(config), "logger")(*event)

    assert line.startswith("<134>1 2026-11-22T23:20:21.123Z h gateway ")
    assert line.endswith(" logger - /a\n")


async def test_what_is_given_to_an_outlet_is_out_when_it_is_closed(tmp_path: Path, clock: Any) -> None:
    config = config_of(path=str(tmp_path / "a.log"))
    around = SinkContext("logger", Metrics(), clock, logging.getLogger("test"))

    sink = open_sink(config.destinations[0], config, around)
    sink.extend(["1\n", "2\n"])
    await sink.close(30)

    assert (tmp_path / "a.log").read_text() == "1\n2\n"


def test_pseudonyms_differ_between_starts_unless_there_is_a_key(make_event: Any) -> None:
    def line(**redact: Any) -> str:
        config = config_of(
            format="{identity}", redact={"rules": [{"action": "hash", "fields": ["identity"]}], **redact}
        )
        return make_forms(config).line(*make_event())

    assert line() != line()
    assert line(hash_key="k") == line(hash_key="k")
