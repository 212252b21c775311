"""The invariants of a tree, which hold after every insert; tests check them."""

from __future__ import annotations

from collections.abc import Iterator

from gateway_core.routing.rules import P
from gateway_core.routing.tree import Leaf, Node, Tree


def check_invariants(tree: Tree[P]) -> list[str]:
    """Return what is wrong with a tree; an intact one gives an empty list."""
    problems = [f"statics[{path!r}] is out of order" for path, leaf in tree.statics.items() if not _is_sorted(leaf)]
    problems += [f"statics[{path!r}] is empty" for path, leaf in tree.statics.items() if not leaf]
    problems += [
        f"statics[{path!r}] holds a route with parameters"
        for path, leaf in tree.statics.items()
        if any(entry.captures for entry in leaf)
    ]
    orders = [entry.match.rule.order for _, entry in tree.regexes]
    if orders != sorted(orders):
        problems.append("regexes are out of file order")
    if tree.root is not None:
        for place, node in _nodes(tree.root, ""):
            problems += [f"node {place or '/'}: {problem}" for problem in _problems_of(node)]
    return problems


def _nodes(node: Node[P], place: str) -> Iterator[tuple[str, Node[P]]]:
    yield place, node
    if node.child is not None:
        yield from _nodes(node.child, f"{place}/{node.label}")
    for text, child in (node.children or {}).items():
        yield from _nodes(child, f"{place}/{text}")
    for start, child in node.affixed or []:
        yield from _nodes(child, f"{place}/{start}:")
    if node.param is not None:
        yield from _nodes(node.param, f"{place}/:")


def _problems_of(node: Node[P]) -> Iterator[str]:
    if (node.label is None) != (node.child is None):
        yield "has a label without a child, or a child without a label"
    if node.children is not None and (node.label is not None or len(node.children) < 2):
        yield "holds a single literal child in a dict, or one beside it"
    if node.forks != (node.param is not None or node.affixed is not None or node.tail is not None):
        yield "forks does not say what follows"
    starts = [(-len(start), start) for start, _ in node.affixed or []]
    if starts != sorted(set(starts)):
        yield "literal starts are not the longest first, or one is there twice"
    leaf = node.leaf or []
    if not _is_sorted(leaf[: node.exact_count]) or not _is_sorted(leaf[node.exact_count :]):
        yield "leaf is out of order"
    if not _is_sorted(node.tail or []):
        yield "tail is out of order"
    if any(entry not in (node.tail or []) for entry in leaf[node.exact_count :]):
        yield "a prefix takes the path that ends here but not the one that goes on"
    if not leaf and not node.tail and node.param is None and not (node.child or node.children or node.affixed):
        yield "leads nowhere"


def _is_sorted(leaf: Leaf[P]) -> bool:
    ranks = [entry.rank() for entry in leaf]
    return ranks == sorted(ranks)
