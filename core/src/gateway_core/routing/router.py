"""The table of all routes, and the lookup of the route that takes a request.

Order of precedence: higher priority; more specific host (exact, captured label, longest wildcard, none); more specific
path; a method condition; more conditions on headers, cookies, parameters, the client's address and the scheme; more
query conditions; file order. If a better path's other conditions fail, the next
best route is tried. Methods are compared exactly: a route for ``GET`` does not take ``HEAD`` (as in the Gateway API).
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Generic

from gateway_core.routing.conditions import ClientFacts, HeaderLookup, RequestValues
from gateway_core.routing.hosts import ANY_HOST, CAPTURE, capture_of, normalize_host, parse_host
from gateway_core.routing.patterns import Pattern, rule_pattern
from gateway_core.routing.problems import HostError
from gateway_core.routing.redirect import Redirect
from gateway_core.routing.rules import P, RouteRule
from gateway_core.routing.search import find_best, find_first, reachable
from gateway_core.routing.tree import Entry, Match, Tree


@dataclass(frozen=True, slots=True)
class NotFound:
    """No route takes the request, whatever its method: 404."""


@dataclass(frozen=True, slots=True)
class MethodNotAllowed:
    """Routes take the request but for its method: 405. ``allow`` lists their methods, sorted."""

    allow: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HttpsRedirect(NotFound):
    """No route is to take the request over plain HTTP: it is redirected to HTTPS."""

    status: int = 308
    port: int = 443

    def location(self, host: str, target: str) -> str:
        """Return the value of Location.

        :param host: the Host value as received.
        :param target: path and query as sent.
        :raises UnsafePathError: the Host is malformed, and would have to be repeated.
        """
        port = None if self.port == 443 else self.port
        return Redirect(self.status, "https", None, None, port).location("http", host, target, "", {})


NOT_FOUND = NotFound()

_ANY_HOST = {ANY_HOST}


class Tables(Generic[P]):
    """The trees by host: for every host, for exact names, and by what follows a captured label or ``*``."""

    __slots__ = ("any", "captured", "exact", "wildcards")

    def __init__(self) -> None:
        self.any: Tree[P] = Tree()
        self.exact: dict[str, Tree[P]] = {}
        self.captured: dict[str, Tree[P]] = {}
        self.wildcards: dict[str, Tree[P]] = {}

    def tree(self, host: str) -> Tree[P]:
        """Return the tree for a parsed host, made if it is not there yet."""
        if host == ANY_HOST:
            return self.any
        trees, key = self.exact, host
        if host.startswith(("*.", CAPTURE)):
            trees, key = self.wildcards if host[0] == "*" else self.captured, host[1:]
        tree = trees.get(key)
        if tree is None:
            tree = trees[key] = Tree()
        return tree


class Router(Generic[P]):
    """An immutable table of routes; :class:`RouterBuilder` makes it."""

    __slots__ = ("_any", "_captured", "_exact", "_has_hosts", "_needs_values", "_one_priority", "_wildcards", "size")

    def __init__(self, tables: Tables[P], *, needs_values: bool, one_priority: bool, size: int) -> None:
        self._any = tables.any
        self._exact = tables.exact
        self._captured = tables.captured
        self._wildcards = tables.wildcards
        self._has_hosts = bool(self._exact or self._captured or self._wildcards)
        self._needs_values = needs_values
        self._one_priority = one_priority
        self.size = size

    def clear(self) -> Iterator[None]:
        """Take the table apart, as no one uses it any more: each step frees a little."""
        for tree in (self._any, *self._exact.values(), *self._captured.values(), *self._wildcards.values()):
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
        self, method: str, host: str, path: str, query: str, header: HeaderLookup, client: ClientFacts | None = None
    ) -> Match[P] | NotFound | MethodNotAllowed:
        """Return the route that takes a request, or why there is none.

        :param host: the Host value as received; not looked at if no route names a host.
        :param path: the match path (:mod:`gateway_core.messages.path`).
        :param query: what stands behind the ``?``, raw; parsed only if a candidate has a query condition.
        :param header: returns a header's values for its name in lower case; called only for header and cookie
            conditions.
        :param client: read only by conditions on the client's address and the scheme, which fail without it.
        :raises TextTooLongError: a text of the request is too long for a regular expression that has to judge it.
        """
        values = RequestValues(query, path, host, client) if self._needs_values else None
        if self._has_hosts or not self._one_priority:
            return self._match(method, host, path, values, header)
        found = find_first(self._any, path, method, header, values)
        return self._refuse(host, path, values or RequestValues(""), header) if found is None else found

    def match_preflight(
        self, asked: str, host: str, path: str, client: ClientFacts | None = None
    ) -> Match[P] | NotFound | MethodNotAllowed:
        """Return the route of the request that a preflight asks for (Fetch standard, section 3.2.2).

        A preflight has neither the fields nor the cookies and query that the request will have: conditions on them are
        not evaluated.

        :param asked: the method that it asks for.
        """
        values = RequestValues("", path, host, client, is_preflight=True)
        return self._match(asked, host, path, values, _no_fields)

    def _match(
        self, method: str, host: str, path: str, values: RequestValues | None, header: HeaderLookup
    ) -> Match[P] | NotFound | MethodNotAllowed:
        if self._has_hosts:
            found = self._match_hosts(method, host, path, values, header)
        elif self._one_priority:
            found = find_first(self._any, path, method, header, values)
        else:
            found = find_best(self._any, path, method, header, values)
        if found is None:
            return self._refuse(host, path, values or RequestValues(""), header)
        return found

    def trees_for(self, host: str) -> list[Tree[P]]:
        """Return the tables that a host falls under, the most specific first."""
        trees: list[Tree[P]] = []
        if self._has_hosts:
            host = normalize_host(host)
            exact = self._exact.get(host)
            if exact is not None:
                trees.append(exact)
            if self._captured:
                dot = host.find(".", 1)
                captured = self._captured.get(host[dot:]) if dot > 0 else None
                if captured is not None:
                    trees.append(captured)
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
        self, method: str, host: str, path: str, values: RequestValues | None, header: HeaderLookup
    ) -> Match[P] | None:
        found: Match[P] | None = None
        for tree in self.trees_for(host):
            if self._one_priority:
                found = find_first(tree, path, method, header, values)
                if found is not None:
                    return found if tree.host_names is None else _with_label(found, tree.host_names, host)
            else:
                best = find_best(tree, path, method, header, values, found)
                if best is not None and best is not found and tree.host_names is not None:
                    best = _with_label(best, tree.host_names, host)
                found = best
        return found

    def _refuse(self, host: str, path: str, values: RequestValues, header: HeaderLookup) -> NotFound | MethodNotAllowed:
        """Gather the methods of the routes that would take the request but for its own."""
        allow: set[str] = set()
        for tree in self.trees_for(host):
            for leaf in reachable(tree, path):
                for entry in leaf:
                    if entry.methods is not None and (
                        entry.conditions is None or entry.conditions.hold(header, values)
                    ):
                        allow |= entry.methods
        return MethodNotAllowed(tuple(sorted(allow))) if allow else NOT_FOUND


class RouterBuilder(Generic[P]):
    """Gathers routes one by one, so that a serving process can build a large table in small slices."""

    __slots__ = ("_needs_values", "_priorities", "_size", "_tables")

    def __init__(self) -> None:
        self._tables: Tables[P] = Tables()
        self._priorities: set[int] = set()
        self._needs_values = False
        self._size = 0

    def add(self, rule: RouteRule[P], pattern: Pattern | None = None) -> None:
        """Put one route into the table.

        :param pattern: the rule's, if it is known already.
        :raises RuleError: its path, hosts or conditions cannot be compiled; nothing was added then.
        """
        pattern = rule_pattern(rule) if pattern is None else pattern
        hosts, names = host_keys(rule.hosts, pattern) if rule.hosts else (_ANY_HOST, {})
        entry = Entry(rule, pattern)
        for host in hosts:
            tree = self._tables.tree(host)
            tree.insert(pattern, entry)
            if host in names:
                tree.host_names = {} if tree.host_names is None else tree.host_names
                tree.host_names[rule.order] = names[host]
        self._priorities.add(rule.priority)
        self._needs_values = self._needs_values or bool(rule.query) or rule.has_further_conditions
        self._size += 1

    def freeze(self) -> Router[P]:
        """Return the finished table. The builder must not be used afterwards."""
        return Router(
            self._tables, needs_values=self._needs_values, one_priority=len(self._priorities) <= 1, size=self._size
        )


def _no_fields(_name: str) -> tuple[str, ...]:
    return ()


class RedirectingRouter(Router[P]):
    """The routes of a listener that redirects requests of plain HTTP to HTTPS."""

    __slots__ = ("_named", "_outcome", "_rest")

    def __init__(self, named: Router[P], rest: Router[P], outcome: HttpsRedirect) -> None:
        """Take the routes that name the listener, which are served nevertheless, and all that count there."""
        self._named = named
        self._rest = rest
        self._outcome = outcome
        self.size = rest.size

    def clear(self) -> Iterator[None]:
        """See :meth:`Router.clear`."""
        yield from self._named.clear()
        yield from self._rest.clear()

    def trees_for(self, host: str) -> list[Tree[P]]:
        """See :meth:`Router.trees_for`."""
        return self._rest.trees_for(host)

    def match(
        self, method: str, host: str, path: str, query: str, header: HeaderLookup, client: ClientFacts | None = None
    ) -> Match[P] | NotFound | MethodNotAllowed:
        """See :meth:`Router.match`."""
        if client is None or client.scheme == "https":
            return self._rest.match(method, host, path, query, header, client)
        found = self._named.match(method, host, path, query, header, client)
        return found if isinstance(found, Match) else self._outcome

    def match_preflight(
        self, asked: str, host: str, path: str, client: ClientFacts | None = None
    ) -> Match[P] | NotFound | MethodNotAllowed:
        """See :meth:`Router.match_preflight`."""
        if client is None or client.scheme == "https":
            return self._rest.match_preflight(asked, host, path, client)
        found = self._named.match_preflight(asked, host, path, client)
        return found if isinstance(found, Match) else self._outcome


def host_keys(hosts: Iterable[str], pattern: Pattern) -> tuple[set[str], dict[str, str]]:
    """Return a route's hosts in the form that tables use, and by what name those capture a label that do.

    :raises HostError: one cannot be matched, or captures by a name that is used otherwise.
    """
    keys, names = set(), dict[str, str]()
    for text in hosts:
        captured = capture_of(text)
        key = parse_host(text) if captured is None else captured[1]
        keys.add(key)
        if captured is None:
            continue
        name = captured[0]
        if name in pattern.params or names.get(key, name) != name:
            where = f"in {pattern.text!r}" if name in pattern.params else f"as {names[key]!r}"
            raise HostError(
                f"host {text!r} captures {name!r}, which is captured {where} too", remedy="use one name once"
            )
        names[key] = name
    return keys, names


def _with_label(found: Match[P], names: Mapping[int, str], host: str) -> Match[P]:
    """Return a match with the label of the host that its route captures."""
    name, label = names[found.rule.order], normalize_host(host).partition(".")[0]
    return Match(found.rule, params=MappingProxyType({**found.params, name: label}))


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
    return None if found is None else found.params
