"""What the processes of a gateway show together: their state, and the sum of their metrics.

Each process tells its metrics as plain data (`collect`), which goes over a channel. The supervisor adds those of all
workers up (`merge`). It keeps the counts of workers that are gone (`lasting`), so that no counter goes back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric

from gateway_core.tasks import Supervised, supervised

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


def status_of(
    version: str | None,
    replies: Sequence[tuple[int, int, Mapping[str, Any]]],
    serving: Iterable[int],
    missing: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Return the version in force, each worker's state, and why others are missing.

    :param replies: of each worker that told it in time its number, its process id and its state.
    :param serving: the numbers of the workers that accept connections.
    """
    numbers = sorted(serving)
    return {
        "version": version,
        "serving": len(numbers),
        "workers": [
            {"number": number, "pid": pid, **{name: value for name, value in state.items() if name != "upstreams"}}
            for number, pid, state in replies
        ],
        "missing_workers": list(missing),
        "silent_workers": sorted(set(numbers) - {number for number, _, _ in replies}),
        "upstreams": [{"worker": number, **each} for number, _, state in replies for each in state["upstreams"]],
    }


def own_samples(wanted: int, serving: int, crashes: int) -> Samples:
    """Return the metrics that no worker can tell."""
    total = "gateway_worker_crashes_total"
    return [
        ["gateway_workers", "gauge", "Workers that serve.", [["gateway_workers", {}, serving]]],
        ["gateway_workers_wanted", "gauge", "Workers that should serve.", [["gateway_workers_wanted", {}, wanted]]],
        ["gateway_worker_crashes", "counter", "Workers that ended unexpectedly.", [[total, {}, crashes]]],
        *task_samples(supervised),
    ]
