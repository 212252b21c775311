"""Commands of plugins in all workers: what they report together, for operators and for plugins."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from gateway_core.hooks import CommandError, CommandOutcome

COMMAND = "command"
"""Kind of the message that has a worker run a command."""

EVERYWHERE = "everywhere"
"""Kind of the message by which a worker asks the supervisor to run a command in all workers."""


class RunsCommands(Protocol):
    """Runs a command in every worker."""

    async def __call__(self, binding: str, command: str, arguments: Mapping[str, Any]) -> CommandReport:
        """Return what became of it in each."""
        ...


@dataclass(frozen=True, slots=True)
class CommandReport:
    """What became of a command in each worker, in the order of their numbers."""

    outcomes: Sequence[tuple[int, CommandOutcome]]

    @property
    def status(self) -> int:
        """The HTTP status: 200, 404 for an unknown binding or command, 422 for wrong arguments, 500 for a failure."""
        kinds = {outcome.kind for _, outcome in self.outcomes}
        if kinds == {"done"}:
            return 200
        if kinds and kinds <= {"unknown"}:
            return 404
        if kinds and kinds <= {"unknown", "refused"}:
            return 422
        return 500 if self.outcomes else 503

    def entries(self) -> list[dict[str, Any]]:
        """Return the result or the error of each worker, ready for JSON."""
        return [
            {"worker": number, "result": outcome.result}
            if outcome.kind == "done"
            else {"worker": number, "error": outcome.error}
            for number, outcome in self.outcomes
        ]

    def results(self) -> list[Any]:
        """Return the result of each worker.

        :raises CommandError: one has none.
        """
        errors = {outcome.error: number for number, outcome in self.outcomes if outcome.kind != "done"}
        if errors:
            told = "; ".join(f"worker {number}: {text}" for text, number in errors.items())
            raise CommandError(told)
        if not self.outcomes:
            raise CommandError("no worker serves")
        return [outcome.result for _, outcome in self.outcomes]


async def outcome_of(running: Awaitable[Mapping[str, Any]], number: int) -> tuple[int, CommandOutcome]:
    """Await a worker's reply; one that is gone has failed."""
    try:
        plain = await running
    except Exception as error:  # noqa: BLE001 - whatever becomes of a worker is its outcome
        return number, CommandOutcome("failed", error=f"the worker ended or did not reply: {error}")
    return number, CommandOutcome(**plain)


def outcome_to_plain(outcome: CommandOutcome) -> dict[str, Any]:
    """Return an outcome for a message; ``CommandOutcome(**plain)`` undoes it."""
    return asdict(outcome)
