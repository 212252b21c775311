"""The table of all routes, and the lookup of the route that takes a request.

Order of precedence: higher priority; more specific host (exact, longest wildcard, none); more specific path; a method
condition; more header conditions; more query conditions; file order. If a better path's other conditions fail, the next
best route is tried. Methods are compared exactly: a route for ``GET`` does not take ``HEAD`` (as in the Gateway API).
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic

from gateway_core.routing.conditions import HeaderLookup, QueryValues
from gateway_core.routing.entries import Entry, Match, decode_params
from gateway_core.routing.hosts import ANY_HOST, normalize_host, parse_host
from gateway_core.routing.patterns import Pattern, rule_pattern
from gateway_core.routing.rules import P, RouteRule
from gateway_core.routing.search import find_best, find_first, reachable
from gateway_core.routing.tree import Tree


@dataclass(frozen=True, slots=True)
class NotFound:
    """No route takes the request, whatever its method: 404."""


@dataclass(frozen=True, slots=True)
class MethodNotAllowed:
    """Routes take the request but for its method: 405. ``allow`` lists their methods, sorted."""

    allow: tuple[str, ...]


NOT_FOUND = NotFound()

_ANY_HOST = {ANY_HOST}


class Tables(Generic[P]):
    """The trees by host: for every host, for exact names, and for wildcards by what follows their ``*``."""

    __slots__ = ("any", "exact", "wildcards")

    def __init__(self) -> None:
        self.any: Tree[P] = Tree()
        self.exact: dict[str, Tree[P]] = {}
        self.wildcards: dict[str, Tree[P]] = {}

    def tree(self, host: str) -> Tree[P]:
        """Return the tree for a parsed host, made if it is not there yet."""
        if host == ANY_HOST:
            return self.any
        trees, key = (self.wildcards, host[1:]) if host.startswith("*.") else (self.exact, host)
        tree = trees.get(key)
        if tree is None:
            tree = trees[key] = Tree()
        return tree


class Router(Generic[P]):
    """An immutable table of routes; :class:`RouterBuilder` makes it."""

    __slots__ = ("_any", "_exact", "_has_hosts", "_has_query", "_one_priority", "_wildcards", "size")

    def __init__(self, tables: Tables[P], *, has_query: bool, one_priority: bool, size: int) -> None:
        self._any = tables.any
        self._exact = tables.exact
        self._wildcards = tables.wildcards
        self._has_hosts = bool(self._exact or self._wildcards)
        self._has_query = has_query
        self._one_priority = one_priority
        self.size = size

    def clear(self) -> Iterator[None]:
        """Take the table apart, as no one uses it any more: each step frees a little."""
        for tree in (self._any, *self._exact.values(), *self._wildcards.values()):
            yield from tree.clear()

    @classmethod
    def build(cls, rules: Iterable[RouteRule[P]]) -> Router[P]:
        """Build a table at once.

        :raises RuleError: a rule cannot be compiled; the message names its id.
        """
        builder: RouterBuilder[P] = RouterBuilder()
        for rule in rules:
            builder.add(rule)
        return builder.freeze()

    def match(
        self, method: str, host: str, path: str, query: str, header: HeaderLookup
    ) -> Match[P] | NotFound | MethodNotAllowed:
        """Return the route that takes a request, or why there is none.

        :param host: the Host value as received; not looked at if no route names a host.
        :param path: the match path (:mod:`gateway_core.messages.path`).
        :param query: what stands behind the ``?``, raw; parsed only if a candidate has a query condition.
        :param header: returns a header's values for its name in lower case; called only for header conditions.
        :raises TextTooLongError: a text of the request is too long for a regular expression that has to judge it.
        """
        values = QueryValues(query) if self._has_query else None
        if self._has_hosts:
            found = self._match_hosts(method, host, path, values, header)
        elif self._one_priority:
            found = find_first(self._any, path, method, header, values)
        else:
            found = find_best(self._any, path, method, header, values)
        if found is None:
            return self._refuse(host, path, values or QueryValues(""), header)
        return decode_params(found) if "%" in path else found

    def trees_for(self, host: str) -> list[Tree[P]]:
        """Return the tables that a host falls under, the most specific first."""
        trees: list[Tree[P]] = []
        if self._has_hosts:
            host = normalize_host(host)
            exact = self._exact.get(host)
            if exact is not None:
                trees.append(exact)
            if self._wildcards:
                dot = host.find(".", 1)
                while dot > 0:
                    tree = self._wildcards.get(host[dot:])
                    if tree is not None:
                        trees.append(tree)
                    dot = host.find(".", dot + 1)
        trees.append(self._any)
        return trees

    def _match_hosts(
        self, method: str, host: str, path: str, query: QueryValues | None, header: HeaderLookup
    ) -> Match[P] | None:
        found: Match[P] | None = None
        if self._one_priority:
            for tree in self.trees_for(host):
                found = find_first(tree, path, method, header, query)
                if found is not None:
                    return found
            return None
        for tree in self.trees_for(host):
            found = find_best(tree, path, method, header, query, found)
        return found

    def _refuse(self, host: str, path: str, query: QueryValues, header: HeaderLookup) -> NotFound | MethodNotAllowed:
        """Gather the methods of the routes that would take the request but for its own."""
        allow: set[str] = set()
        for tree in self.trees_for(host):
            for leaf in reachable(tree, path):
                for entry in leaf:
                    if entry.methods is not None and (entry.conditions is None or entry.conditions.hold(header, query)):
                        allow |= entry.methods
        return MethodNotAllowed(tuple(sorted(allow))) if allow else NOT_FOUND


class RouterBuilder(Generic[P]):
    """Gathers routes one by one, so that a serving process can build a large table in small slices."""

    __slots__ = ("_has_query", "_priorities", "_size", "_tables")

    def __init__(self) -> None:
        self._tables: Tables[P] = Tables()
        self._priorities: set[int] = set()
        self._has_query = False
        self._size = 0

    def add(self, rule: RouteRule[P]) -> None:
        """Put one route into the table.

        :raises RuleError: its path, hosts or conditions cannot be compiled; nothing was added then.
        """
        pattern = rule_pattern(rule)
        hosts = {parse_host(host) for host in rule.hosts} if rule.hosts else _ANY_HOST
        entry = Entry(rule, pattern)
        for host in hosts:
            self._tables.tree(host).insert(pattern, entry)
        self._priorities.add(rule.priority)
        self._has_query = self._has_query or bool(rule.query)
        self._size += 1

    def freeze(self) -> Router[P]:
        """Return the finished table. The builder must not be used afterwards."""
        return Router(self._tables, has_query=self._has_query, one_priority=len(self._priorities) <= 1, size=self._size)


def build_steps(rules: Iterable[RouteRule[P]], batch: int = 32) -> Generator[int, None, Router[P]]:
    """Build a table in slices: yields the number of rules done after each ``batch``, returns the table.

    The caller lets other work run in between and decides by its own clock how many slices to take in one go.

    :raises RuleError: as :meth:`RouterBuilder.add`.
    """
    builder: RouterBuilder[P] = RouterBuilder()
    for done, rule in enumerate(rules, 1):
        builder.add(rule)
        if done % batch == 0:
            yield done
    return builder.freeze()


def params_of(pattern: Pattern, path: str) -> Mapping[str, str] | None:
    """Return the parameters that a pattern finds in a match path; None if it does not match.

    For routes that a plugin chose: their own conditions were not evaluated.
    """
    rule: RouteRule[None] = RouteRule(id="", payload=None)
    tree: Tree[None] = Tree()
    tree.insert(pattern, Entry(rule, pattern))
    found = find_first(tree, path, "", lambda _name: (), None)
    if found is None:
        return None
    return decode_params(found).params if "%" in path else found.params
