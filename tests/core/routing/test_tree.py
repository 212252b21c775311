from __future__ import annotations

import pytest
from gateway_core.routing import Match, Router, RouteRule, ValueCondition, parse_pattern, rule_pattern
from gateway_core.routing.conditions import RequestValues
from gateway_core.routing.invariants import check_invariants
from gateway_core.routing.patterns import captures_of
from gateway_core.routing.tree import Entry, Tree
from hypothesis import given, settings

from tests.core.routing.strategies import lookup, tables


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


def behind(tree: Tree[str], start: str) -> list[str]:
    tree.learn_behind(start.split("/"))
    return [entry.match.rule.id for entry in tree.behind[start]]


def test_routes_behind_literal_segments_are_known_where_only_a_parameter_can_follow() -> None:
    tree = tree_of(
        "/:x", "/users/:id", "/users/me", "/posts/:id", "/posts/new/:x", "/tags/t_:x", "/tags/:x", "/a/*rest"
    )

    assert behind(tree, "/users") == ["/users/:id"]
    assert [behind(tree, start) for start in ("", "/posts", "/tags", "/a", "/none", "/:x", "/users/me")] == [[]] * 7


def test_a_parameter_alone_is_known() -> None:
    assert behind(tree_of("/:x"), "") == ["/:x"]


def test_only_starts_of_routes_are_remembered() -> None:
    router = Router.build([RouteRule(id=path, payload=path, path=path) for path in ("/users/:id", "/:a/:b/:c")])
    for number in range(100):
        for path in (f"/users/{number}", f"/{number}/b/c", f"/{number}"):
            router.match("GET", "a", path, "", lambda _: [])

    assert [list(tree.behind) for tree in router.trees_for("a")] == [["/users"]]


def test_a_tree_whose_routes_take_every_path_has_them_at_hand_until_another_route_comes() -> None:
    everything = tree_of("/*rest")
    also_static = tree_of("/*rest", "/a/b")
    branching = tree_of("/*rest", "/a/:x")

    assert everything.root is not None
    assert everything.catch_all is everything.root.tail
    assert also_static.catch_all is not None
    assert branching.catch_all is None
    assert tree_of("/a/*rest").catch_all is None


def test_routes_for_every_path_leave_asterisk_form_to_others() -> None:
    router = Router.build([RouteRule(id="all", payload="all", path="/*rest")])

    assert isinstance(router.match("GET", "", "/any/path", "", lambda _: ()), Match)
    assert not isinstance(router.match("OPTIONS", "", "*", "", lambda _: ()), Match)


def entry(path: str, methods: frozenset[str] = frozenset(), **conditions: tuple[ValueCondition, ...]) -> Entry[str]:
    headers, query = conditions.get("headers", ()), conditions.get("query", ())
    rule = RouteRule(id="r", payload="p", path=path, methods=methods, headers=headers, query=query)
    return Entry(rule, parse_pattern(path))


@pytest.mark.parametrize(
    ("pattern", "captures"),
    [
        ("/a", None),
        ("/:x", (("x", 1, 0),)),
        ("/a/u_:x/*rest", (("x", 2, 2), ("rest", 3, -1))),
    ],
)
def test_captures_say_where_parameters_stand(pattern: str, captures: tuple[tuple[str, int, int], ...] | None) -> None:
    assert captures_of(parse_pattern(pattern)) == captures


def test_a_match_takes_its_parameters_from_their_segments_and_decodes_them_once() -> None:
    match = entry("/a/u_:x/*rest").match_for("/a/u_100%25/b%2Fc//d")

    assert match.params == {"x": "100%", "rest": "b/c//d"}
    assert match.params is match.params
    assert match.payload == "p"


def test_parameters_of_a_match_cannot_be_changed() -> None:
    match = entry("/a/:x").match_for("/a/1")

    with pytest.raises(TypeError):
        match.params["x"] = "2"  # type: ignore[index]


def test_routes_without_parameters_have_one_match() -> None:
    one = entry("/a")

    assert one.match_for("/a") is one.match
    assert one.match.params == {}


def test_an_entry_admits_by_method_headers_and_query() -> None:
    one = entry(
        "/a", frozenset({"GET"}), headers=(ValueCondition("H", value="1"),), query=(ValueCondition("q", value="2"),)
    )

    assert one.admits("GET", lookup({"h": ["1"]}), RequestValues("q=2"))
    assert not one.admits("PUT", lookup({"h": ["1"]}), RequestValues("q=2"))
    assert not one.admits("GET", lookup({"h": ["2"]}), RequestValues("q=2"))
    assert not one.admits("GET", lookup({"h": ["1"]}), RequestValues("q=1"))
