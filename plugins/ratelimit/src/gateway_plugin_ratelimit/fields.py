"""The fields that tell a client how much it has left.

``RateLimit-Policy`` and ``RateLimit`` follow draft-ietf-httpapi-ratelimit-headers-10. The older fields take one limit
only: that of which least is left, over all bindings and the upstream.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway_plugin_sdk import Headers, Response

from gateway_plugin_ratelimit.algorithms import Concurrency, Decision, Rule
from gateway_plugin_ratelimit.limits import Limit
from gateway_plugin_ratelimit.passage import Passage
from gateway_plugin_ratelimit.stores import Left

OLDER: Final = {"x-ratelimit": "X-RateLimit-", "ratelimit": "RateLimit-"}
"""What the names of the three older fields begin with, by style."""

ALMOST_ONE: Final = 0.999999
"""Added before cutting, it rounds up; what is a float's breadth above a whole second stays that second."""


class FieldWriter:
    """Adds the fields of some styles to answers."""

    __slots__ = ("_is_standard", "_older", "_templates", "_whole")

    def __init__(self, styles: Sequence[str]) -> None:
        self._is_standard = "standard" in styles
        self._older = [OLDER[style] for style in styles if style in OLDER]
        self._templates: dict[tuple[Rule | Concurrency, ...], bytes] = {}
        self._whole: dict[Rule | Concurrency, tuple[int, bytes]] = {}

    def write(self, passage: Passage, response: Response) -> None:
        """Add the fields to an answer."""
        rules, headers = passage.rules, response.headers
        if len(rules) > 1 or b"ratelimit-" in headers.lowered:
            self._write_several(passage, response)
            return
        rule, decision = rules[0], passage.decisions[0]
        template = self._whole.get(rule)
        if template is None:
            template = self._whole[rule] = self._whole_template(passage.limits[0], rule)
        pairs, fields = template
        numbers = (decision.remaining, int(decision.reset + ALMOST_ONE)) * pairs
        headers.append_block(fields % numbers)

    def compiled(self, limit: Limit, rule: Rule) -> OneLimit:
        """Return what adds the fields of one limit to answers, quicker than `write`."""
        return OneLimit(*self._whole_template(limit, rule))

    def _whole_template(self, limit: Limit, rule: Rule | Concurrency) -> tuple[int, bytes]:
        """Return all fields of one limit when there are no older ones yet, and how many pairs of numbers they take."""
        template = standard_template((limit,), (rule,)) if self._is_standard else ""
        if template and not rule.window:
            template += "%.0a"  # takes the other number of the pair and leaves nothing of it
        for prefix in self._older:
            template += older_fields(prefix, str(rule.quota), "%d", "%d")
        return self._is_standard + len(self._older), template.encode()

    def _write_several(self, passage: Passage, response: Response) -> None:
        rules, decisions = tuple(passage.rules), passage.decisions
        block = response.headers.block
        if self._is_standard:
            template = self._templates.get(rules)
            if template is None:
                template = self._templates[rules] = standard_template(passage.limits, rules).encode()
            block += template % tuple(_numbers(rules, decisions))
        tightest = min(range(len(rules)), key=lambda index: decisions[index].remaining)
        decision = decisions[tightest]
        for prefix in self._older:
            there = response.headers.get(f"{prefix}Remaining")
            if there is not None and there.isdigit() and int(there) <= decision.remaining:
                continue
            if there is not None:
                block = _without_older(block, prefix)
            reset = int(decision.reset + ALMOST_ONE)
            block += older_fields(prefix, str(rules[tightest].quota), str(decision.remaining), str(reset)).encode()
        response.headers = Headers(block=block)


class OneLimit:
    """Adds the fields of one limit, as one block of bytes, which is made anew only when a number changes."""

    __slots__ = ("_fields", "_looked_at", "_pairs", "_remaining", "_reset", "_template")

    def __init__(self, pairs: int, template: bytes) -> None:
        """Prepare; the template takes so many pairs of what is left and when all is back."""
        self._pairs = pairs
        self._template = template
        self._remaining = -1
        self._reset = -1
        self._fields = b""
        self._looked_at = b""
        """A block without such fields: an upstream's answers have the same one again and again."""

    def write(self, left: Left, response: Response) -> bool:
        """Add the fields; return False if the answer has such fields already, which takes a closer look."""
        headers = response.headers
        block = headers.block
        if block is not self._looked_at:
            if b"ratelimit-" in headers.lowered:
                return False
            self._looked_at = block
        remaining, reset = left[0], int(left[1] + ALMOST_ONE)
        if remaining != self._remaining or reset != self._reset:
            self._fields = self._template % ((remaining, reset) * self._pairs)
            self._remaining, self._reset = remaining, reset
        headers.append_block(self._fields)
        return True


def _numbers(rules: Sequence[Rule | Concurrency], decisions: Sequence[Decision]) -> list[int]:
    """Return what a standard template takes."""
    numbers = []
    for rule, decision in zip(rules, decisions, strict=True):
        numbers.append(decision.remaining)
        if rule.window:
            numbers.append(int(decision.reset + ALMOST_ONE))
    return numbers


def standard_template(limits: Sequence[Limit], rules: Sequence[Rule | Concurrency]) -> str:
    """Return both standard fields, with ``%d`` for what is left and, if there is a window, for when it comes back."""
    policies, currents = [], []
    for limit, rule in zip(limits, rules, strict=True):
        unit = f';qu="{limit.unit}"' if limit.unit else ""
        window = f";w={max(1, int(rule.window + ALMOST_ONE))}" if rule.window else ""
        policies.append(f'"{limit.name}";q={rule.quota}{unit}{window}')
        currents.append(f'"{limit.name}";r=%d' + (";t=%d" if rule.window else ""))
    return f"\r\nRateLimit-Policy: {', '.join(policies)}\r\nRateLimit: {', '.join(currents)}"


def older_fields(prefix: str, limit: str, remaining: str, reset: str) -> str:
    """Return the three older fields of a style."""
    return f"\r\n{prefix}Limit: {limit}\r\n{prefix}Remaining: {remaining}\r\n{prefix}Reset: {reset}"


def _without_older(block: bytes, prefix: str) -> bytes:
    headers = Headers(block=block)
    for name in ("Limit", "Remaining", "Reset"):
        headers.remove(prefix + name)
    return headers.block
