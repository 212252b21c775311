"""From the name of a field, as configurations write it, to its value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, Final

from gateway_plugin_sdk import HeaderError, Headers

from gateway_plugin_logger.fields import readers
from gateway_plugin_logger.fields.catalogue import FIELDS
from gateway_plugin_logger.fields.value import Kind, Value, fresh_name


class FieldNameError(ValueError):
    """There is no field of that name."""


def _call(function: str, of: str, reader: Callable[..., Any], argument: Any, kind: Kind = Kind.TEXT) -> Value:
    reads, name = fresh_name(function), fresh_name("argument")
    return Value(f"{reads}({of}, {name})", kind, optional=True, names={reads: reader, name: argument})


def _header(of: str, name: str) -> Value:
    try:
        Headers().add(name, "")
    except HeaderError as error:
        raise FieldNameError(str(error)) from None
    if of == "request":
        reads = fresh_name("header")
        return Value(f"{reads}(head)", optional=True, names={reads: readers.make_header_list_reader(name)})
    return _call("header", f"{of}.headers", readers.header_list, name.lower())


def _claim(dotted: str) -> Value:
    reads = fresh_name("claim")
    return Value(f"{reads}(request)", Kind.OBJECT, optional=True, names={reads: readers.make_claim_reader(dotted)})


LOOKUPS: Final[Mapping[str, Callable[[str], Value]]] = MappingProxyType(
    {
        "header": lambda name: _header("request", name),
        "response_header": lambda name: _header("response", name),
        "query": lambda name: _call("query", "request", readers.query_value, name),
        "cookie": lambda name: _call("cookie", "request", lambda request, key: request.cookie(key), name),
        "param": lambda name: _call("param", "request.path_params", lambda params, key: params.get(key), name),
        "claim": _claim,
        "state": lambda name: _call("state", "request", readers.state, name, Kind.OBJECT),
    }
)
"""By the word before the colon in ``header:x-tenant``, how to make the value of the name behind it."""


def find_value(name: str) -> Value:
    """Return the value of a field: a name of the catalogue, or a lookup such as ``header:x-tenant``.

    :raises FieldNameError: there is none; the message names the nearest.
    """
    field = FIELDS.get(name)
    if field is not None:
        return field.value
    kind, colon, argument = name.partition(":")
    if not colon:
        raise FieldNameError(f"{name!r} is no field{_suggestion(name, list(FIELDS))}")
    lookup = LOOKUPS.get(kind)
    if lookup is None:
        raise FieldNameError(f"{name!r} is no field: before the colon comes one of {', '.join(LOOKUPS)}")
    if not argument:
        raise FieldNameError(f"{name!r} is no field: a name follows the colon, as in {kind}:x-tenant")
    return lookup(argument)


def _suggestion(name: str, known: list[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; the fields are {', '.join(known)}"
