from __future__ import annotations

import pytest
from gateway_core.routing import (
    PathPolicy,
    PatternError,
    RouteRule,
    parse_pattern,
    parse_prefix,
    parse_regex,
    rule_pattern,
)
from gateway_core.routing.patterns import Kind, Segment, path_rank
from hypothesis import given
from hypothesis import strategies as st

from tests.core.routing.strategies import LENIENT, patterns


def test_a_pattern_is_split_into_literals_parameters_and_the_rest() -> None:
    pattern = parse_pattern("/api/:id/user_:name/*rest")

    assert pattern.segments == (
        Segment(Kind.LITERAL, "api"),
        Segment(Kind.PARAM, "", "id"),
        Segment(Kind.AFFIXED, "user_", "name"),
        Segment(Kind.REST, "", "rest"),
    )
    assert pattern.params == ("id", "name", "rest")
    assert not pattern.is_static


@pytest.mark.parametrize(
    ("text", "literal"),
    [
        ("/%61", "a"),
        ("/caf%C3%A9", "caf\u00e9"),
        ("/a b", "a b"),
        ("/a%2Fb", "a%2Fb"),
        ("/x%3Ay", "x:y"),
        ("/a%5cb", "a%5Cb"),
        ("/a\\b", "a%5Cb"),
        ("/%ff", "%FF"),
        ("/.x", ".x"),
    ],
)
def test_literals_are_read_as_requests_are(text: str, literal: str) -> None:
    assert parse_pattern(text, LENIENT).segments == (Segment(Kind.LITERAL, literal),)
    assert parse_prefix(text, LENIENT).segments == (Segment(Kind.LITERAL, literal),)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("", "does not start with '/': write '/'"),
        ("users", "write '/users'"),
        ("/:", "has ':' without a name: write ':name', or '%3A' for a literal"),
        ("/user:", "has 'user:' without a name"),
        ("/cmd/:/", "has ':' without a name"),
        ("/src/*", "has '*' without a name: write '*name', or '%2A' for a literal"),
        ("/src/*/x", "write ':name', or '%2A' for a literal"),
        ("/src/**", "write *rest as the last segment, or a path_prefix"),
        ("*", "leave it out, as a route without a path takes every one"),
        ("/src/{proxy+}", "has '{proxy+}', which would be taken literally: write *proxy for a parameter"),
        ("/(a|b)/src", "has '(a|', which is a regular expression's: write it as path_regex"),
        ("/src/{**rest}", "write *rest for a parameter"),
        ("/src/{id:[0-9]{3}}", "write :id for a parameter"),
        ("= /src", "begins with '=', which is nginx's: write it as path"),
        ("^~ /src", "begins with '^~', which is nginx's: write it as path_prefix"),
        ("~* ^/src", "write it as path_regex, which matches the whole path"),
        ("https://example.com/src", "is a URL: write its host under hosts, and only the path here"),
        ("/src*path", "write '%2A' for a literal one"),
        ("/src/*path/x", "goes on after '*path'"),
        ("/*path/", "goes on after '*path'"),
        ("/:foo:bar", "has two parameters in ':foo:bar'"),
        ("/:foo*bar", "has '*' inside ':foo*bar'"),
        ("/:id.json", "has the parameter name 'id.json'"),
        ("/:1", "has the parameter name '1'"),
        ("/:id/:id", "has the parameter 'id' twice"),
        ("/:id/*id", "has the parameter 'id' twice"),
        ("/a?b=1", "match query parameters with query:"),
        ("/a#b", "a fragment never reaches a server"),
        ("/a/../b", "can never match: a request whose path has the dot segment '..'"),
        ("/%2e", "can never match"),
        ("/a\\b", "whose path has %5C is refused: write path_policy.encoded_backslash: keep"),
        ("/a%2fb", "whose path has %2F is refused: write path_policy.encoded_slash: keep"),
        ("/x%2F:id", "write path_policy.encoded_slash: keep"),
        ("/%ff", "write path_policy.invalid_utf8: keep"),
        ("/a//b", "runs of '/' are merged before paths are matched: write '/a/b'"),
        ("//", "write '/'"),
        ("/a;v=1/b", "begins path parameters, which are cut off before paths are matched: leave out ';v=1'"),
        ("/a%3bx", "leave out '%3bx'"),
        ("/a%0a", "an encoded control character"),
        ("/%c0%af", "overlong"),
        ("/%zz", "'%zz'"),
        ("/a\x00", "can never match"),
    ],
)
def test_patterns_that_cannot_match_are_refused_with_a_remedy(text: str, remedy: str) -> None:
    with pytest.raises(PatternError) as caught:
        parse_pattern(text)

    assert remedy in str(caught.value)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("text", ["api", "/:id", "/a/*rest", "/a?", "/.."])
def test_prefixes_are_literal(text: str) -> None:
    with pytest.raises(PatternError):
        parse_prefix(text)


def test_a_slash_at_the_end_of_a_prefix_is_ignored() -> None:
    assert parse_prefix("/api/").segments == parse_prefix("/api").segments
    assert parse_prefix("/").segments == ()


def test_a_colon_inside_a_prefix_is_literal() -> None:
    assert parse_prefix("/v1/things:batch").segments[1] == Segment(Kind.LITERAL, "things:batch")


def test_a_regex_error_names_the_place() -> None:
    with pytest.raises(PatternError, match=r"missing .* at character 3"):
        parse_regex("/a(")


def test_named_groups_of_a_regex_are_parameters() -> None:
    assert parse_regex("/v(?P<major>[0-9]+)/(?P<rest>.*)").params == ("major", "rest")


@pytest.mark.parametrize("paths", [{"path": "/", "path_prefix": "/"}, {"path_prefix": "/", "path_regex": "/"}])
def test_a_rule_has_one_path_at_most(paths: dict[str, str]) -> None:
    rule = RouteRule(
        id="r",
        payload=None,
        path=paths.get("path"),
        path_prefix=paths.get("path_prefix"),
        path_regex=paths.get("path_regex"),
    )

    with pytest.raises(PatternError, match="at most one of path, path_prefix and path_regex"):
        rule_pattern(rule)


def test_ranks_order_patterns_as_the_design_says() -> None:
    ordered = [
        parse_pattern("/a/b"),
        parse_pattern("/a/b/*rest"),
        parse_pattern("/a/long:p"),
        parse_pattern("/a/lo:p"),
        parse_pattern("/a/:p"),
        parse_pattern("/a/:p/x"),
        parse_prefix("/a"),
        parse_pattern("/a:p/b"),
        parse_pattern("/:p/b"),
        parse_prefix("/"),
        parse_regex("/.*"),
    ]
    ranks = [path_rank(pattern, 0) for pattern in ordered]

    assert ranks == sorted(ranks)
    assert path_rank(parse_pattern("/a/*rest"), 0) == path_rank(parse_prefix("/a"), 0)
    assert path_rank(parse_regex("/b"), 1) < path_rank(parse_regex("/a"), 2)


@given(patterns())
def test_every_generated_pattern_parses(text: str) -> None:
    assert len(parse_pattern(text, LENIENT).segments) == text.count("/")


@given(st.text(max_size=15))
def test_any_text_parses_or_is_a_pattern_error(text: str) -> None:
    for parse in (parse_pattern, parse_prefix, parse_regex):
        try:
            parse(text)
        except PatternError as error:
            assert str(error)  # noqa: PT017 - what matters is that nothing else is raised


def test_a_start_is_a_literal_that_goes_on() -> None:
    assert parse_pattern("/.:name").segments == (Segment(Kind.AFFIXED, ".", "name"),)


def test_where_case_does_not_matter_patterns_are_folded_as_requests_are() -> None:
    windows = PathPolicy(case="insensitive")

    assert parse_pattern("/Admin/User_:Name", windows).segments == (
        Segment(Kind.LITERAL, "admin"),
        Segment(Kind.AFFIXED, "user_", "Name"),
    )
    assert parse_prefix("/Stra\u00dfe", windows).segments == parse_prefix("/STRASSE", windows).segments
    regex = parse_regex("/Admin/.*", windows).regex
    assert regex is not None
    assert regex.fullmatch("/admin/x")
    with pytest.raises(PatternError, match=r"ends in '\.': path_policy\.case"):
        parse_pattern("/v1./x", windows)


def test_a_rule_without_path_is_the_prefix_of_all() -> None:
    assert rule_pattern(RouteRule(id="r", payload=None)) == parse_prefix("/")


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("/x/{id}", "write :id"),
        ("/x/{id:[0-9]+}/y", "write :id"),
        ("/x/{rest...}", r"write \*rest"),
        ("/x/{*rest}", r"write \*rest"),
        ("/x/<int:id>", "write :id"),
        ("/x/<path:rest>", r"write \*rest"),
        ("/api/(.*)", "path_regex"),
        ("/x/[0-9]+", "path_regex"),
        ("^/x", "path_regex"),
        ("/x$", "path_regex"),
        (r"/x/\d+", "path_regex"),
        ("/x/*/balance", "write ':name'"),
    ],
)
def test_what_stands_for_a_parameter_elsewhere_is_refused_with_our_form(text: str, remedy: str) -> None:
    with pytest.raises(PatternError, match=remedy):
        parse_pattern(text)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("/api/(.*)", "path_regex"),
        ("/v1*", "leave it out"),
        ("/{a}", "write :a"),
        ("/api/*", "write '/api'"),
        ("/a/b/**", "write '/a/b'"),
        ("/*", "leave it out"),
    ],
)
def test_prefixes_take_nothing_of_other_gateways_literally(text: str, remedy: str) -> None:
    with pytest.raises(PatternError, match=remedy):
        parse_prefix(text)


@pytest.mark.parametrize(
    "text", ["/a(b)", "/a.b", "/a+b", "/a$b", "/a%7Bb%7D", "/a,b;c".partition(";")[0], "/~user", "/a.b/c"]
)
def test_what_paths_may_have_is_taken_literally(text: str) -> None:
    assert parse_pattern(text).is_static
