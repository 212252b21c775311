"""Several limits as one: a request is charged to all of them or to none."""

from __future__ import annotations

from collections.abc import Sequence

from gateway_plugin_ratelimit.algorithms import Decision, Rule, State

Hit = tuple[Rule, str, int]
"""A rule, the counter that it is applied to, and the units that a request costs."""


def settle(hits: Sequence[Hit], states: Sequence[State], now: float) -> tuple[list[Decision], list[State | None]]:
    """Return each rule's decision, and each counter's next state or None where it stays as it is.

    If one rule refuses, nothing is charged, except to the rules for which refused requests count.
    """
    decisions = [hit[0].decide(state, now, hit[2]) for hit, state in zip(hits, states, strict=True)]
    for decision in decisions:
        if not decision.allowed:
            break
    else:
        return decisions, [decision.state for decision in decisions]
    nexts: list[State | None] = []
    for index, (rule, _, cost) in enumerate(hits):
        if rule.counts_refused:
            nexts.append(decisions[index].state)
        else:
            nexts.append(None)
            if decisions[index].allowed and cost:
                decisions[index] = rule.decide(states[index], now, 0)
    return decisions, nexts
