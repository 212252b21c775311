from __future__ import annotations

from typing import Any

import pytest
from gateway_plugin_logger import Logger
from gateway_plugin_logger.config import LoggerConfig

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
