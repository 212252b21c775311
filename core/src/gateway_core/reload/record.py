"""What became of reloads: what the admin API, metrics and ``/ready`` show of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from gateway_core.config import ConfigProblem, problem_as_json


class Stage(StrEnum):
    """How far a change has come. Until it is committed, the configuration before it stays in force."""

    CHANGED = "changed"
    """A file, a source, a plugin or an operator asks for it. Way back: none is needed, nothing was done."""
    VALIDATED = "validated"
    """Another process has read it and found no error. Way back: the bundle is dropped."""
    PREPARED = "prepared"
    """Every serving process has built and started it beside the one in force. Way back: each discards it."""
    COMMITTED = "committed"
    """Requests are served by it."""


@dataclass(slots=True)
class ReloadRecord:
    """The last reload, and how many there were of each result. A first start counts as one."""

    is_ok: bool = True
    stage: Stage = Stage.CHANGED
    """The last stage that the last reload has reached."""
    at: float | None = None
    """Seconds since the epoch at which the last reload ended; None before the first one."""
    in_force_at: float = 0.0
    """Seconds since the epoch at which a configuration was put in force last."""
    problems: tuple[ConfigProblem, ...] = ()
    reason: str = ""
    """Why it failed, or what it changed."""
    counts: Counter[str] = field(default_factory=Counter)
    """By ``ok``, ``rejected`` and ``failed``."""

    def succeed(self, now: float, changes: str = "", problems: Sequence[ConfigProblem] = ()) -> None:
        """Note that a configuration is in force.

        :param problems: of documents that were left out, or kept at their last good version.
        """
        self._end("ok", now, changes, problems)
        self.stage, self.in_force_at = Stage.COMMITTED, now

    def fail(self, now: float, reason: str, problems: Sequence[ConfigProblem] = ()) -> None:
        """Note that a reload has failed, for problems of the configuration or for another reason."""
        self._end("rejected" if problems else "failed", now, reason, problems)

    def _end(self, result: str, now: float, reason: str, problems: Sequence[ConfigProblem]) -> None:
        self.is_ok, self.at, self.reason, self.problems = result == "ok", now, reason, tuple(problems)
        self.counts[result] += 1

    def describe(self) -> dict[str, Any] | None:
        """Return it ready for JSON; None before the first reload."""
        if self.at is None:
            return None
        return {
            "ok": self.is_ok,
            "at": datetime.fromtimestamp(self.at, UTC).isoformat(timespec="milliseconds"),
            "stage": self.stage.value,
            "reason": self.reason,
            "problems": [problem_as_json(problem) for problem in self.problems],
        }
