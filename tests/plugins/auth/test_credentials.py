from __future__ import annotations

from urllib.parse import quote

import pytest
from gateway_plugin_auth.credentials import AmbiguousError, Source, find_first
from gateway_plugin_auth.refusals import NO_CREDENTIALS, Refusal
from gateway_plugin_sdk import Headers, Request
from hypothesis import given
from hypothesis import strategies as st

BEARER = Source("header", "Authorization", "Bearer")


def make(*fields: tuple[str, str], target: str = "/") -> Request:
    return Request("GET", target, headers=Headers(fields))


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("Bearer x", "x"), ("bearer x", "x"), ("BEARER   x ", "x"), ("Bearer", None), ("Bearer ", None),
        ("bearer   ", None), ("Bearerx", None),
        ("Bearer\tx", None), ("Basic x", None), ("", None), ("Bear x", None), ("Bearer x y", "x y"), ("x Bearer y",
        None),
    ],
)  # fmt: skip
def test_the_scheme_is_before_the_credentials(value: str, found: str | None) -> None:
    assert BEARER.find(make(("authorization", value))) == found


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("t=x", "x"),
        ("a=1; t=x ;b=2", "x"),
        ('t="x"', "x"),
        ("T=x", None),
        ("tt=x", None),
        ("t", None),
        ("t=a=b", "a=b"),
        ("t=", None),
        ('t=""', None),
        ("t= ; t=x", "x"),
        ("t=x; t=;t", "x"),
    ],
)
def test_cookies(line: str, found: str | None) -> None:
    assert Source("cookie", "t").find(make(("Cookie", line))) == found


@given(st.text(min_size=1, max_size=5), st.text(max_size=5), st.lists(st.sampled_from(["a=1", "b", "=", "", "c=%20"])))
def test_query_parameters_are_found_and_hidden_whatever_they_are(name: str, value: str, others: list[str]) -> None:
    others = [other for other in others if other.partition("=")[0] != name]
    encoded = quote(name.encode("utf-8", "replace"), safe="") + "=" + quote(value.encode("utf-8", "replace"), safe="")
    name, value = name.encode("utf-8", "replace").decode(), value.encode("utf-8", "replace").decode()
    request = make(target="/?" + "&".join([*others, encoded, *others]))
    source = Source("query", name)

    assert source.find(request) == (value or None)
    source.hide(request)
    assert request.query_string == "&".join([*others, *others])
    assert source.find(request) is None


def test_hiding_leaves_what_is_not_ours() -> None:
    request = make(
        ("Authorization", "Basic a"), ("authorization", "bearer b"), ("Cookie", "t=1"), ("cookie", "a=1;t=2; b=3"),
        target="/?x=%zz&t=1&x",
    )  # fmt: skip

    for source in (BEARER, Source("cookie", "t"), Source("query", "t"), Source("header", "X-Key")):
        source.hide(request)

    assert request.headers.get_all("authorization") == ["Basic a"]
    assert request.headers.get_all("cookie") == ["a=1; b=3"]
    assert request.query_string == "x=%zz&x"


def test_hiding_changes_nothing_if_there_is_nothing_to_hide() -> None:
    request = make(("Authorization", "Basic a"), ("Cookie", "a=1;;b"))
    block = request.headers_key

    BEARER.hide(request)
    Source("cookie", "t").hide(request)
    Source("query", "t").hide(request)

    assert request.headers_key is block


def test_the_first_place_that_has_credentials_counts() -> None:
    sources = [BEARER, Source("cookie", "t"), Source("header", "X-Key")]
    request = make(("Authorization", "Basic a"), ("X-Key", "k"))

    found = find_first(sources, request)

    assert found == (sources[2], "k")
    assert find_first(sources[:2], request) is NO_CREDENTIALS


def test_credentials_that_are_repeated_are_ambiguous() -> None:
    with pytest.raises(AmbiguousError):
        BEARER.find(make(("Authorization", "Bearer a"), ("AUTHORIZATION", "Basic b")))
    with pytest.raises(AmbiguousError):
        Source("query", "t").find(make(target="/?" + "a&" * 1000))
    repeated = make(("X-Key", "a"), ("X-Key", "b"))
    assert find_first([BEARER, Source("header", "X-Key")], repeated) == Refusal("ambiguous", "invalid_request")
