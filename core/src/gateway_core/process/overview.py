"""What the admin listener shows of several workers together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gateway_core.process.channel import Message
from gateway_core.process.merge import Samples, task_samples
from gateway_core.process.worker_handle import WorkerHandle
from gateway_core.reload.pipeline import ReloadRecord
from gateway_core.tasks import supervised


def status_of(
    version: str | None,
    replies: Sequence[tuple[WorkerHandle, Message]],
    serving: Iterable[int],
    missing: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Return the version in force, each worker's state, and why others are missing.

    :param serving: the numbers of the workers that accept connections.
    """
    numbers = sorted(serving)
    silent = sorted(set(numbers) - {worker.number for worker, _ in replies})
    workers = [
        {"number": worker.number, "pid": worker.child.pid, **_without_upstreams(reply["status"])}
        for worker, reply in replies
    ]
    upstreams = [
        {"worker": worker.number, **upstream} for worker, reply in replies for upstream in reply["status"]["upstreams"]
    ]
    return {
        "version": version,
        "serving": len(numbers),
        "workers": workers,
        "missing_workers": list(missing),
        "silent_workers": silent,
        "upstreams": upstreams,
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


def config_samples(warnings: int, reloads: ReloadRecord) -> Samples:
    """Return the metrics of the process that knows what became of configurations."""
    name, last, at, counted = (
        "gateway_config_warnings",
        "gateway_config_last_reload_successful",
        "gateway_config_last_reload_success_timestamp_seconds",
        "gateway_config_reloads",
    )
    results = [[f"{counted}_total", {"result": result}, number] for result, number in sorted(reloads.counts.items())]
    return [
        [name, "gauge", "Warnings about the configuration in force.", [[name, {}, warnings]]],
        [last, "gauge", "Whether the last reload put a configuration in force.", [[last, {}, int(reloads.is_ok)]]],
        [at, "gauge", "When a configuration was put in force last, since the epoch.", [[at, {}, reloads.in_force_at]]],
        [counted, "counter", "Reloads by what became of them.", results],
    ]


def _without_upstreams(status: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in status.items() if name != "upstreams"}
