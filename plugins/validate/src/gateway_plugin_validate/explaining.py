"""Finds what is wrong with a value, in bounded time.

jsonschema-rs lists all errors at once, with the value of each: half a million of them take seconds and gigabytes. And
behind an error of ``anyOf`` or ``oneOf`` it lists those of each alternative, which double with each level of a value
whose schema refers to itself: 30 levels take hours, while it is known at once whether the value is valid. So only
values that are small and flat are given to it. Others are taken apart along their schema, and only parts that are not
valid are looked into, until enough errors are known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

from gateway_plugin_validate.problems import MOST_ERRORS, Failure, failure_of, failure_of_keyword, pointer_of
from gateway_plugin_validate.schemas import Validator, compile_schema

SMALL: Final = 200
"""Values within a value that is given to the library whole."""
FLAT: Final = 3
"""Levels of lists and objects in such a value."""
_CHUNK: Final = 256
_MOST_KEPT: Final = 500
"""Validators of parts of a schema."""
_BESIDE: Final = {
    "additionalItems": ("items",),
    "additionalProperties": ("properties", "patternProperties"),
    "contains": ("minContains", "maxContains"),
    "if": ("then", "else"),
    "items": ("prefixItems",),
}
"""Keywords that mean something only beside others."""
_NO_RULES: Final = frozenset({"$defs", "else", "maxContains", "minContains", "then"})


class Explainer:
    """Lists the errors of values by one schema, which stands alone."""

    def __init__(self, schema: Mapping[str, Any] | bool, kind: type[Validator], validator: Validator) -> None:
        """Begin without the validators of parts, which are compiled when they are needed.

        :param validator: that of the whole schema.
        """
        self._schema = schema
        self._whole = validator
        self._kind = kind
        self._definitions = schema.get("$defs", {}) if isinstance(schema, Mapping) else {}
        self._validators: dict[tuple[int, str], Validator] = {}
        self._references: dict[str, frozenset[str]] = {}

    def explain(self, value: Any, where: str, name: str = "") -> tuple[Failure, ...]:
        """Return the first errors of a value."""
        found: list[Failure] = []
        for failure in islice(self._look(self._schema, value, (), where, name), 2 * MOST_ERRORS):
            if failure not in found:
                found.append(failure)
        return tuple(found[:MOST_ERRORS])

    def _look(self, schema: Any, value: Any, path: tuple[str | int, ...], where: str, name: str) -> Iterator[Failure]:
        if not isinstance(schema, Mapping) or is_small(value):
            errors = self._validator(schema).iter_errors(value)
            yield from (failure_of(error, where, name, path) for error in errors)
            return
        for keyword, rule in schema.items():
            if keyword in _NO_RULES:
                continue
            parts = self._parts(schema, keyword, rule, value)
            if parts is not None:
                for step, inner, each in parts:
                    if not self._validator(inner).is_valid(each):
                        yield from self._look(inner, each, (*path, *step), where, name)
            elif not self._keyword(schema, keyword).is_valid(value):
                yield from failure_of_keyword(keyword, rule, value, where, name, pointer_of(path))

    def _parts(
        self, schema: Mapping[str, Any], keyword: str, rule: Any, value: Any
    ) -> Iterator[tuple[tuple[str | int, ...], Any, Any]] | None:
        """Return the schemas that a keyword applies to parts of a value; None if it is not one of those."""
        if keyword == "$ref":
            return iter([((), self._definitions[rule.rpartition("/")[2]], value)])
        if keyword == "allOf":
            return iter([((), inner, value) for inner in rule])
        if keyword == "properties" and isinstance(value, dict):
            return (((name,), inner, value[name]) for name, inner in rule.items() if name in value)
        if keyword == "additionalProperties" and isinstance(value, dict) and isinstance(rule, Mapping):
            if "patternProperties" in schema:
                return None
            named = schema.get("properties", {})
            return (((name,), rule, inner) for name, inner in value.items() if name not in named)
        if keyword == "items" and isinstance(value, list) and isinstance(rule, Mapping):
            return self._items(rule, value, len(schema.get("prefixItems", ())))
        return None

    def _items(
        self, rule: Mapping[str, Any], value: list[Any], first: int
    ) -> Iterator[tuple[tuple[str | int, ...], Any, Any]]:
        """Yield the items of chunks that are not valid: to ask for each item costs more than to look at it."""
        whole = self._validator(rule, "items")
        for start in range(first, len(value), _CHUNK):
            chunk = value[start : start + _CHUNK]
            if not whole.is_valid(chunk):
                for index, item in enumerate(chunk, start):
                    yield (index,), rule, item

    def _keyword(self, schema: Mapping[str, Any], keyword: str) -> Validator:
        if keyword in {"unevaluatedItems", "unevaluatedProperties"}:
            return self._validator(schema)
        beside = {other: schema[other] for other in _BESIDE.get(keyword, ()) if other in schema}
        return self._kept((id(schema), keyword), {keyword: schema[keyword], **beside})

    def _validator(self, schema: Any, inside: str = "") -> Validator:
        if schema is self._schema and not inside:
            return self._whole
        return self._kept((id(schema), f"in {inside}"), {inside: schema} if inside else schema)

    def _kept(self, key: tuple[int, str], schema: Any) -> Validator:
        # The schema is kept whole, so no other one gets the identity of a part of it.
        found = self._validators.get(key)
        if found is None:
            if len(self._validators) >= _MOST_KEPT:
                self._validators.clear()
            alone = {**schema, "$defs": self._reachable(schema)} if isinstance(schema, Mapping) else schema
            found = self._validators[key] = compile_schema(alone, self._kind)
        return found

    def _reachable(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        """Return the definitions that a part of the schema needs: to compile all of them takes milliseconds."""
        found: dict[str, Any] = {}
        left = set(references_in({key: each for key, each in schema.items() if key != "$defs"}))
        while left:
            name = left.pop()
            if name in self._definitions and name not in found:
                found[name] = self._definitions[name]
                if name not in self._references:
                    self._references[name] = references_in(found[name])
                left |= self._references[name]
        return found


def references_in(schema: Any) -> frozenset[str]:
    """Return the names of the definitions that a schema refers to, itself or within its parts."""
    found, left = set(), [schema]
    while left:
        each = left.pop()
        if isinstance(each, Mapping):
            reference = each.get("$ref")
            if isinstance(reference, str):
                found.add(reference.rpartition("/")[2])
            left += each.values()
        elif isinstance(each, list):
            left += each
    return frozenset(found)


def is_small(value: Any) -> bool:
    """Return whether a value has no more than `SMALL` values within it, in no more than `FLAT` levels."""
    level, count = [value], 0
    for _ in range(FLAT):
        inner: list[Any] = []
        for each in level:
            if isinstance(each, dict | list):
                count += len(each)
                if count > SMALL:
                    return False
                inner += each.values() if isinstance(each, dict) else each
        if not inner:
            return True
        level = inner
    return not any(isinstance(each, dict | list) for each in level)
