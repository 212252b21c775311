from __future__ import annotations

import pytest
from gateway_core.messages import Request
from gateway_core.upstreams import compile_hash_key


def make_request() -> Request:
    request = Request(
        "GET",
        "/users/7?a=1&user=x%20y&user=z",
        headers={"X-User": "bob", "Cookie": "a=1; session=s1; empty="},
        client_ip="10.1.2.3",
    )
    request.path_params = {"id": "7"}
    return request


@pytest.mark.parametrize(
    ("hash_on", "key"),
    [
        ("client_ip", "10.1.2.3"),
        ("header:x-user", "bob"),
        ("header:X-User", "bob"),
        ("header:x-other", None),
        ("cookie:session", "s1"),
        ("cookie:other", None),
        ("query:user", "x y"),
        ("query:other", None),
        ("param:id", "7"),
        ("param:other", None),
    ],
)
def test_the_key_is_the_named_part_of_the_request(hash_on: str, key: str | None) -> None:
    function = compile_hash_key((hash_on,))

    assert function is not None
    assert function(make_request()) == key


def test_no_setting_needs_no_key() -> None:
    assert compile_hash_key(()) is None


@pytest.mark.parametrize("hash_on", ["ip", "header", "header:", "client_ip:x", "body:x"])
def test_anything_else_is_refused_and_quoted(hash_on: str) -> None:
    with pytest.raises(ValueError, match=f"'{hash_on}' is not client_ip, header:NAME"):
        compile_hash_key(("client_ip", hash_on))


@pytest.mark.parametrize(
    ("hash_on", "key"),
    [
        (("cookie:session", "client_ip"), "s1"),
        (("cookie:other", "client_ip"), "10.1.2.3"),
        (("cookie:empty", "query:none", "header:x-user"), "bob"),
        (("cookie:other", "query:none"), None),
    ],
)
def test_the_first_source_that_the_request_has_counts(hash_on: tuple[str, ...], key: str | None) -> None:
    function = compile_hash_key(hash_on)

    assert function is not None
    assert function(make_request()) == key
