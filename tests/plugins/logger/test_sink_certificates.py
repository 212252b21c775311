from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gateway_plugin_logger import Logger
from gateway_plugin_logger.config import LoggerConfig
from pydantic import ValidationError


def codes(config: Any) -> list[tuple[tuple[str | int, ...], str]]:
    return [(finding.path, finding.code) for finding in Logger.check_config(LoggerConfig.model_validate(config))]


@pytest.mark.parametrize(
    "sink",
    [
        {"type": "http", "url": "https://logs.example.com/"},
        {"type": "otlp", "endpoint": "https://logs.example.com:4318"},
        {"type": "syslog", "address": "tls://logs.example.com:6514"},
    ],
    ids=["http", "otlp", "syslog"],
)
def test_certificates_of_sinks_are_looked_at(sink: dict[str, Any], tmp_path: Path) -> None:
    none = tmp_path / "none.pem"
    none.write_text("none")
    place = ("sinks", 0, "tls")

    for tls, found in [
        ({"ca": str(none)}, [(place, "file-invalid")]),
        ({"cert": str(none), "key": str(none)}, [(place, "file-invalid")]),
        ({"verify": False}, []),
    ]:
        assert codes({"sinks": [{**sink, "tls": tls}]}) == found
    with pytest.raises(ValidationError, match="names no file"):
        codes({"sinks": [{**sink, "tls": {"ca": str(tmp_path / "away.pem")}}]})
