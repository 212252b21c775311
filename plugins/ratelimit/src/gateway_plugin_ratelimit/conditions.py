"""Which requests something applies to: `compile_condition` turns a `when` of the configuration into a function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from gateway_plugin_sdk import Request

from gateway_plugin_ratelimit.keys import claim_finder, compile_source

Condition = Callable[[Request], bool]
Networks = tuple[IPv4Network | IPv6Network, ...]

ANY = "*"
"""Stands for any value, but not for none."""


def compile_condition(when: Mapping[str, Sequence[str]]) -> Condition:
    """Return the function that says whether each source of a request has one of the values listed for it.

    :param when: by source (see `gateway_plugin_ratelimit.keys`), texts; for addresses, networks; a claim that is a
        list matches if one of its items does.
    :raises ValueError: for a source that does not exist or a network that is none.
    """
    tests = [_compile_test(source, tuple(values)) for source, values in when.items()]
    if len(tests) == 1:
        return tests[0]
    return lambda request: all(test(request) for test in tests)


def compile_any(conditions: Sequence[Mapping[str, Sequence[str]]]) -> Condition | None:
    """Return the function that says whether one of the conditions holds, or None if there are none."""
    compiled = [compile_condition(when) for when in conditions]
    if not compiled:
        return None
    return lambda request: any(condition(request) for condition in compiled)


def _compile_test(source: str, values: tuple[str, ...]) -> Condition:
    kind, _, name = source.partition(":")
    if ANY in values:
        take = compile_source(source)
        return lambda request: take(request) is not None
    if kind in {"client_ip", "peer_ip"}:
        return _address_test(source, values)
    if kind == "claim":
        return _claim_test(name, frozenset(values))
    if kind == "identity":
        subjects = frozenset(values)
        return lambda request: request.identity is not None and request.identity.subject in subjects
    take, wanted = compile_source(source), frozenset(value.lower() if kind == "host" else value for value in values)
    return lambda request: take(request) in wanted


def _address_test(source: str, values: tuple[str, ...]) -> Condition:
    take = compile_source(source)
    networks = tuple(_network(value) for value in values)

    def test(request: Request) -> bool:
        address = take(request)
        return address is not None and _is_within(address, networks)

    return test


def _network(value: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(value, strict=False)
    except ValueError:
        raise ValueError(f"{value!r} is not a network: write for example 10.0.0.0/8, ::1 or 192.168.1.7") from None


@lru_cache(maxsize=16384)
def _is_within(address: str, networks: Networks) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return any(parsed in network for network in networks)


def _claim_test(name: str, wanted: frozenset[str]) -> Condition:
    find = claim_finder(name)

    def test(request: Request) -> bool:
        value = find(request)
        if isinstance(value, (list, tuple)):
            return any(_text(item) in wanted for item in value)
        return value is not None and _text(value) in wanted

    return test


def _text(value: object) -> str:
    """Write a claim as a configuration would: ``true``, ``7``, ``gold``."""
    return str(value).lower() if isinstance(value, bool) else str(value)
