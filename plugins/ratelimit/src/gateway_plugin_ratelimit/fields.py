"""The fields that tell a client how much it has left.

``RateLimit-Policy`` and ``RateLimit`` follow draft-ietf-httpapi-ratelimit-headers-10. The older fields take one limit
only: that of which least is left, over all bindings and the upstream.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway_plugin_sdk import FieldBlock, FieldNames, FieldTemplate, Headers, Response

from gateway_plugin_ratelimit.algorithms import Concurrency, Rule
from gateway_plugin_ratelimit.limits import Limit
from gateway_plugin_ratelimit.reservation import Reservation

OLDER: Final = {"x-ratelimit": "X-RateLimit-", "ratelimit": "RateLimit-"}
"""What the names of the three older fields begin with, by style."""

ALMOST_ONE: Final = 0.999999
"""Added before cutting, it rounds up; what is a float's breadth above a whole second stays that second."""


_MOST_PAIRS: Final = 1024

OLDER_NAMES: Final = FieldNames(prefix + name for prefix in OLDER.values() for name in ("Limit", "Remaining", "Reset"))
"""The older fields, which there can be only one set of."""


class FieldWriter:
    """Adds the fields of some styles to responses."""

    __slots__ = ("_is_standard", "_older", "_several", "_whole")

    def __init__(self, styles: Sequence[str]) -> None:
        self._is_standard = "standard" in styles
        self._older = [OLDER[style] for style in styles if style in OLDER]
        self._several: dict[tuple[Rule | Concurrency, ...], FieldTemplate] = {}
        self._whole: dict[Rule | Concurrency, FieldTemplate] = {}

    def write(self, reservation: Reservation, response: Response) -> None:
        """Add the fields to a response."""
        rules, headers = reservation.rules, response.headers
        if len(rules) > 1 or headers.has_any(OLDER_NAMES):
            self._write_several(reservation, headers)
            return
        rule, decision = rules[0], reservation.decisions[0]
        template = self._whole.get(rule)
        if template is None:
            template = self._whole[rule] = self._whole_template(reservation.limits[0], rule)
        headers.extend(template.fill(decision.remaining, int(decision.reset + ALMOST_ONE)))

    def compiled(self, limit: Limit, rule: Rule) -> FilledFields:
        """Return what has the fields of one limit ready."""
        return FilledFields(self._whole_template(limit, rule))

    def _whole_template(self, limit: Limit, rule: Rule | Concurrency) -> FieldTemplate:
        """Return all fields of one limit when there are no older ones yet; 0 is what is left, 1 when all is back."""
        fields = standard_fields((limit,), (rule,)) if self._is_standard else []
        for prefix in self._older:
            fields += older_fields(prefix, str(rule.quota), "{0}", "{1}")
        return FieldTemplate(fields)

    def _write_several(self, reservation: Reservation, headers: Headers) -> None:
        rules, decisions = tuple(reservation.rules), reservation.decisions
        if self._is_standard:
            template = self._several.get(rules)
            if template is None:
                template = self._several[rules] = FieldTemplate(standard_fields(reservation.limits, rules))
            numbers = [number for each in decisions for number in (each.remaining, int(each.reset + ALMOST_ONE))]
            headers.extend(template.fill(*numbers))
        tightest = min(range(len(rules)), key=lambda index: decisions[index].remaining)
        decision = decisions[tightest]
        for prefix in self._older:
            there = headers.get(f"{prefix}Remaining")
            if there is not None and there.isdigit() and int(there) <= decision.remaining:
                continue
            if there is not None:
                for name in ("Limit", "Remaining", "Reset"):
                    headers.remove(prefix + name)
            reset = int(decision.reset + ALMOST_ONE)
            headers.extend(older_fields(prefix, str(rules[tightest].quota), str(decision.remaining), str(reset)))


class FilledFields(dict[tuple[int, int], FieldBlock]):
    """The fields of one limit by what is left and the seconds until all is back; there are few pairs at a time."""

    __slots__ = ("_template",)

    def __init__(self, template: FieldTemplate) -> None:
        super().__init__()
        self._template = template

    def __missing__(self, numbers: tuple[int, int]) -> FieldBlock:
        if len(self) >= _MOST_PAIRS:
            self.clear()
        block = self[numbers] = self._template.fill(*numbers)
        return block


def standard_fields(limits: Sequence[Limit], rules: Sequence[Rule | Concurrency]) -> list[tuple[str, str]]:
    """Return both standard fields of a template: two numbers a limit, what is left and when all of it is back."""
    policies, currents = [], []
    for index, (limit, rule) in enumerate(zip(limits, rules, strict=True)):
        unit = f';qu="{limit.unit}"' if limit.unit else ""
        window = f";w={max(1, int(rule.window + ALMOST_ONE))}" if rule.window else ""
        policies.append(f'"{limit.name}";q={rule.quota}{unit}{window}')
        currents.append(f'"{limit.name}";r={{{2 * index}}}' + (f";t={{{2 * index + 1}}}" if rule.window else ""))
    return [("RateLimit-Policy", ", ".join(policies)), ("RateLimit", ", ".join(currents))]


def older_fields(prefix: str, limit: str, remaining: str, reset: str) -> list[tuple[str, str]]:
    """Return the three older fields of a style."""
    return [(f"{prefix}Limit", limit), (f"{prefix}Remaining", remaining), (f"{prefix}Reset", reset)]
