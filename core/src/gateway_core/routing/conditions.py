"""Header and query conditions, compiled once and evaluated only for routes that have them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote_plus

from gateway_core.routing.problems import ConditionError
from gateway_core.routing.rules import ValueCondition

HeaderLookup = Callable[[str], "str | None"]
"""Takes a header's name in lower case, answers its value or ``None``."""


class QueryValues:
    """The parameters of one query string, parsed when the first condition asks."""

    __slots__ = ("_parsed", "_raw")

    def __init__(self, raw: str) -> None:
        self._raw = raw
        self._parsed: dict[str, str] | None = None

    def first(self, name: str) -> str | None:
        """Return the first value of the parameter ``name``, or ``None``."""
        if self._parsed is None:
            self._parsed = parse_query(self._raw)
        return self._parsed.get(name)


def parse_query(raw: str) -> dict[str, str]:
    """Return the first value of each parameter, decoded as a form (``+`` is a space, undecodable bytes are U+FFFD)."""
    values: dict[str, str] = {}
    for pair in raw.split("&"):
        if pair:
            name, _, value = pair.partition("=")
            values.setdefault(unquote_plus(name), unquote_plus(value))
    return values


@dataclass(frozen=True, slots=True)
class ValueTest:
    """One compiled condition."""

    name: str
    value: str | None
    regex: re.Pattern[str] | None
    present: bool

    def passes(self, found: str | None) -> bool:
        """Say whether a value, or its absence, satisfies the condition."""
        if found is None:
            return not self.present
        if self.value is not None:
            return found == self.value
        return self.present and (self.regex is None or self.regex.fullmatch(found) is not None)


@dataclass(frozen=True, slots=True)
class Conditions:
    """All header and query conditions of one route."""

    headers: tuple[ValueTest, ...]
    query: tuple[ValueTest, ...]

    def hold(self, header: HeaderLookup, query: QueryValues) -> bool:
        """Say whether all are satisfied. ``header`` is asked only for names that have a condition."""
        for test in self.headers:
            if not test.passes(header(test.name)):
                return False
        return all(test.passes(query.first(test.name)) for test in self.query)


def compile_conditions(headers: tuple[ValueCondition, ...], query: tuple[ValueCondition, ...]) -> Conditions | None:
    """Compile a route's conditions; ``None`` if it has none.

    :raises ConditionError: a condition asks for nothing or for several things, or its regex does not compile.
    """
    if not headers and not query:
        return None
    return Conditions(
        tuple([compile_test("header", condition, condition.name.lower()) for condition in headers]),
        tuple([compile_test("query parameter", condition, condition.name) for condition in query]),
    )


def compile_test(what: str, condition: ValueCondition, name: str) -> ValueTest:
    """Compile one condition on the header or parameter ``name``; ``what`` names its kind in an error."""
    asked = [asked for asked in (condition.value, condition.regex, condition.present) if asked is not None]
    if len(asked) != 1:
        raise ConditionError(
            f"{what} {condition.name!r} needs exactly one of value, regex and present, it has {len(asked)}"
        )
    try:
        regex = None if condition.regex is None else re.compile(condition.regex)
    except re.error as error:
        raise ConditionError(
            f"{what} {condition.name!r}: regex {condition.regex!r} does not compile: {error}"
        ) from None
    return ValueTest(name, condition.value, regex, condition.present is not False)
