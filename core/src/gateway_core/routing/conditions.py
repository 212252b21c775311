"""Header and query conditions, compiled once and evaluated only for routes that have them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote_plus

from gateway_core.errors import TextSource
from gateway_core.regex import Pattern, PatternSyntaxError, SlowPatternError, compile_pattern
from gateway_core.routing.problems import ConditionError
from gateway_core.routing.rules import ValueCondition

HeaderLookup = Callable[[str], Sequence[str]]
"""Takes a header's name in lower case, returns the values of all its fields."""


class QueryValues:
    """The parameters of one query string, parsed when the first condition needs them."""

    __slots__ = ("_parsed", "_raw")

    def __init__(self, raw: str) -> None:
        self._raw = raw
        self._parsed: dict[str, list[str]] | None = None

    def all(self, name: str) -> Sequence[str]:
        """Return the values of the parameter ``name``, in order."""
        if self._parsed is None:
            self._parsed = parse_query(self._raw)
        return self._parsed.get(name, ())


def parse_query(raw: str) -> dict[str, list[str]]:
    """Return the values of each parameter, decoded as a form (``+`` is a space, undecodable bytes are U+FFFD)."""
    values: dict[str, list[str]] = {}
    for pair in raw.split("&"):
        if pair:
            name, _, value = pair.partition("=")
            values.setdefault(unquote_plus(name), []).append(unquote_plus(value))
    return values


@dataclass(frozen=True, slots=True)
class ValueTest:
    """One compiled condition.

    Of several values one is enough: which one an upstream takes is not known, and what a route is for must not be had
    from a less specific one by sending another value first.
    """

    name: str
    value: str | None
    regex: Pattern | None
    present: bool
    source: TextSource

    def passes(self, found: Sequence[str]) -> bool:
        """Say whether one of the values, or the absence of any, satisfies the condition.

        :raises TextTooLongError: a value is too long for the regular expression.
        """
        if not found:
            return not self.present
        if self.value is not None:
            return self.value in found
        regex = self.regex
        if regex is not None:
            return any(regex.fullmatch(each, self.source) is not None for each in found)
        return self.present


@dataclass(frozen=True, slots=True)
class Conditions:
    """All header and query conditions of one route."""

    headers: tuple[ValueTest, ...]
    query: tuple[ValueTest, ...]

    def hold(self, header: HeaderLookup, query: QueryValues) -> bool:
        """Say whether all are satisfied. ``header`` is called only for names that have a condition."""
        for test in self.headers:
            if not test.passes(header(test.name)):
                return False
        return all(test.passes(query.all(test.name)) for test in self.query)


def compile_conditions(headers: tuple[ValueCondition, ...], query: tuple[ValueCondition, ...]) -> Conditions | None:
    """Compile a route's conditions; ``None`` if it has none.

    :raises ConditionError: a condition has no test or several, or its regex does not compile.
    """
    if not headers and not query:
        return None
    return Conditions(
        tuple([compile_test("header", condition, condition.name.lower(), "field") for condition in headers]),
        tuple([compile_test("query parameter", condition, condition.name, "query") for condition in query]),
    )


def compile_test(what: str, condition: ValueCondition, name: str, source: TextSource) -> ValueTest:
    """Compile one condition on the header or parameter ``name``; ``what`` names its kind in an error."""
    asked = [asked for asked in (condition.value, condition.regex, condition.present) if asked is not None]
    if len(asked) != 1:
        raise ConditionError(
            f"{what} {condition.name!r} needs exactly one of value, regex and present, it has {len(asked)}"
        )
    try:
        regex = None if condition.regex is None else compile_pattern(condition.regex, Pattern)
    except (PatternSyntaxError, SlowPatternError) as error:
        raise ConditionError(f"{what} {condition.name!r}: regex {error}") from None
    return ValueTest(name, condition.value, regex, condition.present is not False, source)
