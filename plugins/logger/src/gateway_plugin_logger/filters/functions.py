"""What expressions can ask beside comparing; every function takes a missing or odd value and says no."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from enum import EnumMeta
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

from gateway_plugin_sdk import SearchPattern

_LONGEST_ADDRESS: Final = 64


def _ordered(left: Any, right: Any) -> bool:
    return isinstance(left, int | float) and isinstance(right, int | float)


def less(left: Any, right: Any) -> bool:
    """Whether both are numbers and left is less."""
    return _ordered(left, right) and left < right


def at_most(left: Any, right: Any) -> bool:
    """Whether both are numbers and left is not more."""
    return _ordered(left, right) and left <= right


def more(left: Any, right: Any) -> bool:
    """Whether both are numbers and left is more."""
    return _ordered(left, right) and left > right


def at_least(left: Any, right: Any) -> bool:
    """Whether both are numbers and left is not less."""
    return _ordered(left, right) and left >= right


def contains(whole: Any, part: Any) -> bool:
    """Whether a text has a part, or a list or object an item."""
    if isinstance(whole, str):
        return isinstance(part, str) and part in whole
    if isinstance(whole, dict):
        return isinstance(part, str) and part in whole
    return isinstance(whole, list | tuple) and part in whole


@dataclass(frozen=True, slots=True)
class Function:
    """A function of expressions: constants make it, the value of a field is what it is asked about."""

    make: Callable[..., Callable[[Any], Any]]
    example: str
    gives_text: bool = False

    def gives_type(self, types: EnumMeta) -> Any:
        """Return the member of an enumeration of types that this function's result has."""
        return types["TEXT" if self.gives_text else "TRUTH"]


def _make_matches(pattern: str) -> Callable[[Any], bool]:
    search = SearchPattern.compile(pattern).search
    return lambda value: isinstance(value, str) and search(value) is not None


def _make_starts_with(*prefixes: str) -> Callable[[Any], bool]:
    _some(prefixes)
    return lambda value: isinstance(value, str) and value.startswith(prefixes)


def _make_ends_with(*suffixes: str) -> Callable[[Any], bool]:
    _some(suffixes)
    return lambda value: isinstance(value, str) and value.endswith(suffixes)


def _make_in_network(*networks: str) -> Callable[[Any], bool]:
    _some(networks)
    parsed = [ipaddress.ip_network(network, strict=False) for network in networks]

    @lru_cache(maxsize=4096)
    def is_in(value: str) -> bool:
        try:
            address = ipaddress.ip_address(value.partition("%")[0])
        except ValueError:
            return False
        return any(address in network for network in parsed)

    # No address is longer, and what is remembered must stay small.
    return lambda value: isinstance(value, str) and len(value) <= _LONGEST_ADDRESS and is_in(value)


def _make_lower() -> Callable[[Any], Any]:
    return lambda value: value.lower() if isinstance(value, str) else None


def _some(texts: tuple[str, ...]) -> None:
    if not texts:
        raise ValueError("one text or more is needed")


FUNCTIONS: Final = MappingProxyType(
    {
        "matches": Function(_make_matches, r"matches(path, '^/v[0-9]+/')"),
        "starts_with": Function(_make_starts_with, "starts_with(path, '/api/')"),
        "ends_with": Function(_make_ends_with, "ends_with(path, '.css', '.js')"),
        "in_network": Function(_make_in_network, "in_network(client_ip, '10.0.0.0/8')"),
        "lower": Function(_make_lower, "lower(host) == 'example.com'", gives_text=True),
    }
)
