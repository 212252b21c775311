"""How problems are put into words: values, names, and rules that are broken.

`explain` has the words for what JSON Schemas and models refuse alike. Rules go by their keywords in JSON Schema, into
which `model_errors` translates those of models.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

from gateway_core.config.redaction import without_credentials


class Fault(NamedTuple):
    """A value that breaks a rule: what is wrong with it, and the remedy, which may be empty."""

    reason: str
    remedy: str = ""


EMPTY: Final = Fault("is empty", "give at least one, or leave it out")
"""What is wrong with a list that may not be empty."""

_LONGEST_QUOTE: Final = 60
# difflib compares with every candidate: beyond this many names a suggestion costs more than it helps.
_MOST_CANDIDATES: Final = 2000


def quote(text: str) -> str:
    """Quote a text for a message, on one line and not too long, without the credentials of URLs."""
    text = without_credentials(text)
    short = text if len(text) <= _LONGEST_QUOTE else text[: _LONGEST_QUOTE - 3] + "..."
    return json.dumps(short, ensure_ascii=False)


def shown(value: object) -> str:
    """Name a value in a message: scalars as they would be written, containers by their kind."""
    match value:
        case None:
            return "nothing"
        case str():
            return quote(value)
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case Mapping():
            return "a mapping"
        case Sequence():
            return "a list"
    return quote(str(value))


def kind_of(value: object) -> str:
    """Name the kind of a value the way users think of it."""
    match value:
        case None:
            return "empty"
        case str():
            return "text"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case Mapping():
            return "a mapping"
        case Sequence():
            return "a list"
    return type(value).__name__


def listed(names: Collection[str], *, last: str = "or", most: int = 12) -> str:
    """Join names as in a sentence: ``a, b or c``."""
    items = list(names)
    if len(items) > most:
        return ", ".join(items[:most]) + f" and {len(items) - most} more"
    if len(items) <= 1:
        return "".join(items)
    return ", ".join(items[:-1]) + f" {last} {items[-1]}"


def counted(count: int, noun: str) -> str:
    """Return ``1 item`` or ``2 items``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def there_are(names: Collection[str], none: str = "there is none") -> str:
    """Return which names there are, where no other remedy is known."""
    if not names:
        return none
    return f"there {'is' if len(names) == 1 else 'are'} {listed(sorted(names), last='and')}"


def did_you_mean(name: str, candidates: Collection[str]) -> str:
    """Return ``did you mean "x"?`` if a candidate is close, else an empty text."""
    if len(candidates) > _MOST_CANDIDATES or len(name) > _LONGEST_QUOTE:
        return ""
    folded = {candidate.casefold().replace("-", "_"): candidate for candidate in candidates}
    close = difflib.get_close_matches(name.casefold().replace("-", "_"), folded, n=1, cutoff=0.6)
    return f"did you mean {quote(folded[close[0]])}?" if close else ""


def explain(keyword: str, found: object, value: str, limit: Any) -> Fault | None:
    """Say in words which rule a value breaks; None if there are no words for it.

    :param keyword: the rule's, in JSON Schema.
    :param found: the value, for hints.
    :param value: how it is shown.
    :param limit: what the rule says.
    """
    if keyword == "type":
        return wrong_kind(found, value, kinds(limit))
    if keyword == "enum":
        return not_one_of(found, value, [plain(item) for item in limit])
    words = _EXPLANATIONS.get(keyword)
    return None if words is None else words(value, limit)


_EXPLANATIONS: Final[Mapping[str, Callable[[str, Any], Fault]]] = {
    "minimum": lambda value, limit: Fault(f"{value} is less than the minimum of {_number(limit)}"),
    "maximum": lambda value, limit: Fault(f"{value} is greater than the maximum of {_number(limit)}"),
    "exclusiveMinimum": lambda value, limit: Fault(f"{value} is not greater than {_number(limit)}"),
    "exclusiveMaximum": lambda value, limit: Fault(f"{value} is not less than {_number(limit)}"),
    "multipleOf": lambda value, limit: Fault(f"{value} is not a multiple of {_number(limit)}"),
    "minLength": lambda value, limit: Fault(f"{value} is shorter than {counted(limit, 'character')}"),
    "maxLength": lambda value, limit: Fault(f"{value} is longer than {counted(limit, 'character')}"),
    "pattern": lambda value, limit: Fault(f"{value} does not match the pattern {limit}"),
    "format": lambda value, limit: Fault(f"{value} is not of the format {limit}"),
    "const": lambda value, limit: Fault(f"{value} is not {shown(limit)}"),
    "minItems": lambda _value, limit: EMPTY if limit == 1 else Fault(f"has fewer than {counted(limit, 'item')}"),
    "maxItems": lambda _value, limit: Fault(f"has more than {counted(limit, 'item')}"),
    "uniqueItems": lambda *_: Fault("holds the same item twice"),
    "contains": lambda *_: Fault("lacks an item that is needed"),
    "minProperties": lambda _value, limit: Fault(f"has fewer than {counted(limit, 'key')}"),
    "maxProperties": lambda _value, limit: Fault(f"has more than {counted(limit, 'key')}"),
    "not": lambda value, _limit: Fault(f"{value} is not allowed here"),
}
"""By keyword: the message about a value and the limit that it breaks."""


def kinds(types: str | Sequence[str]) -> str:
    """Name the types of JSON Schema that a rule allows."""
    names = [types] if isinstance(types, str) else [name for name in types if name != "null"] or list(types)
    return listed([_KINDS.get(name, name) for name in names])


_KINDS: Final = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "a mapping",
    "array": "a list",
    "null": "nothing",
}


def plain(value: object) -> str:
    """Name a constant that a rule allows: a text as it is, without quotes."""
    return value if isinstance(value, str) else shown(value)


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


def wrong_kind(found: object, value: str, expected: str) -> Fault:
    """Say that a value is of another kind than expected, and what is likely meant."""
    if found is None:
        return Fault(f"has no value, where {expected} is expected")
    if isinstance(found, (Mapping, list, tuple)):
        return Fault(f"is {kind_of(found)}, where {expected} is expected")
    remedy = ""
    if expected == "text":
        remedy = "put it in quotes"
    elif expected == "a list" and isinstance(found, str | int) and not isinstance(found, bool):
        several = [each.strip() for each in re.split("[,|]", found)] if isinstance(found, str) else []
        is_list = len(several) > 1 and all(re.fullmatch(r"\S+", each) for each in several)
        remedy = f"write [{', '.join(map(quote, several)) if is_list else value}]"
    elif expected == "true or false" and isinstance(found, str):
        meant = _SPELLINGS.get(found.lower())
        remedy = f"write {meant}" if meant else ""
    elif expected in {"a number", "a whole number"} and isinstance(found, str) and _is_number(found):
        remedy = _number_remedy(found, value)
    return Fault(f"{value} is {kind_of(found)}, where {expected} is expected", remedy)


def _number_remedy(found: str, value: str) -> str:
    if value == shown(found):
        return f"write {found.replace('_', '')} without quotes"
    # From the environment: what it stands for is not shown, and inside brackets YAML needs the quotes.
    return f"write {value.strip(chr(34))} without quotes in a YAML document, outside of {{ }} and [ ]"


_SPELLINGS: Final = {"yes": "true", "on": "true", "y": "true", "true": "true", "1": "true"} | dict.fromkeys(
    ("no", "off", "n", "false", "0"), "false"
)


def _is_number(text: str) -> bool:
    bare = text.replace("_", "").removeprefix("-")
    return bare.isascii() and bare.replace(".", "", 1).isdigit()


def not_one_of(found: object, value: str, allowed: Sequence[str]) -> Fault:
    """Say that a value is none of a few."""
    remedy = did_you_mean(found, allowed) if isinstance(found, str) else ""
    return Fault(f"{value} is not one of {listed(allowed, last='and')}", remedy)
