"""A writer of small databases in MaxMind's format (MaxMind DB file format specification 2.0)."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, Final

_RECORD: Final = 24
_MARKER: Final = b"\xab\xcd\xefMaxMind.com"


def database(countries: Mapping[str, Any]) -> bytes:
    """Return a database of records by network.

    :param countries: a country's code, or a whole record, by network.
    """
    tree: list[list[int | None]] = [[None, None]]
    data, positions = b"", {}
    for text, record in countries.items():
        whole = {"country": {"iso_code": record}} if isinstance(record, str) else record
        positions[text] = len(data)
        data += _encode(whole)
        _insert(tree, ip_network(text), -1 - positions[text])
    count = len(tree)
    nodes = b"".join(_number(side, count).to_bytes(_RECORD // 8, "big") for node in tree for side in node)
    metadata = {
        "node_count": count, "record_size": _RECORD, "ip_version": 6, "database_type": "Test-Country",
        "languages": [], "binary_format_major_version": 2, "binary_format_minor_version": 0,
        "build_epoch": 1_700_000_000, "description": {"en": "a test"},
    }  # fmt: skip
    return nodes + bytes(16) + data + _MARKER + _encode(metadata)


def _insert(tree: list[list[int | None]], network: IPv4Network | IPv6Network, leaf: int) -> None:
    length = network.prefixlen + (96 if network.version == 4 else 0)
    bits = f"{int(network.network_address):0128b}"[:length]
    node = 0
    for bit in map(int, bits[:-1]):
        following = tree[node][bit]
        if following is None:
            following = tree[node][bit] = len(tree)
            tree.append([None, None])
        node = following
    tree[node][int(bits[-1])] = leaf


def _number(side: int | None, count: int) -> int:
    if side is None:
        return count
    return side if side >= 0 else count + 16 + (-1 - side)


def _encode(value: Any) -> bytes:
    if isinstance(value, str):
        return _control(2, len(value.encode())) + value.encode()
    if isinstance(value, dict):
        return _control(7, len(value)) + b"".join(_encode(key) + _encode(each) for key, each in value.items())
    if isinstance(value, list):
        return bytes([len(value), 11 - 7]) + b"".join(map(_encode, value))
    data: bytes = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return _control(6, len(data)) + data if len(data) <= 4 else bytes([len(data), 9 - 7]) + data


def _control(kind: int, size: int) -> bytes:
    return bytes([kind << 5 | size]) if size < 29 else bytes([kind << 5 | 29, size - 29])
