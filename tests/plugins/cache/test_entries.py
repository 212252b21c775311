from __future__ import annotations

import pytest
from gateway_plugin_cache.config import CacheConfig
from gateway_plugin_cache.entries import (
    Entry,
    VariantFields,
    parse_tags,
    parse_vary,
    read_validators,
    target_uri,
    vary_values,
)
from gateway_plugin_cache.freshness import policy_of
from gateway_plugin_cache.request_control import forwarded_values
from gateway_plugin_sdk import FieldNames, Headers, Request


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], ()),
        (["Accept"], ("accept",)),
        (["B, a", "b"], ("a", "b")),
        ([" , a ,"], ("a",)),
        (["*"], None),
        (["a, *"], None),
        (["*, a"], None),
        (["Via"], None),
        (["Forwarded"], None),
        (["x-forwarded-for"], None),
        ([",".join(f"a{number}" for number in range(20))], None),
    ],
)
def test_vary_is_read(values: list[str], expected: tuple[str, ...] | None) -> None:
    assert parse_vary(values) == expected


def test_values_match_whatever_white_space_and_lines_they_have() -> None:
    one = Headers([("Accept-Language", "en,  de ")])
    other = Headers([("accept-language", "en"), ("Accept-Language", "de")])

    assert vary_values(("accept-language",), one) == vary_values(("accept-language",), other)
    assert vary_values(("accept-language",), Headers()) != vary_values(
        ("accept-language",), Headers({"Accept-Language": ""})
    )
    assert vary_values(("a",), Headers({"a": "B"})) != vary_values(("a",), Headers({"a": "b"}))


def test_urls_have_what_goes_on() -> None:
    request = Request("GET", "/A%2f;b?x=1", host="Shop.Example:81", scheme="https")

    assert target_uri(request) == "https://shop.example:81/A%2f;b?x=1"


def test_fields_of_trusted_proxies_and_of_plugins_keep_apart() -> None:
    base_variant = VariantFields(("accept",), ("lang",), FieldNames(["X-Time"]))

    def of(written: dict[str, str], **fields: str) -> object:
        request = Request("GET", "/", {name.replace("_", "-"): value for name, value in fields.items()})
        request.headers = Headers(request.headers.items())
        request.headers._written = b""
        for name, value in written.items():
            request.headers[name] = value
        return base_variant.of(request)

    plain = of({})
    assert plain == of({}, X_Other="1")
    assert plain != of({}, X_Forwarded_Host="evil")
    assert plain != of({}, Forwarded="host=evil")
    assert of({}, X_Forwarded_Host="a") != of({}, X_Forwarded_Prefix="a")
    assert of({}, X_Forwarded_Host="a") == of({}, X_Forwarded_Host="a", X_Other="1")
    assert plain != of({}, Accept="a")
    assert plain != of({}, Cookie="lang=de")
    assert of({"X-User": "a"}) != of({"X-User": "b"})
    assert of({"X-Time": "1"}) == of({"X-Time": "2"})


def test_names_of_forwarded_fields_count_in_whatever_way_they_are_written() -> None:
    keys = {
        forwarded_values(Headers({name: "a"})) for name in ("X_Forwarded_Host", "X_Forwarded_Prefix", "Forwarded", "A")
    }

    assert len(keys) == 4


def test_tags_are_separated_by_commas_or_white_space() -> None:
    headers = Headers([("Cache-Tag", "a, b,c"), ("Surrogate-Key", "d e"), ("Cache-Tag", "a")])

    assert parse_tags(headers, ("Cache-Tag", "Surrogate-Key")) == {"a", "b", "c", "d", "e"}


def test_a_last_modified_is_strong_a_minute_after() -> None:
    modified = ("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT")

    assert read_validators(Headers([modified, ("Date", "Sun, 06 Nov 1994 08:50:37 GMT")])).is_modified_strong
    assert not read_validators(Headers([modified, ("Date", "Sun, 06 Nov 1994 08:50:36 GMT")])).is_modified_strong


def test_what_clients_write_counts_as_bytes_of_an_entry() -> None:
    policy = policy_of(Headers(), 200, 0.0, CacheConfig())

    def size(*variant: object) -> int:
        return Entry("http://a/", variant, (), 200, Headers(), b"", policy, 0.0, frozenset(), False).size

    assert size("x" * 1000, b"y" * 1000, ("z" * 1000, None)) - size() == 3000
