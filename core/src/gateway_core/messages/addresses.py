"""Addresses as proxies write them, and as the gateway does: one text for each address."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Final

_LONGEST: Final = 80
"""Characters of an address with brackets, zone, port and quotes at most; longer texts are no addresses."""

_REMEMBERED: Final = 4096
_IPV6_GROUPS: Final = 8
_PORT: Final = re.compile(r":(?:[0-9]{1,5}|_[A-Za-z0-9._-]+)")
_BRACKETED: Final = re.compile(r"\[([0-9A-Fa-f:.]+(?:%[A-Za-z0-9._~-]+)?)\](.*)")


_IPV6_BITS_OF_A_CLIENT: Final = 64


def client_network(address: str) -> str:
    """Return what counts as one client where clients get equal shares: an IPv4 address, of IPv6 the /64 network.

    One client has such a network for itself, so its addresses are no different clients. Any other text is itself.
    """
    if ":" not in address:
        return address
    try:
        parsed = IPv6Address(address)
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(IPv6Address(int(parsed) >> _IPV6_BITS_OF_A_CLIENT << _IPV6_BITS_OF_A_CLIENT))


def canonical_address(text: str) -> str | None:
    """Return the one text of the address that a list entry holds, or None if it holds none.

    Understood are IPv4 and IPv6 addresses, each with or without a port, in quotes, in brackets, with a zone. IPv6 comes
    out in lower case and compressed (RFC 5952), without its zone; IPv4 mapped into IPv6 comes out as IPv4.
    """
    return _canonical(text) if len(text) <= _LONGEST else None


@lru_cache(_REMEMBERED)
def _canonical(text: str) -> str | None:
    text = text.strip(" \t")
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1]
    if found := _BRACKETED.fullmatch(text):
        host, port = found[1], found[2]
        if ":" not in host or (port and not _is_port(port)):
            return None
    else:
        host = _without_port(text)
    try:
        address = ip_address(host.partition("%")[0] if ":" in host else host)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)


def _is_port(text: str) -> bool:
    return _PORT.fullmatch(text) is not None and (not text[1:].isdigit() or int(text[1:]) <= 65535)


def _without_port(text: str) -> str:
    host, colon, port = text.rpartition(":")
    # CloudFront-Viewer-Address has all eight groups of an IPv6 address and the port behind them, without brackets.
    is_eight_and_port = host.count(":") == _IPV6_GROUPS - 1 and "::" not in text
    return host if colon and (":" not in host or is_eight_and_port) and _is_port(colon + port) else text


# -- Forwarded (RFC 7239)

_WORD: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED: Final = r'"(?:[^"\\]|\\.)*"'
_PAIR: Final = rf"{_WORD}=(?:{_WORD}|{_QUOTED})"
_PAIRS: Final = re.compile(rf"[ \t]*({_WORD})=({_WORD}|{_QUOTED})[ \t]*(?:;|$)")
_ELEMENT: Final = re.compile(rf"[ \t]*(?:{_PAIR}[ \t]*)?(?:;[ \t]*(?:{_PAIR}[ \t]*)?)*")
"""Pairs may be empty (RFC 7239 section 4)."""
_ESCAPED: Final = re.compile(r"\\(.)")
_LONGEST_ELEMENT: Final = 1024
_MOST_COMMAS: Final = 8
"""Commas within the quoted texts of one element at most."""

MOST_HOPS: Final = 64
"""Entries of a list of addresses that are looked at, from the right."""


def read_forwarded(value: str) -> tuple[list[dict[str, str]], bool]:
    """Return the parameters of the elements of a Forwarded value, the last one first, and whether all could be read.

    Reading goes from the right and ends at what is malformed: the proxies next to us wrote there, and an unclosed quote
    that a client sent must not swallow what they appended. Empty elements of a list count for nothing (RFC 9110
    section 5.6.1.2).
    """
    elements: list[dict[str, str]] = []
    rest = value
    for _ in range(MOST_HOPS):
        element, before = _last_element(rest)
        if element is None:
            return elements, False
        if element:
            elements.append(element)
        if before is None:
            return elements, bool(elements)
        rest = before
    return elements, False


def _last_element(value: str) -> tuple[dict[str, str] | None, str | None]:
    """Return the last element, None if it is malformed, and what is before its comma, None if there is none."""
    end = len(value)
    for _ in range(_MOST_COMMAS):
        comma = value.rfind(",", 0, end)
        text = value[comma + 1 :]
        if len(text) > _LONGEST_ELEMENT:
            break
        if _ELEMENT.fullmatch(text):
            return _parameters(text), value[:comma] if comma >= 0 else None
        if comma < 0:
            break
        end = comma
    return None, None


def _parameters(text: str) -> dict[str, str] | None:
    """Return the parameters of a well-formed element by lower-case name; None if one is given twice."""
    found: dict[str, str] = {}
    for written, value in _PAIRS.findall(text):
        name = written.lower()
        if name in found:
            return None
        found[name] = _ESCAPED.sub(r"\1", value[1:-1]) if value[:1] == '"' else value
    return found


def entries_from_right(value: str) -> Iterator[str]:
    """Yield the entries of an X-Forwarded-For value, the last one first, empty ones too: each is some proxy's."""
    end = len(value)
    for _ in range(MOST_HOPS):
        comma = value.rfind(",", 0, end)
        yield value[comma + 1 : end].strip(" \t")
        if comma < 0:
            return
        end = comma
