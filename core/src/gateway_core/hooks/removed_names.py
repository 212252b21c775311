"""Find what a plugin uses of earlier versions of the API, and name the replacement.

Names that are gone would fail at the first request only. So when a plugin is loaded, its functions and those that they
refer to within its own package are looked at: for attributes of requests, responses and their headers, of the plugin
itself, and for options of ``@hookimpl``. A parameter is a request or a response if it is called so or annotated so.
"""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Iterator, Mapping
from types import CodeType, FunctionType, MethodType
from typing import Any, Final

_CACHE_KEY: Final = "headers.key, or a Headers method such as get_bytes, count or has_any"
_FILTER: Final = "add_body_filter(factory)"
_OBSERVER: Final = "add_body_filter(factory, observe=True)"

REQUEST: Final[Mapping[str, str]] = {
    "target": "request.received.target",
    "params": "request.path_params",
    "query_params": "request.query",
    "claims": "request.identity.claims",
    "header": "request.headers.get",
    "tls_peer": "request.tls.peer",
    "head_block": _CACHE_KEY,
    "lowered_block": _CACHE_KEY,
    "current_block": "request.headers_key",
    "arrival": "request.client_ip, peer_ip, scheme and tls",
    "set_body_reader": "the test kit's PluginHarness, or request.set_body",
    "watch_body": _OBSERVER,
}
RESPONSE: Final[Mapping[str, str]] = {
    "head_block": _CACHE_KEY,
    "block": _CACHE_KEY,
    "transform_body": _FILTER,
    "transforms": _FILTER,
    "is_transformed": _FILTER,
    "watch_body": _OBSERVER,
}
HEADERS: Final[Mapping[str, str]] = {
    "block": _CACHE_KEY,
    "lowered": _CACHE_KEY,
    "append_block": "headers.extend with a FieldBlock or what a FieldTemplate makes",
}
PLUGIN: Final[Mapping[str, str]] = {
    "before": "provides and needs, and the order in which the configuration lists the bindings",
    "after": "provides and needs, and the order in which the configuration lists the bindings",
    "needs_of": "needs, set in __init__ where it depends on the configuration",
    "provides_of": "provides, set in __init__ where it depends on the configuration",
    "wants_times": 'needs with "hook-times"',
}
OPTIONS: Final[Mapping[str, str]] = dict.fromkeys(
    ("tryfirst", "trylast"), "the order in which the configuration lists the bindings, and `order: before` or `after`"
)

_KINDS: Final = {"request": REQUEST, "response": RESPONSE, "headers": HEADERS, "self": PLUGIN}
_ALL: Final = frozenset(name for names in _KINDS.values() for name in names)
_ANNOTATIONS: Final = {"Request": "request", "Response": "response", "Headers": "headers"}


def removed_names(plugin: type, options: Mapping[str, Mapping[str, Any]], base: type) -> Iterator[str]:
    """Yield what a plugin class uses that is gone: the use, its place and the replacement.

    :param options: of ``@hookimpl``, by the name of the method.
    :param base: the class that all plugins have in common; its own attributes are not looked at.
    """
    for name, replacement in PLUGIN.items():
        if hasattr(plugin, name) and not hasattr(base, name):
            yield f"{name} is gone: use {replacement}"
    for method, given in options.items():
        for option, replacement in OPTIONS.items():
            if given.get(option):
                yield f"@hookimpl({option}=True) on {method} is gone: use {replacement}"
    for function in _reachable(plugin, base):
        if _names_in(function.__code__) & _ALL:
            yield from _uses(function)


def _reachable(plugin: type, base: type) -> list[FunctionType]:
    """Return the functions of a class, and those of its package that these refer to by a global name."""
    package = plugin.__module__.partition(".")[0]
    waiting: list[object] = [each for each in plugin.__mro__ if each not in base.__mro__]
    seen: dict[int, object] = {}
    found = []
    while waiting:
        each = waiting.pop()
        each = _unwrapped(each)
        if id(each) in seen:
            continue
        seen[id(each)] = each
        if isinstance(each, type):
            waiting += [part for part in vars(each).values() if _is_function(part)]
        elif isinstance(each, FunctionType):
            found.append(each)
            values = (each.__globals__.get(name) for name in _names_in(each.__code__))
            waiting += [value for value in values if _package_of(value) == package]
    return found


def _is_function(value: object) -> bool:
    return isinstance(_unwrapped(value), FunctionType)


def _unwrapped(value: object) -> object:
    # Not of whatever has the attribute: to ask a model's validator for it makes the validator.
    return value.__func__ if isinstance(value, (classmethod, staticmethod, MethodType)) else value


def _package_of(value: object) -> str:
    is_code = isinstance(value, (FunctionType, type)) and getattr(value, "__module__", None)
    return str(value.__module__).partition(".")[0] if is_code else ""


def _names_in(code: CodeType) -> set[str]:
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= _names_in(constant)
    return names


def _uses(function: FunctionType) -> Iterator[str]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, SyntaxError, TypeError):
        return  # without its source a plugin is believed
    known = {"request": "request", "response": "response", "self": "self"}
    for node in ast.walk(tree):
        if isinstance(node, ast.arg) and (kind := _annotated(node.annotation)) is not None:
            known[node.arg] = kind
    for node in ast.walk(tree):  # headers = request.headers, headers := request.headers
        if isinstance(node, (ast.Assign, ast.NamedExpr)) and (kind := _kind_of(node.value, known)) is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            known |= {each.id: kind for each in targets if isinstance(each, ast.Name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (kind := _kind_of(node.value, known)) is not None:
            replacement = _KINDS[kind].get(node.attr)
            if replacement is not None:
                file = getattr(sys.modules.get(function.__module__), "__file__", None) or function.__code__.co_filename
                line = function.__code__.co_firstlineno + node.lineno - 1
                yield f"{ast.unparse(node)} ({file}:{line}) is gone: use {replacement}"


def _annotated(annotation: ast.expr | None) -> str | None:
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        return _ANNOTATIONS.get(annotation.value)
    name = annotation.attr if isinstance(annotation, ast.Attribute) else getattr(annotation, "id", None)
    return _ANNOTATIONS.get(name) if isinstance(name, str) else None


def _kind_of(value: ast.expr, known: Mapping[str, str]) -> str | None:
    if isinstance(value, ast.Name):
        return known.get(value.id)
    if isinstance(value, ast.Attribute) and value.attr in {"request", "response", "headers"}:
        return value.attr
    return None
