from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from gateway_core.config import StickyCookieConfig
from gateway_core.messages import Request
from gateway_core.upstreams import Candidates, StickyCookie, compile_hash_key


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


MakeCandidates = Callable[..., Candidates]


def make_sticky(secret: bytes = b"secret", **settings: Any) -> StickyCookie:
    return StickyCookie(StickyCookieConfig.model_construct(**{"name": "gw", **settings}), secret)


def test_a_cookie_names_its_endpoint_in_every_process_with_the_secret(make_candidates: MakeCandidates) -> None:
    candidates = make_candidates(a=1, b=1)
    token = make_sticky().token(candidates.endpoints[1])

    assert make_sticky().endpoint_for(token, candidates) is candidates.endpoints[1]
    assert make_sticky(b"other").endpoint_for(token, candidates) is None


def test_a_cookie_tells_nothing_of_the_address(make_candidates: MakeCandidates) -> None:
    endpoint = make_candidates(a=1).endpoints[0]

    token = make_sticky().token(endpoint)

    assert len(token) == 32
    assert endpoint.host not in token


def test_an_endpoint_that_is_not_usable_is_not_found(make_candidates: MakeCandidates) -> None:
    sticky, everyone = make_sticky(), make_candidates(a=1, b=1)
    token = sticky.token(everyone.endpoints[0])
    assert sticky.endpoint_for(token, everyone)

    assert sticky.endpoint_for(token, make_candidates(b=1)) is None
    assert sticky.endpoint_for("forged", everyone) is None


def test_a_cookie_is_set_only_if_the_client_does_not_have_it(make_candidates: MakeCandidates) -> None:
    sticky, endpoint = make_sticky(), make_candidates(a=1).endpoints[0]
    token = sticky.token(endpoint)

    assert sticky.set_cookie(endpoint, token) is None
    assert sticky.set_cookie(endpoint, "other") == f"gw={token}; Path=/; HttpOnly; SameSite=Lax"
    assert sticky.set_cookie(endpoint, None) is not None


@pytest.mark.parametrize(
    ("settings", "attributes"),
    [
        ({"path": "/api", "max_age": 60, "secure": True}, "; Path=/api; Max-Age=60; Secure; HttpOnly; SameSite=Lax"),
        ({"http_only": False, "same_site": None}, "; Path=/"),
        ({"same_site": "none"}, "; Path=/; Secure; HttpOnly; SameSite=None"),
        ({"same_site": "strict"}, "; Path=/; HttpOnly; SameSite=Strict"),
    ],
)
def test_attributes_follow_the_settings(
    settings: dict[str, Any], attributes: str, make_candidates: MakeCandidates
) -> None:
    cookie = make_sticky(**settings).set_cookie(make_candidates(a=1).endpoints[0], None)

    assert cookie is not None
    assert cookie[len("gw=") + 32 :] == attributes
