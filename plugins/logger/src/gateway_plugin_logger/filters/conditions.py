"""The usual conditions, without the words of an expression."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, Final

from gateway_plugin_sdk import Record, Request, Response

from gateway_plugin_logger.config.conditions import Conditions
from gateway_plugin_logger.filters.expression import compile_predicate
from gateway_plugin_logger.formats.compiler import compile_expression

Predicate = Callable[[Request, Response, Record], bool]

_SWITCHES: Final = {
    "retried": "len(record.attempts) > 1",
    "aborted": "record.aborted is not None",
    "failed": "record.error is not None",
}


def make_condition(conditions: Conditions, *, undecided: bool) -> Predicate | None:
    """Return a function that says whether any of the conditions holds; None if there are none.

    :param undecided: what an expression says where a text is too long for a regular expression.
    """
    sources: list[str] = []
    names: dict[str, Any] = {}
    numbers = count()
    for source, operand in _tests(conditions, undecided=undecided):
        name = f"_operand_{next(numbers)}"
        names[name] = operand
        sources.append(f"({source.replace('OPERAND', name)})")
    if not sources:
        return None
    return compile_expression(ast.parse(" or ".join(sources), mode="eval").body, names)


def _tests(conditions: Conditions, *, undecided: bool) -> Iterator[tuple[str, Any]]:
    """Yield the source of each test, and what it calls ``OPERAND``."""
    if conditions.statuses:
        named = frozenset(status for each in conditions.statuses for status in range(each.first, each.last + 1))
        yield "response.status in OPERAND", named
    if conditions.methods:
        yield "request.method in OPERAND", frozenset(conditions.methods)
    if conditions.routes:
        yield "request.route is not None and request.route.id in OPERAND", frozenset(conditions.routes)
    if conditions.produced_by:
        yield "record.produced_by in OPERAND", frozenset(conditions.produced_by)
    if conditions.slower_than is not None:
        yield "record.duration > OPERAND", conditions.slower_than
    if conditions.paths:
        yield "OPERAND(request.path)", _make_path_test(conditions.paths)
    if conditions.hosts:
        yield "OPERAND(request.host)", _make_host_test(conditions.hosts)
    yield from [(source, None) for name, source in _SWITCHES.items() if getattr(conditions, name)]
    if conditions.when is not None:
        yield "OPERAND(request, response, record)", compile_predicate(conditions.when, undecided=undecided)


def _make_path_test(patterns: tuple[str, ...]) -> Callable[[str], bool]:
    exact = frozenset(pattern for pattern in patterns if not pattern.endswith("*"))
    prefixes = tuple(pattern[:-1] for pattern in patterns if pattern.endswith("*"))

    def matches(path: str) -> bool:
        return path in exact or path.startswith(prefixes)

    return matches


def _make_host_test(hosts: tuple[str, ...]) -> Callable[[str], bool]:
    wanted = frozenset(host.lower().rstrip(".") for host in hosts)

    def matches(host: str) -> bool:
        name = host[: host.find("]") + 1] if host.startswith("[") else host.partition(":")[0]
        return name.lower().rstrip(".") in wanted

    return matches
