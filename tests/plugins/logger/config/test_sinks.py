from __future__ import annotations

from typing import Any

import pytest
from gateway_plugin_logger.config import FileSink, SinkConfig, SyslogSink
from pydantic import TypeAdapter, ValidationError

SINKS: TypeAdapter[Any] = TypeAdapter(SinkConfig)


@pytest.mark.parametrize(
    "address",
    [
        "udp://localhost", "udp://10.0.0.1:514", "tcp://[::1]:601", "tls://logs.example.com:6514", "unix:/dev/log",
    ],
)  # fmt: skip
def test_addresses_of_syslog_servers(address: str) -> None:
    assert SyslogSink(type="syslog", address=address).address == address


@pytest.mark.parametrize(
    "sink",
    [
        {"type": "syslog", "address": "http://x"},
        {"type": "syslog", "address": "udp://x/path"},
        {"type": "syslog", "address": "udp://user@x:1/"},
        {"type": "syslog", "address": "unix:relative"},
        {"type": "syslog", "address": "udp://x", "facility": "kern"},
        {"type": "syslog", "address": "udp://x", "app_name": "two words"},
        {"type": "syslog"},
        {"type": "file"},
        {"type": "file", "path": ""},
        {"type": "file", "path": "x", "mode": "640"},
        {"type": "file", "path": "x", "rotate": {"keep": -1}},
        {"type": "http", "url": "x"},
        {"type": "http", "url": "http://x", "method": "GET"},
        {"type": "http", "url": "http://x", "timeout": 0},
        {"type": "http", "url": "http://x", "queue": {"max_lines": 0}},
        {"type": "http", "url": "http://x", "queue": {"concurrency": 0}},
        {"type": "http", "url": "http://x", "queue": {"retries": {"initial_delay": 0}}},
        {"type": "otlp", "endpoint": "grpc://x"},
        {"type": "stdout", "path": "x"},
        {},
    ],
)
def test_sinks_that_lead_nowhere_are_refused(sink: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SINKS.validate_python(sink)


def test_a_file_of_another_mode_and_rotation() -> None:
    sink = SINKS.validate_python(
        {"type": "file", "path": "x", "mode": "0600", "rotate": {"every": "1d", "max_size": 0}}
    )

    assert isinstance(sink, FileSink)
    assert sink.rotate is not None
    assert (sink.mode, sink.rotate.every, sink.rotate.max_size) == ("0600", 86_400.0, 0)
