from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gateway_plugin_logger import Logger
from gateway_plugin_logger.config import LoggerConfig
from gateway_plugin_logger.sinks.files import FileTarget
from gateway_plugin_sdk.testing import ManualClock
from pydantic import ValidationError

SLOW = "status == 200 and not matches(path, '.*=.*')"


@pytest.mark.parametrize(
    "path",
    [
        ("skip", "when"),
        ("only", "when"),
        ("sample", "always", "when"),
        ("request_body", "when"),
        ("response_body", "when"),
    ],
)
def test_patterns_that_are_not_asked_about_long_texts_are_warnings(path: tuple[str, ...], without_re2: None) -> None:
    raw: Any = SLOW
    for key in reversed(path):
        raw = {key: raw}

    (finding,) = Logger.check_config(LoggerConfig.model_validate(raw))

    assert (finding.path, finding.code, finding.severity) == (path, "not-linear", "warning")


def test_with_re2_or_a_linear_pattern_there_is_nothing_to_say() -> None:
    config = {"only": {"when": SLOW}, "skip": {"when": "matches(path, '^/v[0-9]+/')"}}

    assert list(Logger.check_config(LoggerConfig.model_validate(config))) == []


def codes(config: Any) -> list[tuple[tuple[str | int, ...], str]]:
    return [(finding.path, finding.code) for finding in Logger.check_config(LoggerConfig.model_validate(config))]


def test_a_log_that_cannot_be_opened_is_found_without_making_it(tmp_path: Path) -> None:
    assert codes({"path": str(tmp_path)}) == [(("path",), "file-unreadable")]
    assert codes({"path": str(tmp_path / "no" / "a.log")}) == [(("path",), "file-missing")]
    assert codes({"sinks": [{"type": "stdout"}, {"type": "file", "path": str(tmp_path / "no" / "a.log")}]}) == [
        (("sinks", 1, "path"), "file-missing")
    ]
    assert codes({"path": str(tmp_path / "new.log")}) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["new.log", "version"], ids=["to be made", "that is there"])
def test_a_log_that_can_be_opened_and_not_written_is_found_by_check_and_named_by_start(name: str) -> None:
    path = f"/proc/{name}"  # where permissions let root do everything

    assert codes({"path": path}) == [(("path",), "file-unreadable")]
    with pytest.raises(OSError, match=f"'{path}'"):
        FileTarget(Path(path), 0o640, None, ManualClock())


@pytest.mark.parametrize(
    "sink",
    [
        {"type": "http", "url": "https://logs.example.com:99999/"},
        {"type": "otlp", "endpoint": "http://logs.example.com:http"},
        {"type": "syslog", "address": "tcp://logs.example.com:99999"},
        {"type": "http", "url": "http://h/", "content_type": "a\nb: c"},
    ],
    ids=["http", "otlp", "syslog", "content type"],
)
def test_addresses_and_types_that_cannot_be_sent_to_are_refused(sink: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        LoggerConfig.model_validate({"sinks": [sink]})
