"""What sinks need."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any

import pytest
from gateway_plugin_logger.sinks.stats import SinkStats
from gateway_plugin_sdk import Metrics


@dataclass
class Counted:
    """A `SinkStats` and what it counted."""

    clock: Any
    metrics: Metrics = field(default_factory=Metrics)

    @property
    def stats(self) -> SinkStats:
        return SinkStats("sink", self.metrics, self.clock, logging.getLogger("test.sinks"))

    def _value(self, name: str, **labels: str) -> int:
        value = self.metrics.registry.get_sample_value(f"gateway_logger_{name}_total", {"sink": "sink", **labels})
        return int(value or 0)

    @property
    def lines(self) -> int:
        return self._value("lines")

    @property
    def retries(self) -> int:
        return self._value("retries")

    @property
    def failures(self) -> int:
        return self._value("writer_failures")

    def dropped(self, reason: str) -> int:
        return self._value("dropped", reason=reason)


@pytest.fixture
def counted(clock: Any) -> Counted:
    return Counted(clock)
