from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from gateway_core.config import ConfigError, LoadedConfig
from gateway_core.packages import PluginRegistry
from gateway_core.snapshot import load

Load = Callable[[str], LoadedConfig]


def problems(load_text: Load, text: str) -> list[str]:
    with pytest.raises(ConfigError) as failed:
        load_text(text)
    return [f"{problem.place.line}:{problem.key_path}: {problem.text}" for problem in failed.value.problems]


@pytest.mark.parametrize(
    ("route", "key", "word"),
    [
        ("path: '/a/:'", "path", "name"),
        ("path: '/a/*rest/b'", "path", "last"),
        ("path: no-slash", "path", "/"),
        ("path_prefix: '/a/../b'", "path_prefix", ".."),
        ("path: '/:id', rewrite: {template: '/x/:other'}", "rewrite", "other"),
        ("path_regex: '/x.*', strip_path: true", "strip_path", "regex"),
    ],
)
def test_a_route_that_cannot_be_compiled_is_a_problem_at_its_key(
    load_text: Load, route: str, key: str, word: str
) -> None:
    (problem,) = problems(load_text, f"routes:\n  - {{id: a, {route}, target: 'http://127.0.0.1:1'}}\n")

    assert problem.startswith(f"2:routes[0].{key}: ")
    assert word in problem


def test_a_lone_route_whose_conditions_exclude_each_other_is_a_problem(load_text: Load) -> None:
    (problem,) = problems(
        load_text,
        "routes: [{id: a, path: /, headers: {x-a: {present: true}, X-A: {present: false}}, target: 'http://127.0.0.1:1'}]",
    )

    assert problem.startswith("1:routes[0]: route 'a' can never match: its conditions on the header")


def test_two_equal_routes_are_a_problem_that_names_both_places(load_text: Load) -> None:
    (problem,) = problems(
        load_text,
        "routes:\n"
        "  - {id: a, path: '/x/:one', target: 'http://127.0.0.1:1'}\n"
        "  - {id: b, path: '/x/:two', target: 'http://127.0.0.1:1'}\n",
    )

    assert problem.startswith("3:routes[1]: route 'b' can never match")
    assert "gateway.yaml:2:5" in problem


def test_conflicts_are_found_beside_other_problems(load_text: Load) -> None:
    found = problems(
        load_text,
        "routes:\n"
        "  - {id: bad, path: x, target: 'http://127.0.0.1:1'}\n"
        "  - {id: a, path: /a, target: 'http://127.0.0.1:1'}\n"
        "  - {id: b, path: /a, target: 'http://127.0.0.1:1'}\n",
    )

    assert [problem.partition(":")[0] for problem in found] == ["2", "4"]


def test_routes_that_can_all_match_are_fine(load_text: Load) -> None:
    loaded = load_text(
        "routes:\n"
        "  - {id: a, path: /a, target: 'http://127.0.0.1:1'}\n"
        "  - {id: b, path: '/:any', target: 'http://127.0.0.1:1'}\n"
        "  - {id: c, path_prefix: /, target: 'http://127.0.0.1:1'}\n"
    )

    assert len(loaded.config.routes) == 3


PATTERNS = """routes:
  - {id: a, path_regex: "/api/(?P<a>.*)/(?P<b>.*)/edit", target: 'http://127.0.0.1:1'}
  - {id: b, path: /b, headers: {x-a.b: {regex: ".*.*=.*"}}, query: {q: {regex: ".*.*=.*"}}, target: 'http://127.0.0.1:1'}
  - {id: c, path_regex: "/users/(?P<id>[0-9]+)", target: 'http://127.0.0.1:1'}
"""


def test_patterns_that_refuse_long_texts_are_warnings(load_text: Load, without_re2: None) -> None:
    found = [(each.place.line, each.key_path, each.code, each.severity) for each in load_text(PATTERNS).warnings]

    assert found == [
        (2, "routes[0].path_regex", "regex.not-linear", "warning"),
        (3, 'routes[1].headers["x-a.b"].regex', "regex.not-linear", "warning"),
        (3, "routes[1].query.q.regex", "regex.not-linear", "warning"),
    ]


def test_with_re2_only_what_it_lacks_is_a_warning(load_text: Load) -> None:
    assert load_text(PATTERNS).warnings == ()

    (warning,) = load_text("routes:\n  - {id: a, path_regex: '/(.)*\\1x', target: 'http://127.0.0.1:1'}\n").warnings
    assert "RE2 cannot take a back-reference" in warning.text


@pytest.mark.parametrize(
    ("key", "text"),
    [("path_regex", "path_regex: '/(a+)+b'"), ("query.q.regex", "path: /, query: {q: {regex: '(a+)+b'}}")],
)
def test_a_pattern_that_is_too_slow_is_an_error(load_text: Load, without_re2: None, key: str, text: str) -> None:
    with pytest.raises(ConfigError) as failed:
        load_text(f"routes:\n  - {{id: a, {text}, target: 'http://127.0.0.1:1'}}\n")

    (problem,) = failed.value.problems
    assert (problem.key_path, problem.code) == (f"routes[0].{key}", "regex.slow")
    assert "install gateway-core[re2]" in problem.text


SAME = """listen: [{name: web, address: ":1"}, {name: other, address: ":2"}, {name: in, address: ":3", default: false}]
routes:
  - {id: a, path: /x, target: 'http://127.0.0.1:1'%s}
  - {id: b, path: /x, target: 'http://127.0.0.1:1'%s}
"""


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (", listeners: [web]", ""),
        (", listeners: [web]", ", listeners: [web, in]"),
        (", listeners: [web]", ", listeners: [other]"),
        ("", ", listeners: [in]"),
    ],
)
def test_equal_routes_may_count_at_different_listeners(load_text: Load, first: str, second: str) -> None:
    load_text(SAME % (first, second))


@pytest.mark.parametrize(
    ("first", "second"), [(", listeners: [web, in]", ", listeners: [in, web]"), ("", ", listeners: [web]"), ("", "")]
)
def test_a_route_that_is_hidden_wherever_it_counts_can_never_match(load_text: Load, first: str, second: str) -> None:
    (problem,) = problems(load_text, SAME % (first, second))

    assert problem.startswith("4:routes[1]: route 'b' can never match: it is equal to route 'a'")


def test_a_route_that_counts_at_no_listener_can_never_match(load_text: Load) -> None:
    text = "listen: {name: in, address: ':1', default: false}\nroutes: [{id: a, path: /, target: 'http://127.0.0.1:1'}]"

    (problem,) = problems(load_text, text)

    assert problem == (
        "2:routes[0]: route 'a' can never match, as every listener has default: false: name one of them in listeners"
    )


def test_a_targets_rewrite_that_cannot_be_compiled_is_a_problem_at_its_key(load_text: Load) -> None:
    targets = "targets: [{target: 'http://127.0.0.1:1'}, {target: 'http://127.0.0.1:2', rewrite: {template: '/:x'}}]"

    (problem,) = problems(load_text, f"routes:\n  - {{id: a, path: '/:id', {targets}}}\n")

    assert problem.startswith("2:routes[0].targets[1].rewrite: ")


def test_a_route_and_its_upstream_may_not_set_the_same_cookie(load_text: Load) -> None:
    endpoints = "endpoints: [{url: 'http://127.0.0.1:1'}, {url: 'http://127.0.0.1:2'}]"
    text = (
        f"upstreams: [{{name: u, sticky_cookie: {{name: s}}, {endpoints}}}]\n"
        "routes: [{id: a, path: /, targets: [{target: u}, {target: 'http://127.0.0.1:3'}], sticky_cookie: {name: s}}]\n"
    )

    (problem,) = problems(load_text, text)

    assert problem == (
        "2:routes[0].sticky_cookie.name: 's' is the sticky_cookie of upstream 'u' as well: give them different names"
    )


def codes(folder: Path, text: str) -> list[tuple[str, str]]:
    path = folder / "gateway.yaml"
    path.write_text(text if "routes" in text else f"{text}\nroutes: [{{id: r, path: /, respond: {{}}}}]\n")
    return [(each.code, each.key_path) for each in load([path], registry=PluginRegistry(dict), environ={}).warnings]


@pytest.mark.parametrize(
    "text",
    [
        "your address is $remote_addr", "$host", "$http_user_agent", "{http.request.host}", "{client_ip}",
        "hello {param:name}", "%REQ(:path)%", "%RESPONSE_CODE%", "%[src]", "%[req.hdr(host)]",
    ],
)  # fmt: skip
def test_what_stands_for_a_value_elsewhere_is_a_warning(tmp_path: Path, text: str) -> None:
    own = f"respond: {{body: '{text}', headers: {{x-a: '{text}'}}}}, error_pages: [{{statuses: [404], body: '{text}'}}]"
    config = f"error_pages: [{{statuses: [500], body: '{text}'}}]\nroutes: [{{id: r, path: /, {own}}}]"

    assert sorted(codes(tmp_path, config)) == [
        ("value.placeholder", "error_pages[0].body"),
        ("value.placeholder", "routes[0].error_pages[0].body"),
        ("value.placeholder", "routes[0].respond.body"),
        ("value.placeholder", "routes[0].respond.headers.x-a"),
    ]


@pytest.mark.parametrize("text", ["5 $", "$hosting", "{}", '{"host": "a"}', "100%", "%20%41", "a[b]", "{name}", "$$"])
def test_other_texts_with_such_signs_are_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "page.html"
    path.write_text(text)

    assert codes(tmp_path, "routes: [{id: r, path: /, respond: {body: '${file:page.html}'}}]") == []
