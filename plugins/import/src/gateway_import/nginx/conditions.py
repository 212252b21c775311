"""``if`` with nothing but ``return`` in it, as conditions of a route."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway_import.nginx.directives import Directive
from gateway_import.nginx.locations import whole
from gateway_import.nginx.lookups import Lookup, conditions_of
from gateway_import.nginx.redirects import is_same_place
from gateway_import.nginx.values import python_regex

_OTHER_SCHEME = {"http": "https", "https": "http"}
_PLACES = ("$scheme", "$https", "$host", "$http_host", "$server_name", "$server_port")
"""Where a request was sent to: a redirect of the others to the same path guards nothing."""
_GUARDING = ("return", "deny", "auth_basic", "auth_request")


def returned(block: Directive) -> Directive | None:
    """Return the ``return`` of an ``if`` that has nothing else."""
    inside = block.inside()
    return inside[0] if len(inside) == 1 and inside[0].name == "return" else None


def may_guard(block: Directive) -> bool:
    """Whether an ``if`` may refuse requests, or have another one checked."""
    is_elsewhere = block.value in _PLACES
    for each in block.inside():
        if each.name in _GUARDING and not (each.name == "return" and is_elsewhere and is_same_place(each)):
            return True
        if each.name not in {
            "return",
            "set",
            "rewrite",
            "add_header",
            "expires",
            "access_log",
            "break",
            "proxy_set_header",
        }:
            return True
        if each.name in {"rewrite", "set"}:
            return True
    return False


def alternatives(block: Directive, lookups: Mapping[str, Lookup]) -> list[dict[str, Any]] | None:
    """Return the conditions of routes for that of an ``if``, which holds if one does; None if there are none for it."""
    args = block.args
    if len(args) == 1 and args[0].startswith("$"):
        args = (args[0], "present", "")
    if len(args) != 3 or not args[0].startswith("$"):
        return None
    lookup = lookups.get(args[0].strip("${}"))
    if lookup is not None:
        return conditions_of(lookup, args[1], args[2])
    found = _for_variable(*args)
    if found is None:
        return None
    empty = _with_nothing_in_it(found)
    return [found] if empty is None else [found, empty]


def _with_nothing_in_it(found: dict[str, Any]) -> dict[str, Any] | None:
    """Return the same conditions for a field that is there and empty, which is the same to nginx as none.

    None if they ask for no field that is missing.
    """
    for key in ("headers", "cookies", "query"):
        for name, condition in found.get(key, {}).items():
            if condition == {"present": False}:
                return {key: {name: {"value": ""}}}
    return None


def _for_variable(variable: str, operator: str, value: str) -> dict[str, Any] | None:
    name = variable.strip("${}")
    if name == "request_method":
        return _methods(operator, value)
    if name == "scheme" and operator in {"=", "!="} and value in _OTHER_SCHEME:
        return {"scheme": value if operator == "=" else _OTHER_SCHEME[value]}
    if name == "host":
        return {"hosts": [value.lower()]} if operator == "=" and "." in value else None
    condition = _condition(operator, value)
    if condition is None:
        return None
    for start, key in (("http_", "headers"), ("cookie_", "cookies"), ("arg_", "query")):
        if name.startswith(start):
            rest = name.removeprefix(start)
            return {key: {rest.replace("_", "-") if key == "headers" else rest: condition}}
    return None


def _methods(operator: str, value: str) -> dict[str, Any] | None:
    if operator == "=" and value.isalpha() and value.isupper():
        return {"methods": [value]}
    words = value.strip("^$").removeprefix("(").removesuffix(")").split("|")
    is_list = value.startswith("^") and value.endswith("$") and all(each.isalpha() and each.isupper() for each in words)
    return {"methods": words} if operator == "~" and is_list else None


def _condition(operator: str, value: str) -> Any:
    if operator == "=":
        return value or {"present": False}
    if operator == "!=":
        return {"none_of": [value]} if value else {"present": True}
    if operator == "present":
        return {"regex": "(?!0$).+"}
    if operator in {"~", "~*"}:
        found = python_regex(value)
        if found is not None:
            return {"regex": f"{'(?i)' if operator == '~*' else ''}{whole(found[0])}"}
    return None
