"""Walking a tree: the first route that admits a request, or every node that its path reaches, in order of
precedence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gateway_core.routing.conditions import HeaderLookup, RequestValues
from gateway_core.routing.patterns import Pattern
from gateway_core.routing.rules import P
from gateway_core.routing.tree import NO_PARAMS, Entry, Leaf, Match, Node, Tree

Pending = list[tuple["Node[P]", int]]
"""Nodes to go on from, the next one last, with the index of the segment to take there; 0 stands for the node's tail."""


def find_first(
    tree: Tree[P], path: str, method: str, header: HeaderLookup, values: RequestValues | None
) -> Match[P] | None:
    """Return the match of the first route in precedence, all priorities being equal.

    :param path: a match path. Parameters in the result are spelt as in it.
    :param values: may be ``None`` if no route of the table has a condition on anything but headers.
    """
    leaf = tree.statics.get(path)
    if leaf is not None:
        entry = leaf[0] if leaf[0].is_open else _pick(leaf, method, header, values)
        if entry is not None:
            return entry.match
    leaf = tree.catch_all
    if leaf is not None:
        entry = leaf[0] if leaf[0].is_open else _pick(leaf, method, header, values)
        if entry is not None and path[:1] == "/":  # ``*`` is behind no slash
            return entry.match_for(path)
    start, _, last = path.rpartition("/")
    leaf = tree.behind.get(start)
    if leaf and last:
        entry = leaf[0] if leaf[0].is_open else _pick(leaf, method, header, values)
        if entry is not None:  # with parameters, as what is behind a literal path
            return Match(entry.match.rule, path, entry.captures)
    return _walk_first(tree, path, method, header, values)


def _walk_first(
    tree: Tree[P], path: str, method: str, header: HeaderLookup, values: RequestValues | None
) -> Match[P] | None:
    """Return what `find_first` does for a path that has parameters."""
    segments = path.split("/")
    pending = [] if tree.root is None else [(tree.root, 1)]
    while pending:
        leaf = _next_leaf(segments, pending)
        if leaf is not None:
            entry = leaf[0] if leaf[0].is_open else _pick(leaf, method, header, values)
            if entry is not None:
                if entry.ends_in_parameter:
                    tree.learn_behind(segments[:-1])
                return entry.match_for(path)
    for pattern, entry in tree.regexes:
        # A condition whose value is too long refuses the request, so it is evaluated only where the path matches.
        if entry.methods is None or method in entry.methods:
            params = _regex_params(pattern, path)
            if params is not None and entry.admits(method, header, values or _NO_VALUES):
                return Match(entry.match.rule, params=params)
    return None


def find_best(
    tree: Tree[P],
    path: str,
    method: str,
    header: HeaderLookup,
    values: RequestValues | None,
    best: Match[P] | None = None,
) -> Match[P] | None:
    """Return the match of the highest priority, the first of equals; ``best`` unless this tree has a higher one."""
    floor = None if best is None else best.rule.priority
    leaf = tree.statics.get(path)
    entry = None if leaf is None else _pick_above(floor, leaf, method, header, values)
    if entry is not None:
        floor, best = entry.priority, entry.match
    if tree.root is not None:
        segments = path.split("/")
        pending = [(tree.root, 1)]
        while pending:
            leaf = _next_leaf(segments, pending)
            entry = None if leaf is None else _pick_above(floor, leaf, method, header, values)
            if entry is not None:
                floor, best = entry.priority, entry.match_for(path)
    for pattern, regex in tree.regexes:
        if (floor is None or regex.priority > floor) and (regex.methods is None or method in regex.methods):
            params = _regex_params(pattern, path)
            if params is not None and regex.admits(method, header, values or _NO_VALUES):
                floor, best = regex.priority, Match(regex.match.rule, params=params)
    return best


def reachable(tree: Tree[P], path: str) -> Iterator[Leaf[P]]:
    """Yield the routes at every node that a match path reaches, in order of precedence."""
    leaf = tree.statics.get(path)
    if leaf is not None:
        yield leaf
    segments = path.split("/")
    pending = [] if tree.root is None else [(tree.root, 1)]
    while pending:
        leaf = _next_leaf(segments, pending)
        if leaf is not None:
            yield leaf
    for pattern, entry in tree.regexes:
        if _regex_params(pattern, path) is not None:
            yield [entry]


def _next_leaf(segments: list[str], pending: Pending[P]) -> Leaf[P] | None:
    """Walk on from the last pending node to where the path ends in the tree; ``None`` if it leads nowhere.

    This is the hot loop, so the literal child, and the parameter where it is the only way, are looked up in place.
    """
    node, index = pending.pop()
    count = len(segments)
    while index != count:
        if index == 0:
            return node.tail
        segment = segments[index]
        if node.children is not None:
            child = node.children.get(segment)
        else:
            child = node.child if node.label == segment else None
        if not node.forks:
            pass
        elif child is None and node.affixed is None and (node.tail is None or node.param is None):
            if node.tail is not None:
                return node.tail
            child = node.param if segment else None
        else:
            child = _branch(node, child, segment, index, pending)
        if child is None:
            return None
        index = 0 if child is node else index + 1
        node = child
    return node.leaf


def _branch(node: Node[P], literal: Node[P] | None, segment: str, index: int, pending: Pending[P]) -> Node[P] | None:
    """Push the other ways on from a node, the least specific first, and return the most specific one.

    The node itself stands for its tail.
    """
    best: Node[P] | None = None
    if node.tail is not None:
        best = node
    if node.param is not None and segment:
        if best is not None:
            pending.append((node, 0))
        best = node.param
    if node.affixed is not None:
        for start, child in reversed(node.affixed):
            if len(segment) > len(start) and segment.startswith(start):
                _postpone(node, best, index, pending)
                best = child
    if literal is not None:
        _postpone(node, best, index, pending)
        return literal
    return best


def _postpone(node: Node[P], way: Node[P] | None, index: int, pending: Pending[P]) -> None:
    if way is not None:
        pending.append((way, 0 if way is node else index + 1))


def _pick(leaf: Leaf[P], method: str, header: HeaderLookup, values: RequestValues | None) -> Entry[P] | None:
    for entry in leaf:
        if entry.methods is None or method in entry.methods:
            conditions = entry.conditions
            if conditions is None or conditions.hold(header, values or _NO_VALUES):
                return entry
    return None


def _pick_above(
    floor: int | None, leaf: Leaf[P], method: str, header: HeaderLookup, values: RequestValues | None
) -> Entry[P] | None:
    """Return the entry of highest priority above ``floor``, the first of equals."""
    best: Entry[P] | None = None
    for entry in leaf:
        if (floor is None or entry.priority > floor) and entry.admits(method, header, values or _NO_VALUES):
            best = entry
            floor = entry.priority
    return best


def _regex_params(pattern: Pattern, path: str) -> Mapping[str, str] | None:
    """Return the named groups of a regular expression that matches the path.

    :raises TextTooLongError: the path is too long for it.
    """
    found = None if pattern.regex is None else pattern.regex.fullmatch(path, "path")
    if found is None:
        return None
    return {name: text for name, text in found.groupdict().items() if text is not None} or NO_PARAMS


_NO_VALUES = RequestValues("")
