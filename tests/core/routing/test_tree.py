from __future__ import annotations

from gateway_core.routing import RouteRule, parse_pattern, rule_pattern
from gateway_core.routing.entries import Entry
from gateway_core.routing.invariants import check_invariants
from gateway_core.routing.tree import Tree
from hypothesis import given, settings

from tests.core.routing.strategies import tables


def tree_of(*paths: str) -> Tree[str]:
    tree: Tree[str] = Tree()
    for order, path in enumerate(paths):
        pattern = parse_pattern(path)
        tree.insert(pattern, Entry(RouteRule(id=path, payload=path, path=path, order=order), pattern))
    return tree


@settings(max_examples=150, deadline=None)
@given(tables())
def test_invariants_hold_after_every_insert(table: list[RouteRule[str]]) -> None:
    tree: Tree[str] = Tree()

    for rule in table:
        pattern = rule_pattern(rule)
        tree.insert(pattern, Entry(rule, pattern))
        assert check_invariants(tree) == []


def test_static_paths_need_no_nodes() -> None:
    tree = tree_of("/", "/a", "/a/b", "/a/b/")

    assert tree.root is None
    assert list(tree.statics) == ["/", "/a", "/a/b", "/a/b/"]


def test_a_chain_of_literals_needs_no_dicts_until_it_branches() -> None:
    tree = tree_of("/a/b/:x")
    assert tree.root is not None
    assert (tree.root.label, tree.root.children) == ("a", None)

    branched = tree_of("/a/b/:x", "/c/:x")
    assert branched.root is not None
    assert (branched.root.label, sorted(branched.root.children or {})) == (None, ["a", "c"])


def test_parameters_of_different_names_share_a_node() -> None:
    tree = tree_of("/:x/a", "/:y/b")

    assert tree.root is not None
    assert tree.root.param is not None
    assert sorted(tree.root.param.children or {}) == ["a", "b"]
