"""Location and Set-Cookie in the client's words."""

from __future__ import annotations

import pytest
from gateway_core.routing import (
    Pattern,
    PrefixChange,
    ResponseFacts,
    ResponseRewrite,
    compile_rewrite,
    parse_pattern,
    parse_prefix,
    parse_regex,
    prefix_change,
)
from gateway_core.routing.rewrite import RewriteOptions
from hypothesis import given
from hypothesis import strategies as st

FACTS = ResponseFacts("https", "shop.example", "http", "10.0.0.1", 8081, "users.internal")
API = PrefixChange("/api", "")
MOVED = PrefixChange("/old", "/v2")
PLAIN_SEGMENT = st.text("abc-._~", min_size=1, max_size=4).filter(lambda text: text not in {".", ".."})


def location(value: str, prefix: PrefixChange | None = API, facts: ResponseFacts = FACTS, host: str = "") -> str:
    rewrite = ResponseRewrite(prefix, host, location=True)
    block = rewrite.apply(b"\r\nServer: a\r\nLocation: " + value.encode() + b"\r\nX-A: b", facts)
    head, _, rest = block.partition(b"\r\nLocation: ")
    assert head == b"\r\nServer: a"
    return rest.removesuffix(b"\r\nX-A: b").decode()


@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        ("/", "/api/"),
        ("/users/7?next=/x#top", "/api/users/7?next=/x#top"),
        ("http://10.0.0.1:8081/users", "https://shop.example/api/users"),
        ("HTTP://users.internal./users?a", "https://shop.example/api/users?a"),
        ("https://users.internal:443/", "https://shop.example/api/"),
        ("http://users.internal", "https://shop.example/api/"),
        ("http://users.internal?q=/a", "https://shop.example/api/?q=/a"),
        ("//users.internal/a", "//shop.example/api/a"),
    ],
)
def test_what_is_of_the_upstream_becomes_the_clients(sent: str, seen: str) -> None:
    assert location(sent) == seen


@pytest.mark.parametrize(
    "value",
    [
        "https://other.example/users", "//other.example/users", "http://10.0.0.1/users", "http://users.internal:81/",
        "http://me@users.internal/", "http://users.internal.other.example/", "ftp://users.internal/", "mailto:a@b.c",
        "users", "../users", "./", "?page=2", "#top", "", "http:users", "urn:a:b",
    ],
)  # fmt: skip
def test_other_hosts_and_relative_references_stay(value: str) -> None:
    assert location(value) == value


@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        ("/v2/users", "/old/users"),
        ("/v2", "/old"),
        ("/v2/", "/old/"),
        ("/v2?a", "/old?a"),
        ("/v20/users", "/v20/users"),
        ("/login", "/login"),
        ("http://users.internal/login", "https://shop.example/login"),
        ("http://users.internal/v2/users", "https://shop.example/old/users"),
    ],
)
def test_a_path_outside_of_the_rewritten_prefix_stays(sent: str, seen: str) -> None:
    assert location(sent, MOVED) == seen


def test_a_host_of_its_own_is_undone_without_a_change_of_the_path() -> None:
    facts = FACTS._replace(sent_host="other")

    assert location("http://u.internal:8443/a", None, facts, "u.internal:8443") == "https://shop.example/a"
    assert location("/a", None) == "/a"


def test_a_literal_start_of_a_segment_is_put_back() -> None:
    assert location("/bob", PrefixChange("/user_", "", ends_within_segment=True)) == "/user_bob"


@pytest.mark.parametrize(
    ("sent", "seen"), [("/v2//evil.example", "/evil.example"), ("/v2/\\evil.example", "/evil.example"), ("/v2", "/")]
)
def test_a_reference_never_becomes_one_to_another_host(sent: str, seen: str) -> None:
    assert location(sent, PrefixChange("", "/v2")) == seen


def test_without_a_host_of_the_client_a_url_becomes_a_path() -> None:
    assert location("http://users.internal/a", API, FACTS._replace(client_host="")) == "/api/a"


def test_an_ipv6_endpoint_is_known_by_its_address() -> None:
    facts = FACTS._replace(endpoint_host="::1", endpoint_port=80)

    assert location("http://[::1]/a", API, facts) == "https://shop.example/api/a"


@pytest.mark.parametrize("name", ["Location", "content-location", "LOCATION"])
def test_every_field_of_that_name_is_rewritten(name: str) -> None:
    rewrite = ResponseRewrite(API, location=True)

    block = rewrite.apply(f"\r\n{name}: /a\r\n{name}:/b \r\nX-{name}: /c".encode(), FACTS)

    assert block == f"\r\n{name}: /api/a\r\n{name}: /api/b\r\nX-{name}: /c".encode()


def test_a_head_without_such_fields_stays_the_same_object() -> None:
    block = b"\r\nServer: a\r\nX-Location: /a"

    assert ResponseRewrite(API, location=True, cookie_path=True).apply(block, FACTS) is block


def cookie(value: str, *, path: bool = True, domain: bool = True, prefix: PrefixChange | None = API) -> str:
    rewrite = ResponseRewrite(prefix, cookie_path=path, cookie_domain=domain)
    return rewrite.apply(b"\r\nSet-Cookie: " + value.encode(), FACTS).removeprefix(b"\r\nSet-Cookie: ").decode()


@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        ("a=b; Path=/; HttpOnly", "a=b; Path=/api; HttpOnly"),
        ("a=b;path=/users", "a=b;path=/api/users"),
        (
            "a=b; Expires=Wed, 01 Jan 2025 00:00:00 GMT; Path=/x",
            "a=b; Expires=Wed, 01 Jan 2025 00:00:00 GMT; Path=/api/x",
        ),
        ("a=Path=/; Secure", "a=Path=/; Secure"),
        ("a=b; Path", "a=b; Path"),
        ("a=b; Path=x", "a=b; Path=x"),
        ("__Host-a=b; Path=/; Secure", "__Host-a=b; Path=/; Secure"),
        ("a=b; Domain=users.internal", "a=b; Domain=shop.example"),
        ("a=b; DOMAIN=.internal; Path=/", "a=b; DOMAIN=shop.example; Path=/api"),
    ],
)
def test_cookies_are_set_where_the_client_is(sent: str, seen: str) -> None:
    assert cookie(sent) == seen


def test_only_what_is_asked_for_is_rewritten() -> None:
    sent = "a=b; Path=/v2/x; Domain=users.internal"

    assert cookie(sent, domain=False, prefix=MOVED) == "a=b; Path=/old/x; Domain=users.internal"
    assert cookie(sent, path=False, prefix=MOVED) == "a=b; Path=/v2/x; Domain=shop.example"
    assert ResponseRewrite(API, location=True).apply(b"\r\nSet-Cookie: a; Path=/", FACTS).endswith(b"Path=/")


def test_a_cookies_path_outside_of_the_rewritten_prefix_stays() -> None:
    assert cookie("a=b; Path=/", prefix=MOVED) == "a=b; Path=/"


@pytest.mark.parametrize(
    ("pattern", "prefix", "hidden"),
    [
        (parse_prefix("/api"), None, "/api"),
        (parse_pattern("/api/users/:id"), None, "/api/users"),
        (parse_prefix("/api/v1"), "/v1", "/api"),
        (parse_prefix("/old"), "/v2", "/old"),
        (parse_prefix("/old"), "/", "/old"),
        (parse_prefix("/"), "/app", ""),
        (parse_prefix("/a"), "/a", ""),
        (parse_prefix("/a"), "/v/a", ""),
        (parse_pattern("/user_:name"), None, ""),
    ],
)
def test_the_hidden_prefix_is_what_only_the_client_sees(pattern: Pattern, prefix: str | None, hidden: str) -> None:
    change = prefix_change(pattern, prefix)

    assert change is not None
    assert change.hidden == hidden


def test_a_regular_expression_has_no_fixed_start() -> None:
    assert prefix_change(parse_regex("/v[0-9]+/x"), "/a") is None


@given(
    st.lists(PLAIN_SEGMENT, min_size=1, max_size=3),
    st.lists(PLAIN_SEGMENT, max_size=2),
    st.lists(PLAIN_SEGMENT, max_size=3),
)
def test_a_rewritten_path_comes_back_as_it_was(literal: list[str], prefix: list[str], rest: list[str]) -> None:
    pattern = parse_prefix("/" + "/".join(literal))
    replaced = "/" + "/".join(prefix)
    path = "/" + "/".join([*literal, *rest])
    rewrite = compile_rewrite(pattern, RewriteOptions(prefix=replaced))
    change = prefix_change(pattern, replaced)
    assert rewrite is not None
    assert change is not None

    back = change.undo(rewrite.apply(path, {}))

    assert back.rstrip("/") == path
