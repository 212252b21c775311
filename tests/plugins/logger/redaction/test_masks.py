from __future__ import annotations

import ipaddress
import weakref

import pytest
from gateway_plugin_logger.redaction.masks import in_depth, make_hash, make_ip_mask, make_replacement
from gateway_plugin_sdk import ReplacePattern
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("203.0.113.9", "203.0.113.0"),
        ("2001:db8:1:2::3", "2001:db8:1::"),
        ("fe80::1%eth0", "fe80::"),
        ("", ""),
        ("unknown", "REDACTED"),
    ],
)
def test_an_address_keeps_its_network_and_what_is_none_is_hidden(address: str, expected: str) -> None:
    assert make_ip_mask(24, 48)(address) == expected


@given(st.ip_addresses(), st.integers(0, 32), st.integers(0, 128))
def test_a_masked_address_is_in_the_network_of_the_address(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, ipv4: int, ipv6: int
) -> None:
    masked = make_ip_mask(ipv4, ipv6)(str(address))

    bits = ipv4 if address.version == 4 else ipv6
    assert address in ipaddress.ip_network(f"{masked}/{bits}")


class Text(str):
    """A text that can be referred to weakly."""

    __slots__ = ("__weakref__",)


def test_a_text_that_is_too_long_for_an_address_is_hidden_and_not_remembered() -> None:
    """A client may write tens of kilobytes into a field, and something else each time."""
    text = Text("203.0.113.9" + " " * 60_000)
    kept = weakref.ref(text)

    assert make_ip_mask(24, 48)(text) == "REDACTED"

    del text
    assert kept() is None


def test_pseudonyms_are_equal_for_equal_values_and_depend_on_the_key() -> None:
    mask = make_hash(b"key")

    assert mask("alice") == mask("alice")
    assert mask("alice") != mask("bob")
    assert mask("alice") != make_hash(b"other")("alice")
    assert len(mask("alice")) == 16
    assert len(make_hash(b"k" * 500)("\ud800")) == 16


def test_a_pattern_is_replaced_wherever_it_matches() -> None:
    pattern = ReplacePattern.compile(r"/users/(\d)\d*")

    assert make_replacement(pattern, r"/users/\1…")("/users/42/users/7") == "/users/4…/users/7…"
    assert make_replacement(None, "gone")("anything") == "gone"


def test_a_text_that_is_too_long_for_a_pattern_is_hidden(without_re2: None) -> None:
    mask = make_replacement(ReplacePattern.compile("secret=.*"), "secret=…")

    assert mask("a" * 20_000 + "secret=x") == "REDACTED"


def test_texts_inside_objects_are_masked() -> None:
    hidden = in_depth(lambda text: text.upper())

    assert hidden({"a": ["b", 1, {"c": "d"}], "e": None}) == {"a": ["B", 1, {"c": "D"}], "e": None}
