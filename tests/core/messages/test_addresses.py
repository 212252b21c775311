"""Addresses as proxies write them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from gateway_core.messages.addresses import (
    MOST_HOPS,
    canonical_address,
    client_network,
    entries_from_right,
    read_forwarded,
)
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("9.9.9.9", "9.9.9.9"),
        (" 9.9.9.9\t", "9.9.9.9"),
        ("9.9.9.9:1234", "9.9.9.9"),
        ('"9.9.9.9:1234"', "9.9.9.9"),
        ("9.9.9.9:_port", "9.9.9.9"),
        ("2001:db8::1", "2001:db8::1"),
        ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
        ("2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ('"[2001:db8::1]:443"', "2001:db8::1"),
        ("2001:db8:1:2:3:4:5:6:443", "2001:db8:1:2:3:4:5:6"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%25]:443", "fe80::1"),
        ("::ffff:9.9.9.9", "9.9.9.9"),
        ("[::FFFF:9.9.9.9]:1", "9.9.9.9"),
        ("::ffff:909:909", "9.9.9.9"),
        ("::1", "::1"),
    ],
)
def test_one_address_has_one_text(text: str, address: str) -> None:
    assert canonical_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "unknown", "_hidden", "localhost", "9.9.9", "9.9.9.9.9", "256.1.1.1", "09.9.9.9", "0x9.9.9.9", "9",
        "9.9.9.9:", "9.9.9.9:70000", "9.9.9.9:x", "9.9.9.9:1:2", "[9.9.9.9]", "[9.9.9.9]:1", "[2001:db8::1",
        "2001:db8::1]", "[2001:db8::1]x", "[2001:db8::1]:", "2001:db8::12345", ":::", "1::2::3", "9.9.9.9 8.8.8.8",
        "9.9.9.9/32", "9.9.9.9%eth0", "\uff19.9.9.9", "9.9.9.9\n", '"9.9.9.9', "a" * 70000, "9.9.9.9" + " " * 100,
    ],
)  # fmt: skip
def test_what_is_no_address_is_none(text: str) -> None:
    assert canonical_address(text) is None


@given(st.ip_addresses(), st.none() | st.integers(0, 65535), st.booleans(), st.booleans())
def test_every_form_of_an_address_is_that_address(
    address: IPv4Address | IPv6Address, port: int | None, upper: bool, quoted: bool
) -> None:
    text = address.exploded.upper() if upper else str(address)
    if port is not None:
        text = f"[{text}]:{port}" if address.version == 6 else f"{text}:{port}"
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None

    assert canonical_address(f'"{text}"' if quoted else text) == str(mapped or address)


@given(st.text(max_size=60))
def test_no_text_raises_and_a_result_is_its_own_canonical_form(text: str) -> None:
    address = canonical_address(text)

    assert address is None or canonical_address(address) == address


def test_entries_come_from_the_right_with_the_empty_ones_and_not_without_end() -> None:
    assert list(entries_from_right("a, ,b ")) == ["b", "", "a"]
    assert list(entries_from_right("")) == [""]
    assert len(list(entries_from_right("a," * 5000))) == MOST_HOPS


@pytest.mark.parametrize(
    ("value", "elements", "is_whole"),
    [
        ("for=a", [{"for": "a"}], True),
        ('for="a, b";proto=x , FOR=c', [{"for": "c"}, {"for": "a, b", "proto": "x"}], True),
        (r'for="a\"b"', [{"for": 'a"b'}], True),
        ('for="a, for=b', [{"for": "b"}], False),
        ("for=a, b", [], False),
        ("for=a;for=b", [], False),
        ("", [], False),
        ("for=a,,for=b, ", [{"for": "b"}, {"for": "a"}], True),
        (";for=a;; proto=x ;", [{"proto": "x", "for": "a"}], True),
        ("for=a, ; ,for=b", [{"for": "b"}, {"for": "a"}], True),
        (" , ", [], False),
        ("for=a;" + "x=" + "y" * 2000, [], False),
    ],
)
def test_forwarded_is_read_from_the_right_as_far_as_it_is_well_formed(
    value: str, elements: list[dict[str, str]], is_whole: bool
) -> None:
    assert read_forwarded(value) == (elements, is_whole)


def test_reading_a_hostile_forwarded_takes_no_time_that_grows_with_its_square() -> None:
    elements, is_whole = read_forwarded('for="' + "," * 60000)

    assert (elements, is_whole) == ([], False)
    assert read_forwarded("for=a" + "," * 60000) == ([], False)
    assert read_forwarded("for=a" + "; \t" * 300 + "!") == ([], False)
    assert len(read_forwarded(",".join(["for=a"] * 20000))[0]) == MOST_HOPS


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.1", "192.0.2.1"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"), ("2001:db8:1:2::", "2001:db8:1:2::"),
        ("::ffff:192.0.2.1", "192.0.2.1"), ("", ""), ("unknown", "unknown"), ("fe80::1%eth0", "fe80::"),
    ],
)  # fmt: skip
def test_a_client_is_an_address_or_a_network_that_it_has_for_itself(address: str, client: str) -> None:
    assert client_network(address) == client


@given(st.text())
def test_any_text_is_some_client(address: str) -> None:
    client_network(address)


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("10.0.0.1", "10.0.0.2", False),
        ("2001:db8::1", "2001:db8::2", True),
        ("2001:db8::1", "2001:DB8:0:0:ffff::1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("not:an:address", "not:an:other", False),
        ("", "", True),
    ],
)
def test_addresses_of_one_network_are_one_client(one: str, other: str, is_same: bool) -> None:
    assert (client_network(one) == client_network(other)) is is_same
