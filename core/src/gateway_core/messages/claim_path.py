"""The one reading of claim paths, for access rules, limits and logs alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias


class _Missing:
    """The value of a claim that is not there; a claim that is there may be null."""

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING: Final = _Missing()
"""What a claim reader returns where there is no claim."""

ClaimReader: TypeAlias = Callable[[object], Any]
"""Takes claims and returns the value at a path, or `MISSING`."""

_LONGEST_INDEX: Final = 9
"""Digits; int() refuses very long texts."""


def claim_path(path: str) -> ClaimReader:
    r"""Return a function that reads the claim at a path, such as ``sub`` or ``realm_access.roles``.

    - A dot goes down into an object, or into a list by index from 0: ``emails.0``.
    - Names may have dots and slashes themselves (``https://hasura.io/jwt/claims.x-hasura-user-id``): the name that is
      the whole path comes first, then the longest name that the rest of the path can be found below.
    - A backslash makes a path exact: ``\.`` is a dot of a name, ``\\`` a backslash, and every other dot goes down.

    The function takes any mapping and never raises; it returns `MISSING` where there is no such claim.
    """
    if "." not in path and "\\" not in path:

        def top_level(claims: object) -> Any:
            # The usual types first: the look at an abstract class costs more than the rest.
            kind = type(claims)
            if kind is MappingProxyType or kind is dict or isinstance(claims, Mapping):
                return claims.get(path, MISSING)  # type: ignore[attr-defined]  # it is a mapping
            return MISSING

        return top_level
    names = _exact_names(path) if "\\" in path else None

    def nested(claims: object) -> Any:
        if isinstance(claims, Mapping) and path in claims:
            return claims[path]
        return _find_longest(claims, path) if names is None else _find_exact(claims, names)

    first, _, second = path.partition(".")
    if names is not None or "." in second:
        return nested

    def second_level(claims: object) -> Any:
        # The usual: an object within the claims, such as Keycloak's ``realm_access.roles``.
        if type(claims) is MappingProxyType or type(claims) is dict:
            inner = claims.get(first)
            if type(inner) is dict and path not in claims:
                return inner.get(second, MISSING)
        return nested(claims)

    return second_level


def _find_longest(claims: object, path: str) -> Any:
    # Each value is reached at one position of the path, so there are at most as many steps as values. A loop and not a
    # recursion, since a token may nest as deeply as a path of the configuration is long.
    waiting = [(claims, 0)]
    while waiting:
        value, start = waiting.pop()
        rest = path[start:]
        found = _member(value, rest)
        if found is not MISSING:
            return found
        end = path.find(".", start)
        while end >= 0:
            inner = _member(value, path[start:end])
            if isinstance(inner, Mapping | list | tuple):
                waiting.append((inner, end + 1))
            end = path.find(".", end + 1)
    return MISSING


def _find_exact(claims: object, names: list[str]) -> Any:
    value = claims
    for name in names:
        value = _member(value, name)
        if value is MISSING:
            break
    return value


def _member(value: object, name: str) -> Any:
    if isinstance(value, Mapping):
        return value.get(name, MISSING)
    # One spelling per index: no sign, no leading zero, no digits of other scripts.
    if isinstance(value, list | tuple) and name.isascii() and name.isdigit() and len(name) <= _LONGEST_INDEX:
        index = int(name)
        if index < len(value) and str(index) == name:
            return value[index]
    return MISSING


def _exact_names(path: str) -> list[str]:
    names, name, escaped = [], "", False
    for character in path:
        if escaped:
            name += character if character in ".\\" else "\\" + character
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == ".":
            names.append(name)
            name = ""
        else:
            name += character
    return [*names, name + "\\" * escaped]
