"""The PROXY protocol, versions 1 and 2, in both directions (HAProxy's proxy-protocol.txt).

A header before everything else on a connection says who the peer's own peer is. Version 1 is a line of text, version 2
begins with a signature of twelve bytes that no other protocol sends. A header without addresses (UNKNOWN, LOCAL) means
the connection itself: a health check, or an address that the protocol cannot carry.

Pure: bytes and values in, bytes and values out. Reading is to the letter, because a header that is read is believed.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, Literal

from gateway_core.errors import GatewayError

Address = tuple[str, int]
"""An IP address as text, and a port."""

ProxyVersion = Literal["v1", "v2"]

MOST_BYTES_V1: Final = 107
"""Bytes of a header of version 1 at most, its CRLF included (section 2.1)."""
MOST_BYTES_V2: Final = 4096
"""Bytes of a header of version 2 that are read at most: addresses need 52, the rest is TLVs."""

_SIGNATURE_V1: Final = b"PROXY "
_SIGNATURE_V2: Final = b"\r\n\r\n\0\r\nQUIT\n"
_FIXED_V2: Final = 16
_LOCAL, _PROXY = 0x20, 0x21
_TCP4, _TCP6 = 0x11, 0x21
_PORTS: Final = struct.Struct("!HH")
_TLV: Final = struct.Struct("!BH")
_CRC32C: Final = 3


def _crc32c_of_byte(crc: int) -> int:
    for _ in range(8):
        crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc


_CRC32C_TABLE: Final = tuple(_crc32c_of_byte(each) for each in range(256))


class ProxyProtocolError(GatewayError):
    """A connection does not begin with a header of the PROXY protocol."""


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """What a header says."""

    size: int
    """Bytes of the header: what follows is the connection's own."""
    source: Address | None = None
    """Who connected to the proxy; None for LOCAL, UNKNOWN and families without IP addresses: the socket's peer
    counts."""
    destination: Address | None = None
    """The address that it connected to."""


def proxy_header(version: ProxyVersion, source: Address | None, destination: Address | None) -> bytes:
    """Return the header that goes before everything else on a connection.

    Without both addresses it is UNKNOWN or LOCAL. Where only one is an IPv4 address it is sent as a mapped IPv6 one.

    :raises ValueError: for what is no IP address.
    """
    if source is None or destination is None:
        return b"PROXY UNKNOWN\r\n" if version == "v1" else _SIGNATURE_V2 + bytes((_LOCAL, 0, 0, 0))
    here, there = _ip(source[0]), _ip(destination[0])
    if here.version != there.version:
        here, there = _as_ipv6(here), _as_ipv6(there)
    if version == "v1":
        return f"PROXY TCP{here.version} {here} {there} {source[1]} {destination[1]}\r\n".encode()
    addresses = here.packed + there.packed + _PORTS.pack(source[1], destination[1])
    family = _TCP4 if here.version == 4 else _TCP6
    return b"%b%c%c%b%b" % (_SIGNATURE_V2, _PROXY, family, struct.pack("!H", len(addresses)), addresses)


def _ip(text: str) -> IPv4Address | IPv6Address:
    return ip_address(text.partition("%")[0])  # the zone of a link-local address means nothing elsewhere


def _as_ipv6(address: IPv4Address | IPv6Address) -> IPv6Address:
    return address if isinstance(address, IPv6Address) else IPv6Address(f"::ffff:{address}")


def read_proxy_header(data: bytes) -> ProxyHeader | int:
    """Read the header that a connection begins with.

    :returns: the header, or how many bytes there must be at least before reading again is worthwhile.
    :raises ProxyProtocolError: the bytes are no header, or not the beginning of one.
    """
    if data.startswith(_SIGNATURE_V2[: max(1, len(data))]):
        return _read_v2(data)
    if data.startswith(_SIGNATURE_V1[: len(data)]):
        return _read_v1(data)
    raise ProxyProtocolError("the connection does not begin with a header of the PROXY protocol")


def _read_v1(data: bytes) -> ProxyHeader | int:
    end = data.find(b"\r\n", 0, MOST_BYTES_V1)
    if end < 0:
        # A line has no CR within, so that a client cannot hide one header in another.
        if len(data) >= MOST_BYTES_V1 or b"\n" in data or b"\r" in data[:-1]:
            raise ProxyProtocolError("the line of the PROXY header has no CRLF in its first 107 bytes")
        return len(data) + (1 if data.endswith(b"\r") else max(2, len(_SIGNATURE_V1) - len(data)))
    line = data[:end]
    words = line.split(b" ")
    size = end + 2
    if words[1] == b"UNKNOWN":
        if b"\r" in line or b"\n" in line:
            raise ProxyProtocolError("the line of the PROXY header holds a CR or LF")
        return ProxyHeader(size)  # whatever else the line says is to be ignored
    if words[1] not in {b"TCP4", b"TCP6"} or len(words) != 6:
        raise ProxyProtocolError("the line of the PROXY header is neither TCP4, TCP6 nor UNKNOWN")
    version = 4 if words[1] == b"TCP4" else 6
    source, destination = (_read_address(text, version) for text in words[2:4])
    source_port, destination_port = (_read_port(text) for text in words[4:6])
    return ProxyHeader(size, (source, source_port), (destination, destination_port))


def _read_address(text: bytes, version: int) -> str:
    try:
        address = ip_address(text.decode("ascii"))
    except ValueError:
        address = None
    if address is None or address.version != version or b"%" in text:
        raise ProxyProtocolError(f"the PROXY header holds {text[:64]!r} where an IPv{version} address is expected")
    return _text_of(address)


def _text_of(address: IPv4Address | IPv6Address) -> str:
    """Return one text for each address: a mapped IPv4 address is that IPv4 address."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)


def _read_port(text: bytes) -> int:
    if not text.isdigit() or len(text) > 5 or int(text) > 0xFFFF or (text[0:1] == b"0" and text != b"0"):
        raise ProxyProtocolError(f"the PROXY header holds {text[:16]!r} where a port is expected")
    return int(text)


def _read_v2(data: bytes) -> ProxyHeader | int:
    if len(data) < _FIXED_V2:
        return _FIXED_V2
    command, family = data[12], data[13]
    size = _FIXED_V2 + int.from_bytes(data[14:16], "big")
    if command not in {_LOCAL, _PROXY}:
        raise ProxyProtocolError(f"the PROXY header has the version and command 0x{command:02x}, which are unknown")
    if size > MOST_BYTES_V2:
        raise ProxyProtocolError(f"the PROXY header has {size} bytes, more than {MOST_BYTES_V2}")
    width = {_TCP4: 4, _TCP6: 16}.get(family) if command == _PROXY else None
    if width is not None and size < _FIXED_V2 + 2 * width + _PORTS.size:
        raise ProxyProtocolError(f"the PROXY header has {size} bytes, too few for its addresses")
    if len(data) < size:
        return size
    if width is None:
        return ProxyHeader(size)  # LOCAL, UNSPEC, datagrams and unix sockets: the connection's own addresses count
    _check_tlvs(data[:size], _FIXED_V2 + 2 * width + _PORTS.size)
    source, destination = (_text_of(ip_address(data[start : start + width])) for start in (16, 16 + width))
    source_port, destination_port = _PORTS.unpack_from(data, _FIXED_V2 + 2 * width)
    return ProxyHeader(size, (source, source_port), (destination, destination_port))


def _check_tlvs(header: bytes, start: int) -> None:
    """Refuse TLVs that do not end with the header, and a checksum that is not its own (section 2.2.3)."""
    while start < len(header):
        if start + _TLV.size > len(header):
            raise ProxyProtocolError("the PROXY header ends within a TLV")
        kind, length = _TLV.unpack_from(header, start)
        value, start = start + _TLV.size, start + _TLV.size + length
        if start > len(header):
            raise ProxyProtocolError("the PROXY header ends within a TLV")
        if kind == _CRC32C and not (
            length == 4
            and crc32c(header[:value] + bytes(4) + header[start:]) == int.from_bytes(header[value:start], "big")
        ):
            raise ProxyProtocolError("the checksum of the PROXY header is wrong")


def crc32c(data: bytes) -> int:
    """Return the checksum by Castagnoli's polynomial (RFC 4960 appendix B)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC32C_TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF
