from __future__ import annotations

from collections.abc import Callable

import pytest
from gateway_core.routing import RouteRule, rule_pattern
from gateway_core.routing.invariants import check_invariants
from gateway_core.routing.tree import Entry, Node, Tree

RULES: list[RouteRule[str]] = [
    RouteRule(id="0", payload="", path="/a/:x", order=0),
    RouteRule(id="1", payload="", path="/a/:x", order=1),
    RouteRule(id="2", payload="", path_prefix="/a", order=2),
    RouteRule(id="3", payload="", path="/a/lo:x", order=3),
    RouteRule(id="4", payload="", path="/a/l:x", order=4),
    RouteRule(id="5", payload="", path="/static", order=5),
    RouteRule(id="6", payload="", path="/static", order=6),
    RouteRule(id="7", payload="", path_regex="/x", order=7),
    RouteRule(id="8", payload="", path_regex="/y", order=8),
]


def a_tree() -> tuple[Tree[str], Node[str]]:
    tree: Tree[str] = Tree()
    for rule in RULES:
        pattern = rule_pattern(rule)
        tree.insert(pattern, Entry(rule, pattern))
    assert tree.root is not None
    assert tree.root.child is not None
    return tree, tree.root.child


def test_an_intact_tree_has_no_problems() -> None:
    assert check_invariants(a_tree()[0]) == []


def reverse_leaf(tree: Tree[str], node: Node[str]) -> None:
    assert node.param is not None
    assert node.param.leaf is not None
    node.param.leaf.reverse()


def forget_tail(tree: Tree[str], node: Node[str]) -> None:
    node.tail = None


def reverse_starts(tree: Tree[str], node: Node[str]) -> None:
    assert node.affixed is not None
    node.affixed.reverse()


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (reverse_leaf, "leaf is out of order"),
        (forget_tail, "not the one that goes on"),
        (reverse_starts, "not the longest first"),
        (lambda tree, node: tree.statics["/static"].reverse(), "statics['/static'] is out of order"),
        (lambda tree, node: tree.statics.update({"/x": []}), "statics['/x'] is empty"),
        (lambda tree, node: tree.regexes.reverse(), "regexes are out of file order"),
        (lambda tree, node: setattr(node, "forks", False), "forks does not say"),
        (lambda tree, node: setattr(node, "label", "x"), "a label without a child"),
        (lambda tree, node: setattr(node, "children", {"x": Node()}), "leads nowhere"),
        (lambda tree, node: setattr(node, "children", {"x": Node()}), "single literal child in a dict"),
    ],
)
def test_damage_is_found(damage: Callable[[Tree[str], Node[str]], None], found: str) -> None:
    tree, node = a_tree()

    damage(tree, node)

    assert any(found in problem for problem in check_invariants(tree))
