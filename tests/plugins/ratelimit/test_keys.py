from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import pytest
from gateway_plugin_ratelimit.keys import LONGEST_KEY, bounded, compile_key, compile_source, network_of
from gateway_plugin_sdk import Headers, Identity, Request
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("client_ip", "192.0.2.1"),
        ("route", "r1"),
        ("identity", "jwt:ann"),
        ("method", "GET"),
        ("host", "example.com"),
        ("path", "/a/7"),
        ("constant", ""),
        ("constant:all", "all"),
        ("header:X-Tenant", "t1"),
        ("cookie:sid", "abc"),
        ("query:q", "a b"),
        ("query:none", None),
        ("param:id", "7"),
        ("param:other", None),
        ("claim:plan", "gold"),
        ("claim:org.id", "12"),
        ("claim:https://example.com/tenant", "acme"),
        ("claim:org.none", None),
        ("claim:plan.deeper", None),
        ("peer_ip", None),
    ],
)
def test_a_source_takes_its_property(request_of: Callable[..., Request], source: Any, expected: Any) -> None:
    request = request_of(
        target="/a/7?q=a+b",
        headers={"x-tenant": "t1", "Cookie": "a=b; sid=abc"},
        host="Example.COM:8080",
        identity="ann",
        claims={"plan": "gold", "org": {"id": 12}, "https://example.com/tenant": "acme"},
        params={"id": "7"},
    )

    assert compile_source(source)(request) == expected


@pytest.mark.parametrize("source", ["ip", "header:", "header", "claim", "client_ip:24", ""])
def test_a_source_that_does_not_exist_is_refused_with_those_that_do(source: Any) -> None:
    with pytest.raises(ValueError, match=f"{source!r} is not something to count by: use client_ip"):
        compile_source(source)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2:3::4", "2001:db8:1::/48"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("", ""),
        ("not an address", "not an address"),
    ],
)
def test_an_address_is_its_network(address: Any, expected: Any) -> None:
    assert network_of(address, 24, 48) == expected


def test_one_customer_of_ipv6_is_one_client_by_default(request_of: Callable[..., Request]) -> None:
    key = compile_key(("client_ip",))

    assert key(request_of(client_ip="2001:db8::1")) == key(request_of(client_ip="2001:db8::ffff:1"))
    assert key(request_of(client_ip="2001:db8::1")) != key(request_of(client_ip="2001:db8:0:1::1"))
    assert key(request_of(client_ip="::ffff:192.0.2.1")) == key(request_of(client_ip="192.0.2.1"))


_SOME = st.text(min_size=1)


@given(one=st.tuples(_SOME, _SOME), other=st.tuples(_SOME, _SOME))
def test_combinations_are_equal_only_if_all_their_parts_are(one: Any, other: Any) -> None:
    key = compile_key(("claim:a", "claim:b"))

    def of(values: tuple[str, str]) -> str | None:
        request = Request("GET", "/")
        request.identity = Identity("u", "jwt", {"a": values[0], "b": values[1]})
        return key(request)

    assert (of(one) == of(other)) == (one == other)


def test_a_combination_is_missing_if_one_of_its_parts_is(request_of: Callable[..., Request]) -> None:
    assert compile_key(("route", "header:X-Tenant"))(request_of()) is None


@pytest.mark.parametrize(
    ("source", "one", "other"),
    [
        ("host", {"host": "example.com"}, {"host": "EXAMPLE.com.:443"}),
        ("host", {"host": "example.com"}, {"host": "example.com:"}),
        ("host", {"host": "example.com"}, {"host": "example.com:80x"}),
        ("host", {"host": "[::1]"}, {"host": "[::1]:8080"}),
        ("path", {"target": "/login"}, {"target": "/login/"}),
        ("method", {"method": "GET"}, {"method": "HEAD"}),
        ("header:X-Tenant", {"headers": {"X-Tenant": "a"}}, {"headers": {"x-TENANT": "  a\t "}}),
        ("query:k", {"target": "/?k=a"}, {"target": "/?x=1&%6b=%61"}),
        ("client_ip", {"client_ip": "2001:db8::1"}, {"client_ip": "2001:db8::2:3"}),
        ("claim:org", {"claims": {"org": {"id": 1, "x": (1, 2)}}}, {"claims": {"org": {"x": [1, 2], "id": 1}}}),
    ],
)
def test_another_spelling_of_the_same_is_the_same_key(
    request_of: Callable[..., Request], source: str, one: Any, other: Any
) -> None:
    key = compile_key((source,))

    assert key(request_of(**one)) == key(request_of(**other)) is not None


@pytest.mark.parametrize(
    ("source", "options"),
    [
        ("header:X-Tenant", {"headers": {"X-Tenant": ""}}),
        ("header:X-Tenant", {"headers": {"X-Tenant": " \t"}}),
        ("cookie:sid", {"headers": {"Cookie": "sid="}}),
        ("query:k", {"target": "/?k="}),
        ("claim:org.id", {"claims": {"org": {"id": None}}}),
        ("claim:org.id", {"claims": {"org": {"id": ""}}}),
    ],
)
def test_what_is_empty_is_missing(request_of: Callable[..., Request], source: str, options: Any) -> None:
    assert compile_key((source,))(request_of(**options)) is None


def test_all_values_of_a_name_count_together(request_of: Callable[..., Request]) -> None:
    headers = Headers([("X-Tenant", "a"), ("X-Tenant", "b")])
    request = Request("GET", "/?k=a&k=b", headers=headers)

    assert compile_source("header:X-Tenant")(request) == "a, b"
    assert compile_source("query:k")(request) == "a, b"


def test_claims_are_read_from_any_mapping(request_of: Callable[..., Request]) -> None:
    request = request_of()
    request.identity = Identity(
        "u", "jwt", MappingProxyType({"org": MappingProxyType({"id": MappingProxyType({"n": 7}), "tags": ("a",)})})
    )

    assert compile_source("claim:org.id.n")(request) == "7"
    assert compile_source("claim:org")(request) == '{"id":{"n":7},"tags":["a"]}'


@given(st.text(), st.text())
def test_names_of_counters_are_short_and_equal_only_for_equal_keys(one: str, other: str) -> None:
    for times in (1, 70_000):
        first, second = bounded(one * times), bounded(other * times)
        assert max(len(first), len(second)) <= LONGEST_KEY + 1
        assert (first == second) == (one * times == other * times)


def test_no_key_passes_for_the_digest_of_a_long_one() -> None:
    long = "x" * 60_000

    assert bounded(bounded(long)) != bounded(long)


@pytest.mark.parametrize("host", ["[::1]", "[0:0:0:0:0:0:0:1]", "[::0001]", "[0::1]:8080", "[::0.0.0.1]"])
def test_an_ipv6_host_has_one_spelling(request_of: Callable[..., Request], host: str) -> None:
    assert compile_source("host")(request_of(host=host)) == "[::1]"


@pytest.mark.parametrize("host", ["shop-1.test", "%73hop-1.test", "SHOP%2D%31.%54est:80", "%53%48%4f%50%2d1.tes%74."])
def test_a_host_with_escapes_has_the_spelling_that_routes_match(request_of: Callable[..., Request], host: str) -> None:
    assert compile_source("host")(request_of(host=host)) == "shop-1.test"


def test_several_cookies_of_one_name_count_together(request_of: Callable[..., Request]) -> None:
    request = request_of(headers={"Cookie": 'sid=a; other=x; sid="b"; sid='})

    assert compile_source("cookie:sid")(request) == "a, b"
