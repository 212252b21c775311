"""What the admin listener shows of several workers together."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from gateway_core.process.merge import Samples
from gateway_core.process.worker_handle import WorkerHandle

ASK_TIMEOUT: Final = 5.0

Answers = Sequence[tuple[WorkerHandle, Any]]


async def ask_all(workers: Iterable[WorkerHandle], kind: str, answer: str) -> Answers:
    """Ask every worker that is there, and return what those said that answered in time."""
    there = [worker for worker in workers if not worker.gone.is_set()]
    answers = await asyncio.gather(
        *(worker.ask(kind, answer, timeout=ASK_TIMEOUT) for worker in there), return_exceptions=True
    )
    return [(w, a) for w, a in zip(there, answers, strict=True) if not isinstance(a, BaseException)]


def status_of(version: str | None, answers: Answers, missing: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the version in force, each worker's state, and why others are missing."""
    workers = [
        {"number": worker.number, "pid": worker.pid, **_without_upstreams(answer["status"])}
        for worker, answer in answers
    ]
    upstreams = [
        {"worker": worker.number, **upstream}
        for worker, answer in answers
        for upstream in answer["status"]["upstreams"]
    ]
    return {"version": version, "workers": workers, "missing_workers": list(missing), "upstreams": upstreams}


def own_samples(wanted: int, serving: int, crashes: int) -> Samples:
    """Return the metrics that no worker can tell."""
    total = "gateway_worker_crashes_total"
    return [
        ["gateway_workers", "gauge", "Workers that serve.", [["gateway_workers", {}, serving]]],
        ["gateway_workers_wanted", "gauge", "Workers that should serve.", [["gateway_workers_wanted", {}, wanted]]],
        ["gateway_worker_crashes", "counter", "Workers that ended unexpectedly.", [[total, {}, crashes]]],
    ]


def warning_samples(number: int) -> Samples:
    """Return the metric that the process has which knows what was found in the configuration."""
    name = "gateway_config_warnings"
    return [[name, "gauge", "Warnings about the configuration in force.", [[name, {}, number]]]]


def _without_upstreams(status: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in status.items() if name != "upstreams"}
