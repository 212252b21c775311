"""Pydantic's errors in our words: what was found, what is expected, what to do."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gateway_core.config.problems import ConfigFinding, KeyPath, finding, missing_key, unknown_key
from gateway_core.config.suggestions import (
    Fault,
    code_of,
    did_you_mean,
    explain,
    quote,
    shown,
)
from gateway_core.config.values import InconsistentError, InvalidValueError

Show = Callable[[KeyPath, object], str]
"""Names a value in a message, or what stands for it if it must not be shown."""


def _show(_path: KeyPath, value: object) -> str:
    return shown(value)


@dataclass(frozen=True, slots=True)
class Hints:
    """What is said to keys and values that other gateways have; none unless given."""

    of_key: Callable[[KeyPath], str] = lambda _path: ""
    """For an unknown key."""
    of_value: Callable[[KeyPath, object], str] = lambda _path, _value: ""
    """For a value where a section or a list is expected."""
    of_place: Callable[[KeyPath], str] = lambda _path: ""
    """For an unknown key that resembles none."""


NO_HINTS: Final = Hints()


def explain_model_errors(
    model: type[BaseModel], error: ValidationError, show: Show = _show, hints: Hints = NO_HINTS, value: object = None
) -> Iterator[ConfigFinding]:
    """Yield what every error says in our words.

    :param value: what was validated, if the model has alternatives: pydantic names them in the paths of errors.
    """
    errors = error.errors(include_url=False)
    for details in errors:
        path = _real_path(details["loc"])
        if value is not None:
            path = _path_within(value, path, is_missing=details["type"] == "missing")
        if _is_consequence(details, errors):
            continue
        if details["type"] == "extra_forbidden":
            remedy = (
                hints.of_key(path)
                or _known_elsewhere(model, path)
                or did_you_mean(str(path[-1]), fields_at(model, path[:-1]))
                or hints.of_place(path)
            )
            yield unknown_key(path, remedy)
        elif details["type"] == "missing":
            yield missing_key(path)
        else:
            is_key = details["loc"][-1:] == ("[key]",)
            shown_value = show(path, details["input"]) if not is_key else quote(str(path[-1]))
            rule = _rule(model, path, details)
            fault = _fault(rule, details, shown_value)
            if details["type"] in _SECTION_TYPES:
                fault = fault._replace(remedy=hints.of_value(path, details["input"]) or fault.remedy)
            yield finding(path, fault, _code(rule, details), is_key=is_key)


def _path_within(value: object, path: KeyPath, *, is_missing: bool) -> KeyPath:
    """Return a path without the steps that name an alternative rather than a key or an index.

    :param is_missing: whether the last step is a key that there is not.
    """
    steps: list[str | int] = []
    for number, step in enumerate(path):
        is_key = isinstance(value, Mapping) and step in value
        is_index = isinstance(value, list | tuple) and isinstance(step, int) and step < len(value)
        if is_key or is_index:
            value = value[step]  # type: ignore[index]  # one of the two
        if is_key or is_index or (is_missing and number == len(path) - 1):
            steps.append(step)
    return tuple(steps)


def meant_alternatives(findings: Iterable[ConfigFinding]) -> list[ConfigFinding]:
    """Leave out why a value is not one alternative where another one says better what is wrong with it: further below,
    or more than its kind.
    """
    found = list(dict.fromkeys(findings))

    def is_worse(one: ConfigFinding, other: ConfigFinding) -> bool:
        if other.path[: len(one.path)] != one.path:
            return False
        return len(other.path) > len(one.path) or (one.code in _KINDS and other.code not in _KINDS)

    return [each for each in found if not any(is_worse(each, other) for other in found)]


_KINDS: Final = frozenset({"value.wrong-type", "value.not-allowed"})


def _known_elsewhere(model: type[BaseModel], path: KeyPath) -> str:
    """Return a hint for a key that the top level knows, and the section at ``path`` does not."""
    is_known = len(path) > 1 and path[-1] in fields_at(model, ())
    return f"it belongs beside {quote(str(path[0]))}, at the top level" if is_known else ""


def _is_consequence(details: ErrorDetails, errors: Sequence[ErrorDetails]) -> bool:
    """Whether an error only follows from another one.

    A default that depends on an invalid field, and a list that is too short only without its invalid items.
    """
    if details["type"] == "too_short":
        depth = len(details["loc"])
        return any(len(other["loc"]) > depth and other["loc"][:depth] == details["loc"] for other in errors)
    return details["type"] == "default_factory_not_called"


def model_problems(model: type[BaseModel], value: Mapping[str, Any]) -> Sequence[ConfigFinding]:
    """Validate ``value`` and return what is wrong; fits :attr:`PluginDescription.check`."""
    try:
        model.model_validate(value)
    except ValidationError as error:
        return list(explain_model_errors(model, error))
    return []


def _real_path(loc: Iterable[str | int]) -> KeyPath:
    # Errors about a mapping's key end in pydantic's marker.
    return tuple(part for part in loc if part != "[key]")


def _rule(model: type[BaseModel], path: KeyPath, details: ErrorDetails) -> tuple[str, Any] | None:
    """Return the keyword and the limit of JSON Schema that say what an error says; None if there are none."""
    kind, context = details["type"], details.get("ctx", {})
    if kind in _TYPES:
        return "type", _TYPES[kind]
    if kind in _LIMITS:
        keyword, limit = _LIMITS[kind]
        return keyword, context.get(limit)
    if kind in {"literal_error", "enum"}:
        allowed = [str(one) for kind in _kinds_at(model, path) for one in _values_of(kind)]
        return "enum", allowed or [str(context.get("expected", ""))]
    return None


def _code(rule: tuple[str, Any] | None, details: ErrorDetails) -> str:
    if rule is not None:
        return code_of(rule[0])
    if details["type"] != "value_error":
        return "value.invalid"
    code = getattr(details.get("ctx", {}).get("error"), "code", None)
    if isinstance(code, str):
        return code
    # What refuses a mapping compares its keys.
    return "value.inconsistent" if isinstance(details["input"], Mapping) else "value.invalid"


def _fault(rule: tuple[str, Any] | None, details: ErrorDetails, value: str) -> Fault:
    if rule is not None and (fault := explain(rule[0], details["input"], value, rule[1])) is not None:
        return fault
    if details["type"] == "value_error":
        cause = details.get("ctx", {}).get("error")
        if isinstance(cause, InvalidValueError):
            is_alone = isinstance(cause, InconsistentError)
            return Fault(cause.reason if is_alone else f"{value} {cause.reason}", cause.remedy)
        return Fault(str(cause) if cause is not None else details["msg"])
    return Fault(f"{value} is refused: {details['msg'][:1].lower()}{details['msg'][1:]}")


def _values_of(kind: Any) -> Sequence[object]:
    """Return the values that a type lists."""
    if isinstance(kind, type) and issubclass(kind, Enum):
        return [one.value for one in kind]
    return get_args(kind) if get_origin(kind) is Literal else ()


_SECTION_TYPES: Final = frozenset({"model_type", "model_attributes_type", "tuple_type", "list_type"})

_TYPES: Final = {
    "string_type": "string",
    "int_type": "integer",
    "int_from_float": "integer",
    "int_parsing": "integer",
    "float_type": "number",
    "float_parsing": "number",
    "bool_type": "boolean",
    "bool_parsing": "boolean",
    "tuple_type": "array",
    "list_type": "array",
    "set_type": "array",
    "frozen_set_type": "array",
    "dict_type": "object",
    "mapping_type": "object",
    "model_type": "object",
    "model_attributes_type": "object",
}
"""The type of JSON Schema that a kind of pydantic's errors expects."""

_LIMITS: Final = {
    "greater_than_equal": ("minimum", "ge"),
    "less_than_equal": ("maximum", "le"),
    "greater_than": ("exclusiveMinimum", "gt"),
    "less_than": ("exclusiveMaximum", "lt"),
    "multiple_of": ("multipleOf", "multiple_of"),
    "string_pattern_mismatch": ("pattern", "pattern"),
    "string_too_short": ("minLength", "min_length"),
    "string_too_long": ("maxLength", "max_length"),
    "too_short": ("minItems", "min_length"),
    "too_long": ("maxItems", "max_length"),
}
"""The keyword of JSON Schema that says what a kind of pydantic's errors says, and where the limit is in its context."""


def fields_at(model: type[BaseModel], path: KeyPath) -> list[str]:
    """Return the keys that the model at ``path`` knows; none if there is no model."""
    return [name for kind in _kinds_at(model, path) if _is_model(kind) for name in kind.model_fields]


def _kinds_at(model: type[BaseModel], path: KeyPath) -> list[Any]:
    """Return the types that a value at ``path`` may have."""
    kinds: list[Any] = [model]
    for part in path:
        kinds = [inner for kind in kinds for inner in _inside(kind, part)]
    return kinds


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _inside(kind: Any, part: str | int) -> list[Any]:
    """Return the types that a value of type ``kind`` has at one step of a path."""
    if _is_model(kind):
        field = kind.model_fields.get(part)
        return _unwrap(field.annotation) if field is not None else []
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in {tuple, list, set, frozenset}:
        return _unwrap(arguments[0]) if isinstance(part, int) and arguments else []
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return _unwrap(arguments[1])
    return []


def _unwrap(annotation: Any) -> list[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _unwrap(get_args(annotation)[0])
    if origin in {Union, types.UnionType}:
        return [inner for option in get_args(annotation) for inner in _unwrap(option)]
    return [annotation]
