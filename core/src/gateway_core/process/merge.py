"""Add up the metrics of several workers, those that are gone included."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric

from gateway_core.tasks import Supervised

Samples = Sequence[Any]
"""Plain data: for each metric its name, type, help text, and a list of (name, labels, value)."""

_ADDED: Final = frozenset({"counter", "histogram", "summary"})
_CREATED: Final = "_created"


def collect(registry: CollectorRegistry) -> list[Any]:
    """Return a registry's metrics as plain data."""
    return [
        [
            metric.name,
            metric.type,
            metric.documentation,
            [[s.name, s.labels, s.value] for s in metric.samples if not s.name.endswith(_CREATED)],
        ]
        for metric in registry.collect()
    ]


def merge(parts: Iterable[Samples]) -> list[Any]:
    """Add up samples of the same name and labels, those of gauges too."""
    merged: dict[str, tuple[str, str, dict[tuple[str, tuple[tuple[str, str], ...]], float]]] = {}
    for part in parts:
        for name, kind, text, samples in part:
            _, _, values = merged.setdefault(name, (kind, text, {}))
            for sample, labels, value in samples:
                key = (sample, tuple(sorted(labels.items())))
                values[key] = values.get(key, 0.0) + value
    return [
        [name, kind, text, [[sample, dict(labels), value] for (sample, labels), value in values.items()]]
        for name, (kind, text, values) in merged.items()
    ]


def lasting(samples: Samples) -> list[Any]:
    """Return what stays true of a worker that is gone: counts, not gauges."""
    return [entry for entry in samples if entry[1] in _ADDED]


def task_samples(tasks: Supervised) -> Samples:
    """Return how often endless tasks of this process have failed, and how many fail now."""
    failures, failing = "gateway_task_failures", "gateway_tasks_failing"
    counts = [[f"{failures}_total", {"task": name}, number] for name, number in sorted(tasks.failures.items())]
    return [
        [failures, "counter", "Failures of background tasks, which begin again after a delay.", counts],
        [
            failing,
            "gauge",
            "Background tasks that failed and do not go on steadily yet.",
            [[failing, {}, len(tasks.failing)]],
        ],
    ]


class Collected:
    """A collector of plain data."""

    def __init__(self, samples: Callable[[], Samples]) -> None:
        self._samples = samples

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics."""
        for name, kind, text, samples in self._samples():
            metric = Metric(name, text, kind)
            for sample, labels, value in samples:
                metric.add_sample(sample, labels, value)
            yield metric


def exposition(samples: Samples) -> bytes:
    """Return metrics in the text format of Prometheus."""
    registry = CollectorRegistry()
    registry.register(Collected(lambda: samples))
    return generate_latest(registry)
