"""Which requests something applies to: `compile_condition` turns a `when` of the configuration into a function."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence, Set
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from gateway_plugin_sdk import MISSING, FieldNames, Request, claim_path

from gateway_plugin_ratelimit.keys import as_text, compile_source, plain_host

Condition = Callable[[Request], bool]
Networks = tuple[IPv4Network | IPv6Network, ...]

_KEPT_ESCAPES: Final = re.compile("%2F|%25|%5C")
"""Escapes that stay in the match path."""
_LONGEST_ADDRESS: Final = 64

ANY = "*"
"""Stands for any value, but not for none."""


def compile_condition(when: Mapping[str, Sequence[str]], *, frees: bool = False) -> Condition:
    """Return the function that says whether each source of a request has one of the values listed for it.

    :param when: by source (see `gateway_plugin_ratelimit.keys`), texts; for addresses, networks; a claim that is a
        list matches if one of its items does.
    :param frees: whether the condition makes a request less limited. All that an upstream may read then must fit: a
        method that a field asks for instead of the request's own (``X-HTTP-Method-Override``), and each of several
        values of a header, a cookie or a parameter. Otherwise one of them is enough.
    :raises ValueError: for a source that does not exist or a network that is none.
    """
    tests = [_compile_test(source, tuple(values), frees) for source, values in when.items()]
    if len(tests) == 1:
        return tests[0]
    return lambda request: all(test(request) for test in tests)


def compile_exemptions(conditions: Sequence[Mapping[str, Sequence[str]]]) -> Condition | None:
    """Return the function that says whether one of the conditions frees a request, or None if there are none."""
    compiled = [compile_condition(when, frees=True) for when in conditions]
    if not compiled:
        return None
    return lambda request: any(condition(request) for condition in compiled)


def _compile_test(source: str, values: tuple[str, ...], frees: bool) -> Condition:
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
    if kind == "path":
        return _path_test(values)
    if kind == "method":
        return _method_test(frozenset(values), frees)
    take = compile_source(source)
    wanted = frozenset(plain_host(value) if kind == "host" else value for value in values)
    if frees or kind not in _REPEATED:
        return lambda request: take(request) in wanted
    return lambda request: _has_one(take(request), wanted)


_REPEATED: Final = {"header", "cookie", "query"}
"""Sources of which a client may send several values, and upstreams read the first, the last, or all."""


def _has_one(value: str | None, wanted: frozenset[str]) -> bool:
    if value is None or value in wanted:
        return value is not None
    return "," in value and not wanted.isdisjoint([each.strip() for each in value.split(",")])


def _method_test(wanted: frozenset[str], frees: bool) -> Condition:
    # A HEAD costs an upstream what a GET does, so it does not get round a limit for GET.
    if "GET" in wanted:
        wanted |= {"HEAD"}
    enough = all if frees else any
    return lambda request: enough(method in wanted for method in _methods(request))


# Fields that make another method of a request for some frameworks, with any separator that CGI and WSGI take for "-".
_OVERRIDES: Final = FieldNames(
    f"x-{http}{what}{override}"
    for http in ("", "http-")
    for what in ("method", "verb")
    for override in ("", "-override", "override")
)


def _methods(request: Request) -> list[str]:
    """Return the methods that an upstream may take a request for: its own, and those that the client asks for beside.

    Gateways do not know whether an upstream looks at such a field or parameter, so each of them counts.
    """
    asked = request.headers.get_any(_OVERRIDES)
    if request.query_string:
        asked += [value for name, value in request.query if name == "_method"]
    return [request.method, *(method.strip().upper() for method in asked)]


def _path_test(values: Sequence[str]) -> Condition:
    """Return the test of the match path: ``/login``, or ``/api/*`` for everything below and ``/api`` itself."""
    for value in values:
        _check_path(value)
    exact = frozenset(value.removesuffix("/*").rstrip("/") or "/" for value in values)
    below = tuple(value.removesuffix("*") for value in values if value.endswith("/*"))
    take = compile_source("path")

    def test(request: Request) -> bool:
        path = take(request)
        return path in exact or (path or "").startswith(below)

    return test


def _check_path(value: str) -> None:
    example = "write the path as the route sees it, decoded, such as /login or /api/*"
    if not value.startswith("/"):
        raise ValueError(f"{value!r} does not begin with a slash: {example}")
    if "//" in value or ";" in value or "?" in value or "*" in value.removesuffix("/*"):
        raise ValueError(f"{value!r} can never be the path of a request: {example}")
    if "%" in _KEPT_ESCAPES.sub("", value):
        raise ValueError(f"{value!r} is percent-encoded, so it would never match: {example}")


def _address_test(source: str, values: tuple[str, ...]) -> Condition:
    take = compile_source(source)
    networks = tuple(_network(value) for value in values)

    def test(request: Request) -> bool:
        address = take(request)
        return address is not None and len(address) <= _LONGEST_ADDRESS and _is_within(address, networks)

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
    read = claim_path(name)

    def test(request: Request) -> bool:
        value = MISSING if request.identity is None else read(request.identity.claims)
        if isinstance(value, list | tuple | Set):
            return any(_text(item) in wanted for item in value)
        return value is not MISSING and value is not None and _text(value) in wanted

    return test


def _text(value: object) -> str:
    """Write a claim as a configuration would: ``true``, ``7``, ``gold``."""
    return value if isinstance(value, str) else as_text(value)
