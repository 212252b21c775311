"""What is said about a value that breaks a rule: one table for JSON Schemas and for models.

Rules go by their keywords in JSON Schema. What is said reads on behind the place: the value, what is wrong, the remedy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from gateway_core.config.suggestions import EMPTY, counted, did_you_mean, kind_of, listed, shown

EXPLANATIONS: Final[dict[str, Callable[[str, Any], str]]] = {
    "minimum": lambda value, limit: f"{value} is less than the minimum of {_number(limit)}",
    "maximum": lambda value, limit: f"{value} is greater than the maximum of {_number(limit)}",
    "exclusiveMinimum": lambda value, limit: f"{value} is not greater than {_number(limit)}",
    "exclusiveMaximum": lambda value, limit: f"{value} is not less than {_number(limit)}",
    "multipleOf": lambda value, limit: f"{value} is not a multiple of {_number(limit)}",
    "minLength": lambda value, limit: f"{value} is shorter than {counted(limit, 'character')}",
    "maxLength": lambda value, limit: f"{value} is longer than {counted(limit, 'character')}",
    "pattern": lambda value, limit: f"{value} does not match the pattern {limit}",
    "format": lambda value, limit: f"{value} is not of the format {limit}",
    "const": lambda value, limit: f"{value} is not {shown(limit)}",
    "minItems": lambda _value, limit: EMPTY if limit == 1 else f"has fewer than {counted(limit, 'item')}",
    "maxItems": lambda _value, limit: f"has more than {counted(limit, 'item')}",
    "uniqueItems": lambda *_: "holds the same item twice",
    "contains": lambda *_: "lacks an item that is needed",
    "minProperties": lambda _value, limit: f"has fewer than {counted(limit, 'key')}",
    "maxProperties": lambda _value, limit: f"has more than {counted(limit, 'key')}",
    "not": lambda value, _limit: f"{value} is not allowed here",
}
"""By keyword: what is said of a value and the limit that it breaks."""


def _number(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def code_of(keyword: str) -> str:
    """Return the code of a problem with a rule."""
    return _CODES.get(keyword, "value.invalid")


_CODES: Final = {"type": "value.wrong-type", "enum": "value.not-allowed", "const": "value.not-allowed"} | dict.fromkeys(
    (
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength"),
        *("minItems", "maxItems", "minProperties", "maxProperties"),
    ),
    "value.out-of-range",
)


def wrong_kind(found: object, value: str, expected: str) -> str:
    """Say that a value is of another kind than expected, and what is likely meant."""
    if found is None:
        return f"has no value, where {expected} is expected"
    if isinstance(found, (Mapping, list, tuple)):
        return f"is {kind_of(found)}, where {expected} is expected"
    hint = ""
    if expected == "text":
        hint = ": put it in quotes"
    elif expected == "true or false" and isinstance(found, str):
        answer = _SPELLINGS.get(found.lower())
        hint = f": write {answer}" if answer else ""
    elif expected in {"a number", "a whole number"} and isinstance(found, str) and _is_number(found):
        hint = _number_hint(found, value)
    return f"{value} is {kind_of(found)}, where {expected} is expected{hint}"


def _number_hint(found: str, value: str) -> str:
    if value == shown(found):
        return f": write {found.replace('_', '')} without quotes"
    # From the environment: what it stands for is not shown, and inside brackets YAML needs the quotes.
    return f": write {value.strip(chr(34))} without quotes, outside of {{ }} and [ ]"


_SPELLINGS: Final = {"yes": "true", "on": "true", "y": "true", "true": "true", "1": "true"} | dict.fromkeys(
    ("no", "off", "n", "false", "0"), "false"
)


def _is_number(text: str) -> bool:
    bare = text.replace("_", "").removeprefix("-")
    return bare.isascii() and bare.replace(".", "", 1).isdigit()


def not_one_of(found: object, value: str, allowed: Sequence[str]) -> str:
    """Say that a value is none of a few."""
    hint = did_you_mean(found, allowed) if isinstance(found, str) else ""
    return f"{value} is not one of {listed(allowed, last='and')}{hint}"
