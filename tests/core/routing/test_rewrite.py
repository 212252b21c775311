from __future__ import annotations

import pytest
from gateway_core.messages.path import encode_match_text, read_path
from gateway_core.routing import (
    Match,
    PathPolicy,
    Pattern,
    RewriteError,
    RewriteOptions,
    Router,
    RouteRule,
    UnsafePathError,
    compile_rewrite,
    params_of,
    parse_pattern,
    parse_prefix,
    parse_regex,
    upstream_path,
)
from gateway_core.routing.patterns import Shape
from gateway_core.routing.rewrite import ReplaceStart
from hypothesis import given
from hypothesis import strategies as st

from tests.core.routing.strategies import LENIENT


def sent(pattern: Pattern, options: RewriteOptions, path: str, query: str = "", policy: PathPolicy = LENIENT) -> str:
    """Match a path by a real table, and rewrite it."""
    text = pattern.text
    by_shape = {Shape.EXACT: "path", Shape.PREFIX: "path_prefix", Shape.REGEX: "path_regex"}
    fields = {by_shape[pattern.shape]: text}
    rule = RouteRule(
        id="r",
        payload=None,
        path=fields.get("path"),
        path_prefix=fields.get("path_prefix"),
        path_regex=fields.get("path_regex"),
        policy=policy,
    )
    found = Router.build([rule]).match("GET", "", read_path(path, policy.folds_case)[0], query, lambda name: ())
    assert isinstance(found, Match)
    return upstream_path(compile_rewrite(pattern, options), path, query, found.params)


STRIP = RewriteOptions(strip=True)


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("/api/users/:id", "/api/users/7", "/7"),
        ("/api/users/:id/posts", "/api/users/7/posts", "/7/posts"),
        ("/api/users/:id/", "/api/users/7/", "/7/"),
        ("/api/users", "/api/users", "/"),
        ("/api/users/", "/api/users/", "/"),
        ("/files/*rest", "/files/", "/"),
        ("/files/*rest", "/files/a//b/", "/a//b/"),
        ("/files/*rest", "/files//a//b/", "/a//b/"),
        ("/files/*rest", "//files;v=1//;x//a;v=2", "/;x//a;v=2"),
        ("/api/users/:id", "/api//users/;x/7;v=1", "/;x/7;v=1"),
        ("/u/user_:name", "/u//user_%62ob;v=1", "/%62ob;v=1"),
        ("/u/user_:name", "/u/%75%73er_%C3%A9", "/%C3%A9"),
        ("/u/\u00fc:name", "/u/%c3%bcx", "/x"),
        ("/files/*rest", "/files/a%2Fb%c3", "/a%2Fb%c3"),
        ("/:id/x", "/7/x", "/7/x"),
        ("/*rest", "/7/x", "/7/x"),
        ("/u/user_:name/x", "/u/user_bob/x", "/bob/x"),
        ("/u/user_:name", "/u/%75ser_b%2Fb", "/b%2Fb"),
        ("/%61pi/:id", "/api/7", "/7"),
    ],
)
def test_strip_removes_the_literal_part_before_the_first_parameter(pattern: str, path: str, expected: str) -> None:
    assert sent(parse_pattern(pattern), STRIP, path) == expected


@pytest.mark.parametrize(
    ("prefix", "path", "expected"),
    [
        ("/api", "/api", "/"),
        ("/api", "/api/", "/"),
        ("/api", "/api/x", "/x"),
        ("/api", "/%61pi/x", "/x"),
        ("/api/", "/api/x/", "/x/"),
        ("/api", "/api//x", "/x"),
        ("/api", "//api/x//y", "/x//y"),
        ("/api", "/api;v=1/x;v=2", "/x;v=2"),
        ("/", "/x", "/x"),
    ],
)
def test_strip_removes_a_prefix(prefix: str, path: str, expected: str) -> None:
    assert sent(parse_prefix(prefix), STRIP, path) == expected


# The table of HTTPPathModifier in the Gateway API.
@pytest.mark.parametrize(
    ("path", "prefix", "replacement", "expected"),
    [
        ("/foo/bar", "/foo", "/xyz", "/xyz/bar"),
        ("/foo/bar", "/foo", "/xyz/", "/xyz/bar"),
        ("/foo/bar", "/foo/", "/xyz", "/xyz/bar"),
        ("/foo/bar", "/foo/", "/xyz/", "/xyz/bar"),
        ("/foo", "/foo", "/xyz", "/xyz"),
        ("/foo/", "/foo", "/xyz", "/xyz/"),
        ("/foo/bar", "/foo", "", "/bar"),
        ("/foo/", "/foo", "", "/"),
        ("/foo", "/foo", "", "/"),
        ("/foo/", "/foo", "/", "/"),
        ("/foo", "/foo", "/", "/"),
        ("/bar", "/", "/xyz", "/xyz/bar"),
        ("/foo/a%2fb", "/foo", "/caf\u00e9", "/caf%C3%A9/a%2fb"),
    ],
)
def test_a_prefix_is_replaced(path: str, prefix: str, replacement: str, expected: str) -> None:
    assert sent(parse_prefix(prefix), RewriteOptions(prefix=replacement), path) == expected


def test_the_literal_part_of_a_pattern_is_replaced_like_a_prefix() -> None:
    assert sent(parse_pattern("/api/users/:id"), RewriteOptions(prefix="/v2"), "/api/users/7") == "/v2/7"
    assert sent(parse_pattern("/api"), RewriteOptions(prefix="/v2"), "/api") == "/v2"


@pytest.mark.parametrize(
    ("pattern", "template", "path", "expected"),
    [
        ("/users/:id/*rest", "/v2/*rest/of/:id", "/users/a%2Fb/x/y%20z", "/v2/x/y%20z/of/a%2Fb"),
        ("/users/:id", "/v2/user-:id", "/users/7", "/v2/user-7"),
        ("/users/:id", "/fixed", "/users/7", "/fixed"),
        ("/user_:name", "/users/:name", "/user_%62ob", "/users/%62ob"),
        ("/files/*rest", "/x/*rest", "/files/", "/x/"),
        ("/a/:id", "/caf\u00e9/:id", "/a/%c3", "/caf%C3%A9/%c3"),
        ("/a/:id", "/v2/:id", "/a//7;v=1", "/v2/7;v=1"),
        ("/a/:id", "/v2/:id.json", "/a/7;v=1", "/v2/7.json"),
        ("/a/:id", "/v2/:id.json", "/a/7%3Bv=1", "/v2/7.json"),
        ("/a/*rest", "/v2/*rest", "/a//b//c;v", "/v2//b//c;v"),
        ("/a/*rest", "/v2-*rest", "/a//;x/b", "/v2-b"),
        ("/a/*rest", "/v2/*rest.bak", "/a/b;v/c;v", "/v2/b;v/c.bak"),
        ("/a/*rest", "/*rest", "/a//evil.example/x", "/evil.example/x"),
    ],
)
def test_a_template_makes_a_new_path_with_the_clients_spelling(
    pattern: str, template: str, path: str, expected: str
) -> None:
    assert sent(parse_pattern(pattern), RewriteOptions(template=template), path) == expected


def test_a_template_takes_named_groups_of_a_regex() -> None:
    pattern = parse_regex("/v(?P<major>[0-9]+)/(?P<rest>.*)")

    assert sent(pattern, RewriteOptions(template="/:rest/:major"), "/v1/a/b%20c") == "/a/b%20c/1"


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/x/a%2Fb%5Cc%25d%ff", "/y/a%2Fb%5Cc%25d%FF"), ("/x/a;v//b%20%3F", "/y/a/b%20%3F"), ("/x/%252e", "/y/%252e")],
)
def test_groups_of_a_regex_come_from_the_match_path_and_are_encoded_again(path: str, expected: str) -> None:
    assert sent(parse_regex("/x/(?P<rest>.*)"), RewriteOptions(template="/y/:rest"), path) == expected


def test_half_an_escape_is_not_sent() -> None:
    with pytest.raises(UnsafePathError, match="escape"):
        sent(parse_regex("/(?P<half>.{2}).*"), RewriteOptions(template="/:half"), "/%2Fx")


def test_a_folded_start_is_found_in_any_case() -> None:
    windows = PathPolicy(case="insensitive")

    assert sent(parse_pattern("/User_:name", windows), STRIP, "/%55SER_Bob", policy=windows) == "/Bob"
    assert sent(parse_prefix("/Api", windows), STRIP, "/API/Bob", policy=windows) == "/Bob"
    with pytest.raises(UnsafePathError, match=r"path_policy\.case"):
        sent(
            parse_regex("/x/(?P<name>.*)[.]js", windows), RewriteOptions(template="/:name"), "/x/a..js", policy=windows
        )


@pytest.mark.parametrize("path", ["/", "/x"])
@pytest.mark.parametrize(
    ("pattern", "options"),
    [
        (parse_pattern("/a/b/:id"), RewriteOptions(strip=True)),
        (parse_pattern("/a/b/user_:id"), RewriteOptions(strip=True)),
        (parse_pattern("/a/b/:id"), RewriteOptions(template="/:id")),
        (parse_regex("/a/(?P<b>.*)"), RewriteOptions(template="/:b")),
    ],
)
def test_a_path_that_a_plugin_made_unlike_the_routes_is_not_rewritten_into_something(
    pattern: Pattern, options: RewriteOptions, path: str
) -> None:
    rewrite = compile_rewrite(pattern, options)

    assert rewrite is not None
    with pytest.raises(UnsafePathError):
        rewrite.apply(path, {})


SEGMENTS = st.lists(st.sampled_from(["a", "b%20", "%63;v=1", ";x", "", "user_x", "%75ser_%79;z", "a%2Fb"]), max_size=6)
SHAPES = st.sampled_from(
    [
        (parse_pattern("/:p/*rest"), RewriteOptions(template="/v/*rest/of/:p")),
        (parse_pattern("/:p/*rest"), RewriteOptions(template="/v-*rest.x")),
        (parse_pattern("/a/*rest"), RewriteOptions(template="/*rest")),
        (parse_pattern("/:p/user_:name"), RewriteOptions(template="/:name/:p.x")),
        (parse_pattern("/a/user_:name"), STRIP),
        (parse_prefix("/a"), STRIP),
        (parse_prefix("/a"), RewriteOptions(prefix="/v")),
        (parse_regex("/(?P<p>[^/]+)/(?P<rest>.*)"), RewriteOptions(template="/:rest/of/:p")),
    ]
)


@given(SEGMENTS, SHAPES)
def test_a_rewrite_of_the_path_as_sent_matches_what_the_same_rewrite_makes_of_the_match_path(
    segments: list[str], shape: tuple[Pattern, RewriteOptions]
) -> None:
    pattern, options = shape
    raw = "/" + "/".join(segments)
    path = read_path(raw)[0]
    if params_of(pattern, path) is None:
        return

    assert read_path(sent(pattern, options, raw))[0] == read_path(sent(pattern, options, encode_match_text(path)))[0]


def test_queries_are_kept_byte_for_byte() -> None:
    query = "a=%2f&&b=+%zz"

    assert sent(parse_prefix("/api"), STRIP, "/api/x", query) == f"/x?{query}"
    assert sent(parse_prefix("/api"), RewriteOptions(), "/api/x", query) == f"/api/x?{query}"


def test_a_rewrite_never_makes_a_dot_segment() -> None:
    for path in ("/user_..", "/user_.", "/user_%2e%2E"):
        with pytest.raises(UnsafePathError):
            sent(parse_pattern("/user_:name"), STRIP, path)
    with pytest.raises(UnsafePathError):
        sent(parse_regex("/x(?P<y>.*)"), RewriteOptions(template="/:y"), "/x..")
    assert sent(parse_pattern("/user_:name"), STRIP, "/user_.bob") == "/.bob"


@pytest.mark.parametrize(
    ("pattern", "options"),
    [
        (parse_pattern("/a"), RewriteOptions()),
        (parse_pattern("/:id/a"), STRIP),
        (parse_prefix("/"), STRIP),
        (parse_prefix("/"), RewriteOptions(prefix="/")),
    ],
)
def test_a_route_that_changes_nothing_has_no_rewrite(pattern: Pattern, options: RewriteOptions) -> None:
    assert compile_rewrite(pattern, options) is None


@pytest.mark.parametrize(
    ("pattern", "options", "remedy"),
    [
        (parse_pattern("/a"), RewriteOptions(strip=True, prefix="/b"), "keep one"),
        (parse_pattern("/a/:id"), RewriteOptions(prefix="/b/:id"), "has ':id', which would be sent literally: write a"),
        (
            parse_pattern("/a/:id"),
            RewriteOptions(template="/$(uri_captures.id)"),
            "would be sent literally: write :name",
        ),
        (parse_regex("/a"), STRIP, "named groups"),
        (parse_pattern("/a/:id"), RewriteOptions(template="/:other"), "'/a/:id' has 'id'"),
        (parse_pattern("/a"), RewriteOptions(template="/:other"), "has none"),
        (parse_pattern("/a"), RewriteOptions(template="v2"), "write '/v2'"),
        (parse_pattern("/a"), RewriteOptions(template="/v2?x"), "has '?'"),
        (parse_pattern("/a"), RewriteOptions(prefix="/../x"), "dot segment"),
        (parse_pattern("/a"), RewriteOptions(prefix="x"), "write '/x'"),
        (parse_pattern("/a"), RewriteOptions(prefix="//x"), "names a host: write '/x'"),
    ],
)
def test_rewrites_that_cannot_work_are_refused_with_a_remedy(
    pattern: Pattern, options: RewriteOptions, remedy: str
) -> None:
    with pytest.raises(RewriteError) as caught:
        compile_rewrite(pattern, options)

    assert remedy in str(caught.value)


@pytest.mark.parametrize("template", ["/zz/$1", "/zz/${id}", "/zz/{id}", r"/zz/\1", "/zz/$id"])
def test_placeholders_of_other_gateways_are_refused(template: str) -> None:
    for options in (RewriteOptions(template=template), RewriteOptions(prefix=template)):
        with pytest.raises(RewriteError, match="write :name for a parameter"):
            compile_rewrite(parse_pattern("/x/:id"), options)


@given(
    st.lists(st.sampled_from(["a", "b.c", "d%20", "e;v=1", ""]), max_size=6),
    st.integers(0, 4),
    st.sampled_from(["", "/x", "/y/"]),
)
def test_segments_are_replaced_alike_whether_or_not_the_path_has_other_readings(
    segments: list[str], count: int, prefix: str
) -> None:
    rewrite = ReplaceStart(count, "", prefix)
    first = ["s"] * count
    path = "/" + "/".join(first + segments)
    usual = outcome(rewrite, path)

    # A run of slashes in front is another spelling of the same path, which takes the longer way.
    assert outcome(rewrite, f"//{path}") == usual or count == 0


@pytest.mark.parametrize("path", ["/a", "//a", "/a;v=1"])
def test_a_path_of_fewer_segments_than_are_replaced_is_refused(path: str) -> None:
    with pytest.raises(UnsafePathError, match="shorter"):
        ReplaceStart(2, "", "/x").apply(path, {})


def outcome(rewrite: ReplaceStart, path: str) -> str:
    try:
        return rewrite.apply(path, {})
    except UnsafePathError as error:
        return str(error)
