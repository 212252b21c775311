"""What the admin listener shows of several workers together."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gateway_core.process.merge import Samples, task_samples
from gateway_core.process.worker_handle import WorkerHandle
from gateway_core.reload.record import ReloadRecord
from gateway_core.tasks import supervised

Answers = Sequence[tuple[WorkerHandle, Any]]


async def query_workers(
    workers: Iterable[WorkerHandle],
    kind: str,
    answer: str,
    *,
    timeout: float,  # noqa: ASYNC109 - the workers'
) -> Answers:
    """Query all workers; return the replies that arrive in time."""
    there = [worker for worker in workers if not worker.gone.is_set()]
    answers = await asyncio.gather(
        *(worker.ask(kind, answer, timeout=timeout) for worker in there), return_exceptions=True
    )
    return [(w, a) for w, a in zip(there, answers, strict=True) if not isinstance(a, BaseException)]


def status_of(
    version: str | None, answers: Answers, serving: Iterable[int], missing: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the version in force, each worker's state, and why others are missing.

    :param serving: the numbers of the workers that accept connections.
    """
    numbers = sorted(serving)
    silent = sorted(set(numbers) - {worker.number for worker, _ in answers})
    workers = [
        {"number": worker.number, "pid": worker.pid, **_without_upstreams(answer["status"])}
        for worker, answer in answers
    ]
    upstreams = [
        {"worker": worker.number, **upstream}
        for worker, answer in answers
        for upstream in answer["status"]["upstreams"]
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
