"""What became of reloads: the last one, the last that failed, and how many there were. The pipeline owns it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

from gateway_core.clock import Clock
from gateway_core.config import ConfigProblem, problem_as_json, render_problems
from gateway_core.config.documents import is_there
from gateway_core.errors import GatewayError

Result = Literal["ok", "rejected", "failed"]
"""In force; the configuration has problems; it could not be done for a reason that is not the configuration's."""


class State(StrEnum):
    """How far a configuration has come; see `gateway_core.reload.pipeline`."""

    CHANGED = "changed"
    VALIDATED = "validated"
    PREPARED = "prepared"
    COMMITTED = "committed"


@dataclass(frozen=True, slots=True)
class ReloadOutcome:
    """What became of one reload."""

    result: Result
    state: State
    """The last state that it has reached."""
    at: float
    """Seconds since the epoch at which it ended."""
    seconds: float
    """How long it took, from the request on."""
    trigger: str
    """What asked for it, such as ``gateway.yaml changed``."""
    reason: str
    """Why it failed, or what it changed."""
    problems: tuple[ConfigProblem, ...] = ()
    """With result ``ok`` those of documents that were left out, or kept at their last good version."""

    @property
    def is_ok(self) -> bool:
        """Whether it put a configuration in force."""
        return self.result == "ok"

    def describe(self) -> dict[str, Any]:
        """Return it ready for JSON."""
        return {
            "ok": self.is_ok,
            "result": self.result,
            "at": datetime.fromtimestamp(self.at, UTC).isoformat(timespec="milliseconds"),
            "seconds": round(self.seconds, 3),
            "trigger": self.trigger,
            "stage": self.state.value,
            "reason": self.reason,
            "problems": [problem_as_json(problem) for problem in self.problems],
            "report": render_problems(self.problems) if self.problems else "",
        }


class ReloadHistory:
    """The reloads of this program. Its start counts as one."""

    def __init__(self, clock: Clock) -> None:
        """Begin with the start of the program."""
        self._clock = clock
        self.last: ReloadOutcome | None = None
        self.last_failure: ReloadOutcome | None = None
        """The last one that put nothing in force; it stays here when a later one succeeds."""
        self.in_force_at = 0.0
        """Seconds since the epoch at which a configuration was put in force last."""
        self.counts: Counter[Result] = Counter()
        self.state = State.CHANGED
        """Of the reload that is under way, or was the last one."""
        self.begin("start")

    @property
    def is_ok(self) -> bool:
        """Whether the last reload put a configuration in force; also true before the first one has ended."""
        return self.last is None or self.last.is_ok

    @property
    def triggers(self) -> Set[str]:
        """All that asked for the reload that is under way, or was the last one, in their order."""
        return self._triggers.keys()

    @property
    def trigger(self) -> str:
        """What asked for the reload that is under way, or was the last one."""
        return ", ".join(self._triggers)

    def begin(self, *triggers: str) -> None:
        """Note that a reload begins.

        :param triggers: what asked for it.
        """
        self.state, self._triggers, self._began = State.CHANGED, dict.fromkeys(triggers), self._clock.monotonic()

    def join(self, *triggers: str) -> None:
        """Note that the reload that is under way is for these as well, so that they need none of their own."""
        self._triggers.update(dict.fromkeys(triggers))

    def succeed(self, changes: str = "", problems: Sequence[ConfigProblem] = ()) -> ReloadOutcome:
        """Note that a configuration is in force.

        :param problems: of documents that were left out, or kept at their last good version.
        """
        self.state = State.COMMITTED
        outcome = self._end("ok", changes, problems)
        self.in_force_at = outcome.at
        return outcome

    def fail(self, reason: str, problems: Sequence[ConfigProblem] = ()) -> ReloadOutcome:
        """Note that a reload has failed, for problems of the configuration or for another reason."""
        outcome = self.last_failure = self._end("rejected" if problems else "failed", reason, problems)
        return outcome

    def _end(self, result: Result, reason: str, problems: Sequence[ConfigProblem]) -> ReloadOutcome:
        seconds = self._clock.monotonic() - self._began
        at = self._clock.wall()
        outcome = self.last = ReloadOutcome(result, self.state, at, seconds, self.trigger, reason, tuple(problems))
        self.counts[result] += 1
        return outcome


def resolve(waiting: Sequence[asyncio.Future[ReloadOutcome]], outcome: ReloadOutcome | GatewayError) -> None:
    """Give those who wait for a reload its outcome, or the reason why there is none."""
    for future in waiting:
        if future.done():  # its waiter has given up
            continue
        if isinstance(outcome, GatewayError):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)


def describe_changed(changed: Sequence[Path]) -> str:
    """Name files that changed."""
    names = ", ".join(path.name for path in changed[:3])
    more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
    verb = "changed" if all(map(is_there, changed)) else "changed or gone"
    return f"{names}{more} {verb}"
