"""Ways to hide a text."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from gateway_plugin_sdk import ReplacePattern, TextTooLongError

HIDDEN: Final = "REDACTED"
_LONGEST_ADDRESS: Final = 64
"""Characters of an address at most, with its zone."""

Mask = Callable[[str], str]


def hide(value: str) -> str:  # noqa: ARG001 - a mask like the others
    """Return the same word for every text."""
    return HIDDEN


def make_ip_mask(ipv4: int, ipv6: int) -> Mask:
    """Return a mask that keeps the first bits of an address and hides what is no address."""

    @lru_cache(maxsize=4096)
    def masked(value: str) -> str:
        try:
            address = ipaddress.ip_address(value.partition("%")[0])
        except ValueError:
            return HIDDEN if value else value
        bits = ipv4 if address.version == 4 else ipv6
        return str(ipaddress.ip_network((address, bits), strict=False).network_address)

    # No address is longer, and what clients write into a field must not be remembered in any length.
    return lambda value: masked(value) if len(value) <= _LONGEST_ADDRESS else HIDDEN


def make_hash(key: bytes) -> Mask:
    """Return a mask that gives equal texts equal pseudonyms of 16 hexadecimal digits (keyed BLAKE2s).

    Without the key nobody can find an address or a name by trying them all.
    """

    def pseudonym(value: str) -> str:
        data = value.encode("utf-8", "surrogatepass")
        return hashlib.blake2s(data, digest_size=8, key=hashlib.sha256(key).digest()).hexdigest()

    return pseudonym


def make_replacement(pattern: ReplacePattern | None, replacement: str) -> Mask:
    """Return a mask that replaces each match of a pattern, or the whole text if there is no pattern.

    A text that is too long for the pattern is hidden as a whole.
    """
    if pattern is None:
        return lambda _value: replacement
    replaced = pattern.replace
    template = pattern.template(replacement)

    def replace(value: str) -> str:
        try:
            return replaced(value, template)
        except TextTooLongError:
            return HIDDEN

    return replace


def in_depth(mask: Mask) -> Callable[[Any], Any]:
    """Return a function that masks a text, or every text inside an object or a list."""

    def apply(value: Any) -> Any:
        if isinstance(value, str):
            return mask(value)
        if isinstance(value, dict):
            return {key: apply(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [apply(item) for item in value]
        return value

    return apply
