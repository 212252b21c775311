"""The PROXY protocol: what is written is what is read, and what is no header is refused."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from gateway_core.proxy_protocol import (
    MOST_BYTES_V1,
    MOST_BYTES_V2,
    ProxyHeader,
    ProxyProtocolError,
    ProxyVersion,
    crc32c,
    proxy_header,
    read_proxy_header,
)
from hypothesis import given
from hypothesis import strategies as st

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
VERSIONS: st.SearchStrategy[ProxyVersion] = st.sampled_from(["v1", "v2"])
ADDRESSES = st.tuples(st.ip_addresses().map(str), st.integers(0, 65535))


def unmapped(text: str) -> str:
    address = ip_address(text)
    return str((address.ipv4_mapped if isinstance(address, IPv6Address) else None) or address)


@given(VERSIONS, ADDRESSES, ADDRESSES, st.binary(max_size=20))
def test_what_is_written_is_what_is_read(
    version: ProxyVersion, source: tuple[str, int], destination: tuple[str, int], behind: bytes
) -> None:
    header = proxy_header(version, source, destination)

    read = read_proxy_header(header + behind)

    expected = [(unmapped(host), port) for host, port in (source, destination)]
    assert read == ProxyHeader(len(header), *expected)


@given(VERSIONS, ADDRESSES, ADDRESSES, st.integers(0, 200))
def test_a_part_of_a_header_says_how_much_is_needed_and_never_too_much(
    version: ProxyVersion, source: tuple[str, int], destination: tuple[str, int], cut: int
) -> None:
    header = proxy_header(version, source, destination)
    part = header[: cut % len(header)]

    needed = read_proxy_header(part)

    assert isinstance(needed, int)
    assert len(part) < needed <= len(header)


@given(st.binary(max_size=300) | st.binary(max_size=100).map(lambda data: SIGNATURE + data))
def test_any_bytes_are_a_header_or_incomplete_or_refused(data: bytes) -> None:
    try:
        read = read_proxy_header(data)
    except ProxyProtocolError:
        return
    if isinstance(read, int):
        assert len(data) < read <= MOST_BYTES_V2
    else:
        assert read.size <= len(data)


@pytest.mark.parametrize(
    ("version", "expected"), [("v1", b"PROXY UNKNOWN\r\n"), ("v2", SIGNATURE + b"\x20\0\0\0")], ids=["v1", "v2"]
)
def test_a_connection_without_a_client_is_unknown_or_local(version: ProxyVersion, expected: bytes) -> None:
    header = proxy_header(version, None, ("10.0.0.1", 80))

    assert header == expected
    assert read_proxy_header(header) == ProxyHeader(len(header))


def test_addresses_of_two_families_are_both_sent_as_ipv6() -> None:
    header = proxy_header("v1", ("192.0.2.1", 1), ("2001:db8::1", 2))

    assert header == b"PROXY TCP6 ::ffff:192.0.2.1 2001:db8::1 1 2\r\n" or header.startswith(b"PROXY TCP6 ::ffff:c000")
    read = read_proxy_header(header)
    assert read == ProxyHeader(len(header), ("192.0.2.1", 1), ("2001:db8::1", 2))


def test_the_zone_of_a_link_local_address_is_not_sent() -> None:
    assert b"%" not in proxy_header("v1", ("fe80::1%eth0", 1), ("fe80::2", 2))


def v2(command: int, family: int, addresses: bytes) -> bytes:
    return SIGNATURE + bytes((command, family)) + len(addresses).to_bytes(2, "big") + addresses


def tlv(kind: int, value: bytes) -> bytes:
    return bytes((kind,)) + len(value).to_bytes(2, "big") + value


def with_checksum(addresses: bytes, flaw: int = 0) -> bytes:
    """Return a header with a TLV that holds its checksum, between two others."""
    before, after = tlv(1, b"h2"), tlv(4, b"pad")
    blank = v2(0x21, 0x11, addresses + before + tlv(3, bytes(4)) + after)
    at = blank.index(tlv(3, bytes(4))) + 3
    return blank[:at] + (crc32c(blank) ^ flaw).to_bytes(4, "big") + blank[at + 4 :]


def test_the_checksum_is_castagnolis() -> None:
    assert crc32c(b"123456789") == 0xE3069283


IPV4 = IPv4Address("192.0.2.1").packed + IPv4Address("192.0.2.2").packed + b"\0\1\0\2"


@pytest.mark.parametrize(
    ("data", "source"),
    [
        (v2(0x21, 0x11, IPV4 + b"\x04\0\x03abc"), ("192.0.2.1", 1)),
        (with_checksum(IPV4), ("192.0.2.1", 1)),
        (v2(0x20, 0x11, IPV4), None),
        (v2(0x20, 0x11, IPV4 + b"\x04\xff"), None),
        (v2(0x21, 0x00, b"anything"), None),
        (v2(0x21, 0x31, bytes(216)), None),
        (v2(0x21, 0x12, IPV4), None),
        (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", None),
        (b"PROXY UNKNOWN\r\n", None),
    ],
    ids=[
        "tlv",
        "checksum",
        "local",
        "local with anything",
        "unspecified",
        "unix",
        "datagram",
        "unknown with addresses",
        "unknown",
    ],
)
def test_the_source_is_none_unless_the_header_gives_an_ip_address_of_a_stream(
    data: bytes, source: tuple[str, int] | None
) -> None:
    header = read_proxy_header(data + b"GET / HTTP/1.1")

    assert isinstance(header, ProxyHeader)
    assert (header.size, header.source) == (len(data), source)


REFUSED = {
    "http": b"GET / HTTP/1.1\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00",
    "no family": b"PROXY \r\n",
    "other family": b"PROXY UDP4 1.1.1.1 1.1.1.1 1 2\r\n",
    "wrong family": b"PROXY TCP4 ::1 ::1 1 2\r\n",
    "zone": b"PROXY TCP6 fe80::1%1 ::1 1 2\r\n",
    "no address": b"PROXY TCP4 a b 1 2\r\n",
    "leading zero of an address": b"PROXY TCP4 010.1.1.1 1.1.1.1 1 2\r\n",
    "no port": b"PROXY TCP4 1.1.1.1 1.1.1.1 1 x\r\n",
    "signed port": b"PROXY TCP4 1.1.1.1 1.1.1.1 1 +2\r\n",
    "leading zero of a port": b"PROXY TCP4 1.1.1.1 1.1.1.1 1 02\r\n",
    "large port": b"PROXY TCP4 1.1.1.1 1.1.1.1 1 65536\r\n",
    "two spaces": b"PROXY TCP4  1.1.1.1 1.1.1.1 1 2\r\n",
    "more words": b"PROXY TCP4 1.1.1.1 1.1.1.1 1 2 3\r\n",
    "bare lf": b"PROXY TCP4 1.1.1.1 1.1.1.1 1 2\n",
    "bare cr": b"PROXY UNKNOWN \rPROXY",
    "too long": b"PROXY UNKNOWN " + b"a" * MOST_BYTES_V1,
    "other version": v2(0x11, 0x11, IPV4),
    "other command": v2(0x22, 0x11, IPV4),
    "too short": v2(0x21, 0x11, IPV4[:-1]),
    "wrong checksum": with_checksum(IPV4, flaw=1),
    "short checksum": v2(0x21, 0x11, IPV4 + tlv(3, b"abc")),
    "cut off in a TLV": v2(0x21, 0x11, IPV4 + tlv(4, b"abc")[:-1]),
    "cut off in the head of a TLV": v2(0x21, 0x11, IPV4 + b"\x04\0"),
    "too long in v2": v2(0x21, 0x11, bytes(MOST_BYTES_V2)),
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=list(REFUSED))
def test_what_is_no_header_is_refused(data: bytes) -> None:
    with pytest.raises(ProxyProtocolError):
        read_proxy_header(data)
