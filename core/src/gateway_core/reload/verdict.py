"""Validation as a reload sees it: a job for another process, and its verdict.

Neither parsing nor the code of plugins disturbs the process that asks. What does the job is handed to who needs it
(`Validator`); jobs and verdicts travel as plain data.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from gateway_core.config import ConfigProblem, Document, problem_from_json, problem_to_json
from gateway_core.config.sources import WatchSet
from gateway_core.config.sources.last_good import from_plain, to_plain
from gateway_core.errors import GatewayError
from gateway_core.reload.bundle import ConfigBundle


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the validating process found: either ``bundle`` is there, or ``problems`` are."""

    watch: WatchSet
    bundle: ConfigBundle | None = None
    problems: tuple[ConfigProblem, ...] = ()


class ValidationFailedError(GatewayError):
    """The validating process did not come to a verdict."""


class ValidationHungError(ValidationFailedError):
    """The validating process did not come to an end."""


class Validator(Protocol):
    """What comes to a verdict."""

    async def validate(self, paths: Sequence[Path], documents: Sequence[Document] = ()) -> Verdict:
        """Validate the configuration at these paths and in these documents of sources.

        :raises ValidationFailedError: there is no verdict.
        :raises OSError: the system has no process, memory or descriptors for it.
        """


def verdict_fields(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict without the lines of its bundle as JSON has it."""
    files = sorted(str(path) for path in verdict.watch.files)
    directories = sorted(str(path) for path in verdict.watch.directories)
    fields: dict[str, Any] = {"files": files, "directories": directories}
    if verdict.bundle is None:
        return {**fields, "problems": [problem_to_json(problem) for problem in verdict.problems]}
    return {**fields, **verdict.bundle.facts(), "lines": len(verdict.bundle.lines)}


def read_verdict(fields: Mapping[str, Any], lines: Sequence[bytes]) -> Verdict:
    """Undo `verdict_fields`.

    :param lines: those of the bundle.
    :raises ValueError: something is missing or garbled.
    """
    try:
        watch = WatchSet.of(fields["files"], fields["directories"])
        if "problems" in fields:
            return Verdict(watch, problems=tuple(problem_from_json(entry) for entry in fields["problems"]))
        if fields["lines"] != len(lines):
            raise ValueError(f"{len(lines)} lines of {fields['lines']}")
        facts = fields["version"], tuple(lines), fields["workers"], fields["plugins"], fields["protocol"]
        return Verdict(watch, ConfigBundle(*facts))
    except (KeyError, TypeError) as error:
        raise ValueError(f"a verdict without {error}") from error


def write_job(paths: Sequence[Path], documents: Sequence[Document]) -> bytes:
    """Write a job for a validating process."""
    return json.dumps(
        {
            "paths": [str(path) for path in paths],
            "documents": [{**to_plain(each), "rights": sorted(each.rights)} for each in documents],
        }
    ).encode()


def read_job(data: bytes) -> tuple[tuple[Path, ...], tuple[Document, ...]]:
    """Undo `write_job`.

    :raises ValueError: it is no job.
    """
    job = json.loads(data)
    documents = [replace(from_plain(each), rights=frozenset(each["rights"])) for each in job["documents"]]
    return tuple(Path(path) for path in job["paths"]), tuple(documents)
