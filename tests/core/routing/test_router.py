from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from gateway_core.routing import (
    NOT_FOUND,
    Match,
    MethodNotAllowed,
    NotFound,
    PatternError,
    Router,
    RouterBuilder,
    RouteRule,
    ValueCondition,
    build_steps,
)

from tests.core.routing.strategies import lookup, match_path


def no_header(name: str) -> list[str]:
    raise AssertionError(f"header {name!r} was asked for, but no candidate has a condition on it")


def table(*rules: dict[str, Any] | str) -> Router[str]:
    """Build a table from paths (a prefix ends in ``...``), or from dicts of a rule's fields; the id is the path."""
    built: list[RouteRule[str]] = []
    for order, given in enumerate(rules):
        fields = {"id": given} if isinstance(given, str) else given
        text = fields.get("id") or fields["path"]
        if not {"path", "path_prefix", "path_regex"} & set(fields):
            fields = {**fields, "path_prefix" if text.endswith("...") else "path": text.removesuffix("...")}
        built.append(RouteRule(payload=text, order=order, **fields))
    return Router.build(built)


def ask(
    router: Router[str],
    path: str,
    method: str = "GET",
    host: str = "example.com",
    headers: Mapping[str, str] | None = None,
) -> str | NotFound | MethodNotAllowed:
    path, _, query = path.partition("?")
    header = no_header if headers is None else lookup({name: [value] for name, value in headers.items()})
    found = router.match(method, host, match_path(path), query, header)
    return found.payload if isinstance(found, Match) else found


def params(router: Router[str], path: str) -> dict[str, str]:
    found = router.match("GET", "", match_path(path), "", no_header)
    assert isinstance(found, Match)
    return dict(found.params)


@pytest.mark.parametrize(
    ("path", "expected", "values"),
    [
        ("/", "/", {}),
        ("/cmd/test/", "/cmd/:tool/", {"tool": "test"}),
        ("/cmd/test", NOT_FOUND, {}),
        ("/cmd/test/3", "/cmd/:tool/:sub", {"tool": "test", "sub": "3"}),
        ("/src/", "/src/*filepath", {"filepath": ""}),
        ("/src", NOT_FOUND, {}),
        ("/src/some/file.png", "/src/*filepath", {"filepath": "some/file.png"}),
        ("/src//x/", "/src/*filepath", {"filepath": "x/"}),
        ("/search/", "/search/", {}),
        ("/search/someth!ng+in", "/search/:query", {"query": "someth!ng+in"}),
        ("/search/x/", NOT_FOUND, {}),
        ("/user_gopher", "/user_:name", {"name": "gopher"}),
        ("/user_gopher/about", "/user_:name/about", {"name": "gopher"}),
        ("/user_", NOT_FOUND, {}),
        ("/files/js/inc/framework.js", "/files/:dir/*filepath", {"dir": "js", "filepath": "inc/framework.js"}),
        ("/info/gordon/public", "/info/:user/public", {"user": "gordon"}),
        ("/info/gordon/project/go", "/info/:user/project/:project", {"user": "gordon", "project": "go"}),
        ("/info//public", NOT_FOUND, {}),
        ("/info/slash%2Fgordon/public", "/info/:user/public", {"user": "slash/gordon"}),
        ("/info/100%2525/public", "/info/:user/public", {"user": "100%25"}),
        ("/info/caf%C3%A9%ff/public", "/info/:user/public", {"user": "caf\u00e9\ufffd"}),
        ("/src/a%2Fb/c", "/src/*filepath", {"filepath": "a/b/c"}),
        ("/%73rc/%61", "/src/*filepath", {"filepath": "a"}),
        ("/info/a%2Fpublic", NOT_FOUND, {}),
    ],
)
def test_parameters_and_rests(path: str, expected: str | NotFound, values: dict[str, str]) -> None:
    router = table(
        "/",
        "/cmd/:tool/:sub",
        "/cmd/:tool/",
        "/src/*filepath",
        "/search/",
        "/search/:query",
        "/user_:name",
        "/user_:name/about",
        "/files/:dir/*filepath",
        "/info/:user/public",
        "/info/:user/project/:project",
    )

    assert ask(router, path) == expected
    if isinstance(expected, str):
        assert params(router, path) == values


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api", "/api..."),
        ("/api/", "/api..."),
        ("/api/x/y", "/api..."),
        ("/apis", "/..."),
        ("/API", "/..."),
        ("/api/v1", "/api/v1..."),
        ("/api/v1/x", "/api/v1..."),
        ("/api/v1x", "/api..."),
        ("/exact", "/exact"),
        ("/exact/", "/exact..."),
        ("/exact/x", "/exact..."),
        ("/slash", "/slash/..."),
        ("/slash/x", "/slash/..."),
        ("/", "/..."),
        ("//", "/..."),
    ],
)
def test_prefixes_go_by_whole_segments_and_the_longest_wins(path: str, expected: str) -> None:
    router = table("/...", "/api...", "/api/v1...", "/exact...", "/exact", "/slash/...")

    assert ask(router, path) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/users/me", "/users/me"),
        ("/users/7", "/users/:id"),
        ("/users/7/posts", "/users/:id/posts"),
        ("/users/me/posts", "/users/me/*rest"),
        ("/users/7/other", "/users/*rest"),
        ("/users/abc", "/users/ab:x"),
        ("/users/ab", "/users/a:x"),
        ("/users/", "/users/*rest"),
        ("/users", NOT_FOUND),
        ("/x/y/z", "/x/:b/z"),
        ("/q/y/z", "/:a/y/z"),
    ],
)
def test_the_more_specific_path_wins_segment_by_segment(path: str, expected: str | NotFound) -> None:
    router = table(
        "/users/*rest",
        "/users/:id",
        "/users/a:x",
        "/users/ab:x",
        "/users/:id/posts",
        "/users/me/*rest",
        "/users/me",
        "/:a/y/z",
        "/x/:b/z",
    )

    assert ask(router, path) == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("api.example.com", "exact"),
        ("API.EXAMPLE.COM:8080", "exact"),
        ("api.example.com.", "exact"),
        ("a.b.example.com", "*.b"),
        ("x.a.b.example.com", "*.b"),
        ("b.example.com", "*"),
        ("other.example.com", "*"),
        ("example.com", "none"),
        ("notexample.com", "none"),
        ("", "none"),
        ("[::1]:80", "v6"),
    ],
)
def test_the_more_specific_host_wins(host: str, expected: str) -> None:
    router = table(
        {"id": "none", "path_prefix": "/"},
        {"id": "*", "path_prefix": "/", "hosts": ("*.example.com",)},
        {"id": "*.b", "path_prefix": "/", "hosts": ("*.b.example.com",)},
        {"id": "exact", "path_prefix": "/", "hosts": ("API.example.com",)},
        {"id": "v6", "path_prefix": "/", "hosts": ("::1",)},
    )

    assert ask(router, "/", host=host) == expected


def test_a_route_without_the_host_is_tried_when_the_hosts_routes_do_not_take_the_path() -> None:
    router = table({"id": "a", "path": "/only", "hosts": ("a.com",)}, "/other")

    assert ask(router, "/only", host="a.com") == "a"
    assert ask(router, "/other", host="a.com") == "/other"
    assert ask(router, "/only", host="b.com") == NOT_FOUND


def test_the_host_ranks_above_the_path_and_priority_above_both() -> None:
    wild = {"id": "wild", "path_prefix": "/", "hosts": ("*.com",)}

    assert ask(table("/a/b", wild), "/a/b", host="x.com") == "wild"
    assert ask(table({"id": "/a/b", "priority": 1}, wild), "/a/b", host="x.com") == "/a/b"
    assert ask(table({"id": "low", "path": "/a", "priority": -1}, "/..."), "/a") == "/..."


def test_the_next_best_route_is_tried_when_conditions_fail() -> None:
    router = table(
        {"id": "exact", "path": "/a/b", "headers": (ValueCondition("x", value="1"),)},
        {"id": "param", "path": "/a/:p", "methods": frozenset({"POST"})},
        {"id": "host", "path_prefix": "/", "hosts": ("a.com",), "query": (ValueCondition("q", present=True),)},
        {"id": "prefix", "path_prefix": "/a"},
        {"id": "regex", "path_regex": "/.*"},
    )

    assert ask(router, "/a/b?q", host="a.com", headers={"x": "1"}) == "host"
    assert ask(router, "/a/b", headers={"x": "1"}, host="a.com") == "exact"
    assert ask(router, "/a/b", headers={}, method="POST") == "param"
    assert ask(router, "/a/b", headers={}) == "prefix"
    assert ask(router, "/x", headers={}) == "regex"


def test_more_conditions_win_in_the_order_method_headers_query_file() -> None:
    one, two = ValueCondition("x", present=True), ValueCondition("y", present=True)
    plain: list[dict[str, Any]] = [
        {"id": "first", "path": "/"},
        {"id": "second", "path": "/"},
        {"id": "query", "path": "/", "query": (one,)},
        {"id": "header", "path": "/", "headers": (one,)},
        {"id": "headers", "path": "/", "headers": (one, two)},
        {"id": "method", "path": "/", "methods": frozenset({"GET"})},
    ]
    headers = {"x": "", "y": ""}

    responses = []
    while plain:
        response = ask(table(*plain), "/?x", headers=headers)
        responses.append(response)
        plain = [rule for rule in plain if rule["id"] != response]
    assert responses == ["method", "headers", "header", "query", "first", "second"]


def test_regexes_match_whole_match_paths_in_file_order_after_everything_else() -> None:
    router = table(
        {"id": "v", "path_regex": "/v(?P<major>[0-9]+)/.*"},
        {"id": "any", "path_regex": "/v.*", "methods": frozenset({"GET"})},
        "/v2/:x",
    )

    assert ask(router, "/v1/a/b") == "v"
    assert params(router, "/v1/a") == {"major": "1"}
    assert ask(router, "/%761/a") == "v"
    assert ask(router, "/v2/a") == "/v2/:x"
    assert ask(router, "/vx") == "any"
    assert ask(router, "/x/v1/") == NOT_FOUND


def test_405_lists_the_methods_of_every_route_that_matches_in_everything_else() -> None:
    router = table(
        {"id": "a", "path": "/a", "methods": frozenset({"POST", "GET"})},
        {"id": "b", "path": "/:x", "methods": frozenset({"PUT"})},
        {"id": "c", "path": "/a", "methods": frozenset({"LOCK"}), "hosts": ("other.com",)},
        {"id": "d", "path": "/a", "methods": frozenset({"TRACE"}), "headers": (ValueCondition("x", present=True),)},
        {"id": "e", "path_regex": "/a", "methods": frozenset({"PATCH"})},
    )

    assert ask(router, "/a", method="DELETE", headers={}) == MethodNotAllowed(("GET", "PATCH", "POST", "PUT"))
    assert ask(router, "/b", method="DELETE", headers={}) == MethodNotAllowed(("PUT",))
    assert ask(router, "/a/b", method="DELETE", headers={}) == NOT_FOUND


def test_methods_are_compared_exactly() -> None:
    router = table({"id": "a", "path": "/a", "methods": frozenset({"GET"})})

    assert ask(router, "/a", method="HEAD") == MethodNotAllowed(("GET",))
    assert ask(router, "/a", method="get") == MethodNotAllowed(("GET",))


def test_headers_are_asked_in_lower_case_and_only_by_routes_that_have_conditions() -> None:
    router = table({"id": "a", "path": "/a", "headers": (ValueCondition("X-Version", value="2"),)}, "/b")
    asked: list[str] = []

    def noted(name: str) -> list[str]:
        asked.append(name)
        return []

    router.match("GET", "", "/b", "", no_header)
    router.match("GET", "", "/a", "", noted)
    assert asked[0] == "x-version"


def test_a_match_without_parameters_is_shared_and_read_only() -> None:
    router = table("/a", "/...")

    for path in ("/a", "/x"):
        first, second = (router.match("GET", "", match_path(path), "", no_header) for _ in range(2))
        assert first is second
        assert isinstance(first, Match)
        with pytest.raises(TypeError):
            first.params["x"] = "y"  # type: ignore[index]


def test_building_in_steps_gives_the_same_table() -> None:
    rules = [RouteRule(id=str(n), payload=n, path=f"/r{n}/:id", order=n) for n in range(10)]
    steps = build_steps(rules, batch=4)
    progress = []

    while True:
        try:
            progress.append(next(steps))
        except StopIteration as stop:
            router: Router[int] = stop.value
            break
    assert progress == [4, 8]
    assert router.size == 10
    found = router.match("GET", "", "/r9/x", "", no_header)
    assert isinstance(found, Match)
    assert found.payload == 9


def test_a_rule_that_does_not_compile_leaves_the_builder_as_it_was() -> None:
    builder: RouterBuilder[int] = RouterBuilder()
    with pytest.raises(PatternError):
        builder.add(RouteRule(id="a", payload=1, path="a"))

    assert builder.freeze().match("GET", "", "/a", "", no_header) is NOT_FOUND


def test_deep_paths_and_deep_patterns_need_no_stack() -> None:
    deep = "/a" * 5_000
    router = table(deep, "/*rest")

    assert ask(router, deep) == deep
    assert ask(router, deep + "/b") == "/*rest"
