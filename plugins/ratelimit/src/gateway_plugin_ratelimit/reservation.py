"""What the phases of one request tell each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway_plugin_ratelimit.algorithms import Concurrency, Decision, Rule
from gateway_plugin_ratelimit.limits import Limit


class Reservation:
    """A request that limits were applied to: which, by which rules and counters, and what came of it."""

    __slots__ = ("costs", "counters", "decisions", "limits", "release", "rules", "unavailable")

    def __init__(
        self,
        limits: Sequence[Limit],
        rules: Sequence[Rule | Concurrency],
        counters: Sequence[str],
        costs: Sequence[int],
    ) -> None:
        self.limits = limits
        self.rules = rules
        self.counters = counters
        self.costs = costs
        self.decisions: Sequence[Decision] = ()
        self.release: Callable[[], None] | None = None
        """What is to be called when the request is over, if it holds a place."""
        self.unavailable: float | None = None
        """Seconds after which to ask again, if the limits could not be checked and the request must not pass."""

    @property
    def is_allowed(self) -> bool:
        """Whether every limit lets the request through."""
        return all(decision.allowed for decision in self.decisions)

    @property
    def violated(self) -> list[str]:
        """Names of the limits that refuse the request."""
        return [limit.name for limit, decision in zip(self.limits, self.decisions, strict=True) if not decision.allowed]

    @property
    def wait(self) -> float:
        """Seconds after which no limit refuses the request any more, or for which to hold it back."""
        refusing = [decision.wait for decision in self.decisions if not decision.allowed]
        return max(refusing or [decision.wait for decision in self.decisions], default=0.0)
