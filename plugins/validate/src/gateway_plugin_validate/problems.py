"""What is wrong with a message, for its sender: places and rules, never values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import jsonschema_rs

MOST_ERRORS: Final = 50
_LONGEST_NAME: Final = 100
_MOST_NAMES: Final = 5


class Failure(NamedTuple):
    """One error."""

    where: str
    """``body``, ``path``, ``query``, ``header`` or ``cookie``."""
    name: str
    """Of the parameter; empty for the body."""
    pointer: str
    """A JSON pointer (RFC 6901) in the value, as a URI fragment."""
    keyword: str
    """The rule of the schema, or what else is wrong: ``missing``, ``repeated``, ``syntax``."""
    detail: str

    def as_json(self) -> dict[str, str]:
        """Return the error as clients get it."""
        shown = {"in": self.where, "pointer": self.pointer, "keyword": self.keyword, "detail": self.detail}
        return {"in": self.where, "name": self.name, **shown} if self.name else shown


class Reason(NamedTuple):
    """Why a message is refused."""

    status: int
    code: str
    """For metrics and logs."""
    detail: str
    failures: tuple[Failure, ...] = ()
    fields: tuple[tuple[str, str], ...] = ()
    """Fields of the response, such as Allow."""


def pointer_of(path: Iterable[str | int]) -> str:
    """Return a JSON pointer as a URI fragment; long names are cut."""
    return "#" + "".join(f"/{_shown(str(step)).replace('~', '~0').replace('/', '~1')}" for step in path)


def _shown(name: str) -> str:
    name = name.encode("utf-8", "replace").decode()
    return name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..."


def _names(names: Iterable[Any]) -> str:
    listed = [_shown(str(name)) for name in names]
    more = f" and {len(listed) - _MOST_NAMES} more" if len(listed) > _MOST_NAMES else ""
    return ", ".join(repr(name) for name in listed[:_MOST_NAMES]) + more


_TEXTS: Final = {
    "additionalItems": "has more items than are allowed",
    "anyOf": "matches none of the alternatives",
    "const": "is not the one value that is allowed",
    "contains": "has no item that is asked for, or too many",
    "enum": "is none of the values that are allowed",
    "falseSchema": "is not allowed here",
    "not": "is what the schema excludes",
    "oneOf": "does not match exactly one of the alternatives",
    "propertyNames": "has a property whose name is not allowed",
    "unevaluatedItems": "has items that are not allowed",
    "uniqueItems": "has an item twice",
}
_LIMITS: Final = {
    "exclusiveMaximum": "is not less than {}",
    "exclusiveMinimum": "is not greater than {}",
    "maxItems": "has more than {} items",
    "maxLength": "has more than {} characters",
    "maxProperties": "has more than {} properties",
    "maximum": "is greater than {}",
    "minItems": "has fewer than {} items",
    "minLength": "has fewer than {} characters",
    "minProperties": "has fewer than {} properties",
    "minimum": "is less than {}",
    "multipleOf": "is no multiple of {}",
}


def failure_of(
    error: jsonschema_rs.ValidationError, where: str, name: str = "", prefix: tuple[str | int, ...] = ()
) -> Failure:
    """Return what a client gets of an error of jsonschema-rs: the rule with its limit, and not the value."""
    kind = error.kind
    pointer = pointer_of((*prefix, *error.instance_path))
    return Failure(where, name, pointer, kind.name, _detail(kind.name, kind))


def _detail(keyword: str, kind: Any) -> str:
    if keyword in _TEXTS:
        return _TEXTS[keyword]
    if keyword in _LIMITS:
        return _LIMITS[keyword].format(kind.value)
    if keyword == "type":
        return f"is not of the type {' or '.join(kind.types)}"
    if keyword == "required":
        return f"lacks the property {_shown(kind.property)!r}"
    if keyword in {"additionalProperties", "unevaluatedProperties"}:
        return f"has properties that are not allowed: {_names(kind.unexpected)}"
    if keyword == "pattern":
        return f"does not match the pattern {kind.pattern[:200]}"
    if keyword == "format":
        return f"is not of the format {kind.format}"
    return f"does not fulfil {keyword}"


def failure_of_keyword(keyword: str, rule: Any, value: Any, where: str, name: str, pointer: str) -> Iterable[Failure]:
    """Return what a client gets where a value does not fulfil a keyword, as far as that shows without a library."""
    if keyword == "required" and isinstance(value, dict):
        missing = [each for each in rule if each not in value]
        return [Failure(where, name, pointer, keyword, f"lacks the property {_shown(each)!r}") for each in missing]
    if keyword == "type":
        detail = f"is not of the type {rule if isinstance(rule, str) else ' or '.join(rule)}"
    elif keyword in _LIMITS:
        detail = _LIMITS[keyword].format(rule)
    elif keyword in {"additionalProperties", "unevaluatedProperties"}:
        detail = "has properties that are not allowed"
    else:
        detail = _TEXTS.get(keyword, f"does not fulfil {keyword}")
    return [Failure(where, name, pointer, keyword, detail)]
