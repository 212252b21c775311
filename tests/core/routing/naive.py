"""The specification of matching as a list that is searched from end to end: slow, and simple to read.

It shares nothing with the tree but the input types: patterns become regular expressions over the decoded segments of a
match path, and the winner is the minimum of a key.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from urllib.parse import parse_qs, unquote

from gateway_core.routing import RouteRule, ValueCondition

SEPARATOR = "\x00"


def segments_of(path: str) -> list[str]:
    return [unquote(segment, errors="replace") for segment in path.split("/")[1:]]


def pattern_regex(rule: RouteRule[str]) -> tuple[str, tuple[int, ...]]:
    """Return a regex over the segments, each behind a NUL, and the order of the pattern among those that match."""
    parts, order = [], []
    text = rule.path if rule.path is not None else (rule.path_prefix or "").removesuffix("/")
    for raw in text.split("/")[1:]:
        start, colon, name = raw.partition(":")
        if rule.path is not None and raw.startswith("*"):
            parts.append(f"{SEPARATOR}(?P<{raw[1:]}>.*)")
            order.append(9000)
        elif rule.path is not None and colon:
            literal = unquote(start)
            parts.append(f"{SEPARATOR}{re.escape(literal)}(?P<{name}>[^{SEPARATOR}]+)")
            order.append(8000 - len(literal.replace("%", "%25").replace("/", "%2F")))
        else:
            parts.append(SEPARATOR + re.escape(unquote(raw)))
            order.append(0)
    if rule.path_prefix is not None:
        parts.append(f"({SEPARATOR}.*)?")
        order.append(9000)
    return "".join(parts), tuple(order)


def path_params(rule: RouteRule[str], path: str) -> dict[str, str] | None:
    if rule.path_regex is not None:
        found = re.fullmatch(rule.path_regex, path, re.DOTALL)
        groups = {} if found is None else found.groupdict()
        return None if found is None else {k: unquote(v) for k, v in groups.items() if v is not None}
    joined = "".join(SEPARATOR + segment for segment in segments_of(path))
    found = re.fullmatch(pattern_regex(rule)[0], joined, re.DOTALL)
    return None if found is None else {k: v.replace(SEPARATOR, "/") for k, v in found.groupdict().items()}


def host_order(rule: RouteRule[str], host: str) -> int | None:
    """Return how specific the best of the rule's hosts for a request is: smaller is better, None is no match."""
    if not rule.hosts:
        return 10_000
    name = host.lower().split(":")[0].rstrip(".")
    orders = []
    for pattern in (h.lower() for h in rule.hosts):
        if pattern == name:
            orders.append(0)
        elif pattern == "*":
            orders.append(10_000)
        elif pattern.startswith("*.") and name.endswith(pattern[1:]) and name != pattern[1:]:
            orders.append(1000 - len(pattern))
    return min(orders, default=None)


def condition_holds(condition: ValueCondition, values: Sequence[str]) -> bool:
    if condition.present is not None:
        return bool(values) == condition.present
    if condition.regex is not None:
        return any(re.fullmatch(condition.regex, value, re.DOTALL) for value in values)
    return any(value == condition.value for value in values)


def conditions_hold(rule: RouteRule[str], query: str, header: Callable[[str], Sequence[str]]) -> bool:
    values = parse_qs(query, keep_blank_values=True)
    return all(condition_holds(c, header(c.name.lower())) for c in rule.headers) and all(
        condition_holds(c, values.get(c.name, ())) for c in rule.query
    )


def naive_match(
    rules: list[RouteRule[str]], method: str, host: str, path: str, query: str, header: Callable[[str], Sequence[str]]
) -> tuple[str, dict[str, str]] | tuple[str, ...] | None:
    """Return (id, params) of the winner, the allowed methods, or None."""
    candidates = []
    allow: set[str] = set()
    for rule in rules:
        params, by_host = path_params(rule, path), host_order(rule, host)
        if params is None or by_host is None or not conditions_hold(rule, query, header):
            continue
        if rule.methods and method not in rule.methods:
            allow |= rule.methods
            continue
        by_path = (99_999, rule.order) if rule.path_regex is not None else pattern_regex(rule)[1]
        rest = (not rule.methods, -len(rule.headers), -len(rule.query), rule.order)
        candidates.append(((-rule.priority, by_host, by_path, *rest), rule, params))
    if candidates:
        _, rule, params = min(candidates, key=lambda candidate: candidate[0])
        return rule.id, params
    return tuple(sorted(allow)) or None
