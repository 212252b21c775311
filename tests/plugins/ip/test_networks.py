from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from gateway_plugin_ip.networks import BadLineError, NetworkSet, number_of, read_networks
from hypothesis import given
from hypothesis import strategies as st

NETWORKS = st.lists(
    st.one_of(
        st.builds(lambda a, n: ip_network((a, n), strict=False), st.integers(0, 2**32 - 1), st.integers(0, 32)),
        st.builds(lambda a, n: ip_network((a, n), strict=False), st.integers(2**100, 2**128 - 1), st.integers(0, 128)),
    ),
    max_size=12,
)
ADDRESSES = st.one_of(st.integers(0, 2**32 - 1).map(IPv4Address), st.integers(2**100, 2**128 - 1).map(IPv6Address))


@given(NETWORKS, ADDRESSES)
def test_an_address_is_in_a_set_if_one_of_its_networks_has_it(networks: list, address: IPv4Address) -> None:  # type: ignore[type-arg]
    number = number_of(str(address))

    assert number is not None

    assert (number in NetworkSet(networks)) == any(address in network for network in networks)


@given(NETWORKS.filter(bool))
def test_the_ends_of_a_network_are_in_it(networks: list) -> None:  # type: ignore[type-arg]
    members = NetworkSet(networks)

    for network in networks:
        for end in (network.network_address, network.broadcast_address):
            number = number_of(str(end))
            assert number is not None
            assert number in members


def test_networks_that_touch_are_one_range() -> None:
    assert len(NetworkSet(map(ip_network, ["10.0.0.0/9", "10.128.0.0/9", "10.1.0.0/16", "192.0.2.1"]))) == 2


def test_ipv4_mapped_into_ipv6_is_ipv4() -> None:
    assert (4, 0x0A010203) in NetworkSet([ip_network("::ffff:10.0.0.0/104")])


@pytest.mark.parametrize(
    "text", ["", "unix:", "10.0.0", "10.0.0.1:80", "010.0.0.1", "::g", "1" * 100, "10.0.0.1\0", "é"]
)
def test_what_is_no_address_is_in_no_set(text: str) -> None:
    assert number_of(text) is None


@given(st.text())
def test_no_text_raises(text: str) -> None:
    number = number_of(text)

    assert number is None or number[1] == int(ip_address(text))


def test_a_file_has_a_network_on_each_line() -> None:
    text = "\ufeff10.0.0.0/8  # office\r\n\r\n; nothing\n2001:db8::/32\n192.0.2.1\n"

    assert read_networks(text) == [ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"), ip_network("192.0.2.1")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("10.0.0.0/8\n10.0.0.300\n", "line 2: '10.0.0.300' is not an address or a network"),
        ("10.1.0.0/8", "line 1: '10.1.0.0/8' has host bits set: write 10.0.0.0/8"),
        ("example.com", "line 1: 'example.com' is not an address or a network"),
        ("10.0.0.0/33", "line 1"),
    ],
)
def test_a_line_that_is_no_network_is_named_with_the_remedy(text: str, message: str) -> None:
    with pytest.raises(BadLineError, match=message.replace("[", r"\[")):
        read_networks(text)
