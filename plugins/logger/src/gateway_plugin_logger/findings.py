"""What is worth a warning about a valid configuration."""

from __future__ import annotations

from collections.abc import Iterator

from gateway_plugin_sdk import ConfigFinding

from gateway_plugin_logger.config import LoggerConfig
from gateway_plugin_logger.filters.expression import patterns_in


def findings(config: LoggerConfig) -> Iterator[ConfigFinding]:
    """Yield the regular expressions in expressions that are not asked about long texts."""
    expressions = {
        ("skip", "when"): config.skip.when,
        ("only", "when"): config.only.when,
        ("sample", "always", "when"): config.sample.always.when,
        ("request_body", "when"): config.request_body.when,
        ("response_body", "when"): config.response_body.when,
    }
    for path, text in expressions.items():
        for pattern in () if text is None else patterns_in(text):
            if pattern.problem is not None:
                yield ConfigFinding(path, pattern.problem, code="not-linear", severity="warning")
