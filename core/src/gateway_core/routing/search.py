"""Walking a tree: the first route that admits a request, or every place that its path reaches, both in precedence."""

from __future__ import annotations

from collections.abc import Iterator

from gateway_core.routing.conditions import HeaderLookup, QueryValues
from gateway_core.routing.entries import NO_PARAMS, Entry, Match
from gateway_core.routing.rules import P
from gateway_core.routing.tree import Leaf, Node, Tree

Pending = list[tuple["Node[P]", int]]
"""Nodes to go back to with the index of the segment to take there; 0 stands for the node's tail."""


def find_first(
    tree: Tree[P], path: str, method: str, header: HeaderLookup, query: QueryValues | None
) -> Match[P] | None:
    """Return the match of the first route in order of host-free precedence, all priorities being equal.

    :param path: canonical. Parameters in the answer are canonical too.
    :param query: may be ``None`` if no route of the table has a query condition.
    """
    leaf = tree.statics.get(path)
    if leaf is not None:
        entry = _pick(leaf, method, header, query)
        if entry is not None:
            return entry.match
    if tree.root is not None:
        segments = path.split("/")
        entry = _descend(tree.root, segments, method, header, query)
        if entry is not None:
            return entry.answer(segments)
    if tree.regexes:
        return _first_regex(tree, path, method, header, query)
    return None


def find_best(
    tree: Tree[P], path: str, method: str, header: HeaderLookup, query: QueryValues, best: Match[P] | None
) -> Match[P] | None:
    """Return the match of highest priority, the first of equals; ``best`` unless this tree has a higher one."""
    floor = None if best is None else best.rule.priority
    segments = path.split("/")
    for leaf, params in reachable(tree, path, segments):
        for entry in leaf:
            if (floor is None or entry.priority > floor) and entry.admits(method, header, query):
                floor = entry.priority
                best = (
                    entry.answer(segments) if params is None else Match(entry.match.payload, params, entry.match.rule)
                )
    return best


def reachable(tree: Tree[P], path: str, segments: list[str]) -> Iterator[tuple[Leaf[P], dict[str, str] | None]]:
    """Yield the routes at every place that the path reaches, in precedence; a regex comes with its parameters."""
    leaf = tree.statics.get(path)
    if leaf is not None:
        yield leaf, None
    pending: Pending[P] = [] if tree.root is None else [(tree.root, 1)]
    while pending:
        node, index = pending.pop()
        if index == 0:
            if node.tail is not None:
                yield node.tail, None
        elif index == len(segments):
            if node.leaf is not None:
                yield node.leaf, None
        else:
            child = _literal_child(node, segments[index])
            chosen = _branch(node, child, segments[index], index, pending) if node.forks else child
            if chosen is not None:
                pending.append((chosen, index + 1) if chosen is not node else (node, 0))
    for pattern, entry in tree.regexes:
        found = None if pattern.regex is None else pattern.regex.fullmatch(path)
        if found is not None:
            yield [entry], {name: text for name, text in found.groupdict().items() if text is not None}


def _descend(
    node: Node[P], segments: list[str], method: str, header: HeaderLookup, query: QueryValues | None
) -> Entry[P] | None:
    """Walk to the first entry that admits the request: the hot loop, so the literal child is looked up in place."""
    pending: Pending[P] = []
    count = len(segments)
    index = 1
    while True:
        leaf = None
        if index == count:
            leaf = node.leaf
        elif index == 0:
            leaf = node.tail
        else:
            segment = segments[index]
            if node.children is not None:
                child = node.children.get(segment)
            else:
                child = node.child if node.label == segment else None
            if node.forks:
                child = _branch(node, child, segment, index, pending)
            if child is not None:
                index = 0 if child is node else index + 1
                node = child
                continue
        if leaf is not None:
            entry = _pick(leaf, method, header, query)
            if entry is not None:
                return entry
        if not pending:
            return None
        node, index = pending.pop()


def _literal_child(node: Node[P], segment: str) -> Node[P] | None:
    if node.children is not None:
        return node.children.get(segment)
    return node.child if node.label == segment else None


def _branch(node: Node[P], literal: Node[P] | None, segment: str, index: int, pending: Pending[P]) -> Node[P] | None:
    """Note down the ways on from a node, worst first, and return the best one; the node itself means its tail."""
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


def _pick(leaf: Leaf[P], method: str, header: HeaderLookup, query: QueryValues | None) -> Entry[P] | None:
    for entry in leaf:
        if entry.methods is None or method in entry.methods:
            conditions = entry.conditions
            if conditions is None or conditions.hold(header, query or _NO_QUERY):
                return entry
    return None


_NO_QUERY = QueryValues("")


def _first_regex(
    tree: Tree[P], path: str, method: str, header: HeaderLookup, query: QueryValues | None
) -> Match[P] | None:
    for pattern, entry in tree.regexes:
        found = None if pattern.regex is None else pattern.regex.fullmatch(path)
        if found is not None and entry.admits(method, header, query or _NO_QUERY):
            params = {name: text for name, text in found.groupdict().items() if text is not None}
            return Match(entry.match.payload, params, entry.match.rule) if params else entry.match
    return None


__all__ = ["NO_PARAMS", "find_best", "find_first", "reachable"]
