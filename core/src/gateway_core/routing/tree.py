"""The table for one host: paths without parameters in a dict, patterns and prefixes in a tree of segments, regexes.

What it holds for each route is an `Entry`; what is returned of it is a `Match`.

How it works. Among patterns that match the same path the order of precedence is the order of a depth-first walk that
tries, at every node, the literal child, then longer literal starts before shorter ones (``user_:name``), then the
parameter, then what ends here with ``*rest`` or a prefix; and where the path ends, exact routes before prefixes. So the
first route that admits the request is the winner, and a table of a hundred thousand routes costs what its deepest
pattern costs. A parameter's value is found by its place when the winner is known; the walk itself carries nothing.
Where only a parameter can follow literal segments (``/users/:id``), the walk is spared from the second request on: the
place is remembered by the path before the last segment (`Tree.learn_behind`).

A node with a single literal child holds it in two slots instead of a dict: that is most nodes, and a dict of one costs
as much as three nodes.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Generic

from gateway_core.messages.path import decode_match_text
from gateway_core.routing.conditions import Conditions, HeaderLookup, RequestValues, compile_conditions, compile_tests
from gateway_core.routing.patterns import Captures, Kind, Pattern, Segment, Shape, captures_of
from gateway_core.routing.rules import P, RouteRule

NO_PARAMS: Mapping[str, str] = MappingProxyType({})


class Match(Generic[P]):
    """The route that takes a request. Routes without parameters share one instance."""

    __slots__ = ("_captures", "_params", "_path", "payload", "rule")

    def __init__(
        self,
        rule: RouteRule[P],
        path: str = "",
        captures: Captures | None = None,
        params: Mapping[str, str] | None = None,
    ) -> None:
        """Describe a match.

        :param path: a match path, in which the parameters of ``captures`` stand.
        :param params: those that a regular expression has found, as they stand in the path; read-only ones are decoded.
        """
        self.payload = rule.payload
        self.rule = rule
        self._path = path
        self._captures = captures
        self._params = params

    @property
    def params(self) -> Mapping[str, str]:
        """Each parameter's text by its name, percent-decoded once (UTF-8, undecodable bytes are U+FFFD).

        Found when it is asked for: most requests go on without.
        """
        if self._captures is not None:
            self._params = texts_at(self._captures, self._path.split("/"))
            self._captures = None
        found = self._params
        if not found:
            return NO_PARAMS
        if not isinstance(found, MappingProxyType):  # hooks get it
            decoded = {name: decode_match_text(text) if "%" in text else text for name, text in found.items()}
            found = self._params = MappingProxyType(decoded)
        return found


class Entry(Generic[P]):
    """One route at one place of a table."""

    __slots__ = ("captures", "conditions", "ends_in_parameter", "is_open", "match", "methods", "priority")

    def __init__(self, rule: RouteRule[P], pattern: Pattern) -> None:
        self.methods = rule.methods or None
        self.conditions: Conditions | None = None
        if rule.has_conditions:
            self.conditions = compile_conditions(rule.headers, rule.query, compile_tests(rule, pattern))
        self.is_open = self.methods is None and self.conditions is None
        """Whether it takes every request for its path."""
        self.captures: Captures | None = captures_of(pattern)
        self.ends_in_parameter = _ends_in_parameter(pattern)
        """Whether its last segment is a parameter, and all others are literal."""
        self.match: Match[P] = Match(rule)
        self.priority = rule.priority

    def rank(self) -> tuple[int, bool, int, int, int]:
        """Return what orders routes of equal host and path: the smaller comes first."""
        rule = self.match.rule
        return (-rule.priority, not rule.methods, -rule.condition_count, -len(rule.query), rule.order)

    def admits(self, method: str, header: HeaderLookup, values: RequestValues) -> bool:
        """Say whether method and conditions match."""
        if self.methods is not None and method not in self.methods:
            return False
        return self.conditions is None or self.conditions.hold(header, values)

    def match_for(self, path: str) -> Match[P]:
        """Return the match for a match path."""
        return self.match if self.captures is None else Match(self.match.rule, path, self.captures)


def _ends_in_parameter(pattern: Pattern) -> bool:
    last = len(pattern.segments) - 1
    is_exact = pattern.shape is Shape.EXACT and pattern.literal_count == last
    return is_exact and pattern.segments[last].kind is Kind.PARAM


def texts_at(captures: Captures, segments: list[str]) -> dict[str, str]:
    """Return what stands in the places of parameters.

    :param segments: those of a match path; the first is the empty one before ``/``.
    """
    params: dict[str, str] = {}
    for name, index, cut in captures:
        if cut == 0:
            params[name] = segments[index]
        elif cut > 0:
            params[name] = segments[index][cut:]
        else:
            params[name] = "/".join(segments[index:])
    return params


Leaf = list[Entry[P]]

_MOST_BEHIND = 4096
"""Starts of routes that are remembered."""


class Node(Generic[P]):
    """A node of the tree: what may follow (children) and which routes are complete here.

    ``leaf`` is for a path that ends here: exact routes, then prefixes, each in order of rank. ``tail`` is for a path
    that goes on: ``*rest`` routes and prefixes, in order of rank. ``forks`` says whether anything but a literal child
    can take a further segment.
    """

    __slots__ = ("affixed", "child", "children", "exact_count", "forks", "label", "leaf", "param", "tail")

    def __init__(self) -> None:
        self.label: str | None = None
        self.child: Node[P] | None = None
        self.children: dict[str, Node[P]] | None = None
        self.affixed: list[tuple[str, Node[P]]] | None = None
        self.param: Node[P] | None = None
        self.leaf: Leaf[P] | None = None
        self.exact_count = 0
        self.tail: Leaf[P] | None = None
        self.forks = False

    def literal(self, segment: str) -> Node[P] | None:
        """Return the literal child for a segment."""
        if self.children is not None:
            return self.children.get(segment)
        return self.child if self.label == segment else None

    def take(self) -> Node[P] | None:
        """Remove one of the nodes below this one, and return it; None if there is none."""
        if self.children:
            return self.children.popitem()[1]
        if self.affixed:
            return self.affixed.pop()[1]
        found, self.child = self.child, None
        if found is None:
            found, self.param = self.param, None
        return found

    @property
    def has_only_tail(self) -> bool:
        """Whether no segment leads to another node."""
        return self.label is None and self.children is None and self.affixed is None and self.param is None


class Tree(Generic[P]):
    """All routes for one host."""

    __slots__ = ("behind", "catch_all", "host_names", "regexes", "root", "statics")

    def __init__(self) -> None:
        self.behind: dict[str, Leaf[P]] = {}
        """Routes that end in a parameter, by the literal path before it (see `learn_behind`)."""
        self.statics: dict[str, Leaf[P]] = {}
        self.host_names: dict[int, str] | None = None
        """By what name each route, known by its order, captures the first label of the host; None if none does."""
        self.root: Node[P] | None = None
        self.catch_all: Leaf[P] | None = None
        """Routes for every path that begins with ``/``, if the tree has no others: many hosts have one route."""
        self.regexes: list[tuple[Pattern, Entry[P]]] = []

    def insert(self, pattern: Pattern, entry: Entry[P]) -> None:
        """Put a route in its place."""
        if pattern.shape is Shape.REGEX:
            insort(self.regexes, (pattern, entry), key=_order_of_regex)
        elif pattern.shape is Shape.EXACT and entry.captures is None:
            path = "".join(["/" + segment.text for segment in pattern.segments])
            leaf = self.statics.get(path)
            if leaf is None:
                self.statics[path] = [entry]
            else:
                insort(leaf, entry, key=Entry.rank)
        else:
            if self.root is None:
                self.root = Node()
            _insert_pattern(self.root, pattern, entry)
            self.catch_all = self.root.tail if self.root.has_only_tail else None

    def clear(self) -> Iterator[None]:
        """Take the tree apart, as no one uses it any more: each step frees a little, from the leaves on."""
        way, self.root, self.catch_all = [] if self.root is None else [self.root], None, None
        while way:
            below = way[-1].take()
            if below is not None:
                way.append(below)
                continue
            way.pop()
            yield
        for table in (self.statics, self.behind):
            while table:
                table.popitem()
                yield

    def learn_behind(self, segments: Sequence[str]) -> None:
        """Remember the routes that the walk tries first for all paths of these segments and one more.

        Most paths of REST are of that kind, and take one look-up from then on. There are such routes where nothing but
        a parameter can follow; else it is remembered that there are none.

        :param segments: the literal ones of a route of which only a parameter follows, so clients cannot make them up;
            the first is the empty one before ``/``.
        """
        start = "/".join(segments)
        if start in self.behind or len(self.behind) >= _MOST_BEHIND:
            return
        node = self.root
        for segment in segments[1:]:
            node = None if node is None else node.literal(segment)
        leaf = None
        if node is not None and node.param is not None:
            is_only_way = node.label is None and node.children is None and node.affixed is None
            leaf = node.param.leaf if is_only_way else None
        self.behind[start] = leaf or []


def _order_of_regex(item: tuple[Pattern, Entry[P]]) -> int:
    return item[1].match.rule.order


def _insert_pattern(node: Node[P], pattern: Pattern, entry: Entry[P]) -> None:
    has_rest = False
    for segment in pattern.segments:
        if segment.kind is Kind.REST:
            has_rest = True
        else:
            node = _grow(node, segment)
    if not has_rest:
        _insert_leaf(node, entry, is_exact=pattern.shape is Shape.EXACT)
    if has_rest or pattern.shape is Shape.PREFIX:
        node.forks = True
        if node.tail is None:
            node.tail = [entry]
        else:
            insort(node.tail, entry, key=Entry.rank)


def _insert_leaf(node: Node[P], entry: Entry[P], *, is_exact: bool) -> None:
    if node.leaf is None:
        node.leaf = [entry]
    elif is_exact:
        insort(node.leaf, entry, hi=node.exact_count, key=Entry.rank)
    else:
        insort(node.leaf, entry, lo=node.exact_count, key=Entry.rank)
    node.exact_count += is_exact


def _grow(node: Node[P], segment: Segment) -> Node[P]:
    """Return the child for a segment, made if it is not there yet."""
    if segment.kind is Kind.LITERAL:
        return _grow_literal(node, segment.text)
    node.forks = True
    if segment.kind is Kind.AFFIXED:
        return _grow_affixed(node, segment.text)
    if node.param is None:
        node.param = Node()
    return node.param


def _grow_literal(node: Node[P], text: str) -> Node[P]:
    if node.children is not None:
        child = node.children.get(text)
        if child is None:
            child = node.children[text] = Node()
        return child
    if node.child is None or node.label is None:
        node.label, node.child = text, Node()
        return node.child
    if node.label == text:
        return node.child
    child = Node()
    node.children = {node.label: node.child, text: child}
    node.label = node.child = None
    return child


def _grow_affixed(node: Node[P], start: str) -> Node[P]:
    if node.affixed is None:
        node.affixed = []
    for known, child in node.affixed:
        if known == start:
            return child
    grown: Node[P] = Node()
    insort(node.affixed, (start, grown), key=_longest_first)
    return grown


def _longest_first(item: tuple[str, Node[P]]) -> tuple[int, str]:
    return (-len(item[0]), item[0])
