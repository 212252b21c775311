"""Validation of plugin configs against JSON Schemas (2020-12), with problems in our words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gateway_core.config.problems import ConfigFinding, KeyPath, finding, format_path, missing_key, unknown_key
from gateway_core.config.redaction import is_at_secret, is_marked_secret, schema_secret_paths
from gateway_core.config.suggestions import (
    Fault,
    code_of,
    did_you_mean,
    explain,
    kinds,
    listed,
    not_one_of,
    plain,
    quote,
    shown,
    wrong_kind,
)
from gateway_core.regex import Pattern, PatternSyntaxError, SlowPatternError, compile_pattern

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

# jsonschema is imported where something is validated: a process that only serves does without its 3 MiB.


def _check_schema(schema: Mapping[str, Any]) -> None:
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - see above
    from jsonschema.exceptions import SchemaError  # noqa: PLC0415 - see above

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        place = format_path(error.absolute_path)
        raise ValueError(f"{place + ': ' if place else ''}{error.message}") from None


class SchemaValidator:
    """Validates values against one schema.

    ``is_sound`` leaves out checking the schema itself, which takes a tenth of a second for a large one.

    :raises ValueError: if the schema itself is broken, with the reason.
    """

    def __init__(
        self, schema: Mapping[str, Any], secret_paths: frozenset[str] = frozenset(), *, is_sound: bool = False
    ) -> None:
        from jsonschema import Draft202012Validator  # noqa: PLC0415 - see above

        if not is_sound:
            _check_schema(schema)
        self._validator = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
        self.secret_paths = secret_paths | schema_secret_paths(schema)
        self._definitions: Mapping[str, Any] = schema.get("$defs", {})
        self._secret_parts = [tuple(path.split(".")) for path in self.secret_paths]

    def problems(self, value: object, shown_at: Callable[[KeyPath, object], str] | None = None) -> list[ConfigFinding]:
        """Return everything that is wrong with ``value``; ``shown_at`` names values in messages.

        :raises ValueError: if the schema refers to something that is not there.
        """
        from referencing.exceptions import Unresolvable  # noqa: PLC0415 - see above

        try:
            errors = list(self._validator.iter_errors(value))
        except Unresolvable as error:
            raise ValueError(f"refers to {quote(str(error.ref))}, which is not in it") from None
        show = shown_at or (lambda _path, item: shown(item))
        explainer = _Explainer(show, self.is_secret, self._definitions)
        # There is an error for each key that is missing, and each of them names all.
        return list(dict.fromkeys(problem for error in errors for problem in explainer.findings(error)))

    def is_secret(self, path: KeyPath) -> bool:
        """Whether the value at ``path`` must not be shown."""
        return is_at_secret(self._secret_parts, tuple(map(str, path)))


@dataclass(frozen=True, slots=True)
class _Explainer:
    shown_at: Callable[[KeyPath, object], str]
    is_secret: Callable[[KeyPath], bool]
    definitions: Mapping[str, Any]

    def findings(self, error: ValidationError) -> Iterator[ConfigFinding]:
        path: KeyPath = tuple(error.absolute_path)
        if (expected := _expected(error)) is not None:
            fault = Fault(f"{self._show(error, path)} is not {expected.reason}", expected.remedy)
            yield finding(path, fault, "value.invalid")
            return
        if "propertyNames" in list(error.schema_path)[-2:-1]:
            yield self._key(error, path)
            return
        match error.validator:
            case "anyOf" | "oneOf" if error.context:
                yield from self._alternatives(error, path)
            case "required":
                yield from (missing_key((*path, key)) for key in _missing(error))
            case "dependentRequired":
                yield from self._dependent(error, path)
            case "additionalProperties" | "unevaluatedProperties":
                yield from self._unknown_keys(error, path)
            case _:
                yield finding(path, self._fault(error, path), code_of(str(error.validator)))

    def _fault(self, error: ValidationError, path: KeyPath) -> Fault:
        value = self._show(error, path)
        limit = _limit(error)
        if error.validator == "format" and limit == "regex" and (why := _why_no_regex(error.instance)):
            return Fault(f"{value} is not a regular expression: {why}")
        if (fault := explain(str(error.validator), self._found(error, path), value, limit)) is not None:
            return fault
        if error.schema is False:
            return Fault(f"{value} is not allowed here")
        return Fault(f"{value} does not fit the schema ({error.validator})")

    def _show(self, error: ValidationError, path: KeyPath) -> str:
        if self._hides(error, path):
            return "the value"
        return self.shown_at(path, _instance(error))

    def _hides(self, error: ValidationError, path: KeyPath) -> bool:
        return is_marked_secret(error.schema) or self.is_secret(path)

    def _found(self, error: ValidationError, path: KeyPath) -> object:
        """Return the value for hints; an empty text where not even a hint may depend on it."""
        return "" if self._hides(error, path) and isinstance(error.instance, str) else error.instance

    def _dependent(self, error: ValidationError, path: KeyPath) -> Iterator[ConfigFinding]:
        for key, needed in _limit(error).items():
            if key in _instance(error):
                for other in needed:
                    if other not in _instance(error):
                        yield missing_key((*path, other), f"{quote(key)} needs it")

    def _unknown_keys(self, error: ValidationError, path: KeyPath) -> Iterator[ConfigFinding]:
        known = list(error.schema.get("properties", ())) if isinstance(error.schema, Mapping) else []
        for key in _instance(error):
            if key not in known and not _matches_pattern(key, error.schema):
                remedy = did_you_mean(key, known) or self._belongs_below(key, error.schema)
                yield unknown_key((*path, key), remedy)

    def _belongs_below(self, key: str, schema: Any) -> str:
        """Return the sections beside an unknown key that know it, as a hint."""
        properties = schema.get("properties", {}) if isinstance(schema, Mapping) else {}
        sections = [name for name, each in properties.items() if key in self._keys_of(each)]
        return f"it belongs in {listed(sections)}" if sections else ""

    def _keys_of(self, schema: Any) -> Iterable[str]:
        if not isinstance(schema, Mapping):
            return ()
        if (name := str(schema.get("$ref", "")).removeprefix("#/$defs/")) in self.definitions:
            schema = self.definitions[name]
        own = schema.get("properties", {})
        return own or [key for option in schema.get("anyOf", ()) for key in self._keys_of(option)]

    def _key(self, error: ValidationError, path: KeyPath) -> ConfigFinding:
        key = str(_instance(error))
        fault = explain(str(error.validator), key, quote(key), _limit(error))
        fault = fault or Fault(f"{quote(key)} is not a key that fits here")
        return finding((*path, key), fault, "key.invalid", is_key=True)

    def _alternatives(self, error: ValidationError, path: KeyPath) -> Iterator[ConfigFinding]:
        """Explain the alternative that was most likely meant: one whose type and constants fit."""
        branches: dict[object, list[ValidationError]] = {}
        for inner in error.context or ():
            branches.setdefault(inner.relative_schema_path[0], []).append(inner)
        fitting = [errors for errors in branches.values() if not any(_excludes(inner) for inner in errors)]
        if not fitting and isinstance(_instance(error), dict):
            # An option that may be left out is "this or null": a mapping can only mean the one that takes mappings.
            taking = [errors for errors in branches.values() if not any(_refuses_kind(inner) for inner in errors)]
            fitting = taking if len(taking) == 1 else []
        if fitting:
            best = min(fitting, key=lambda errors: (len(errors), -max(len(inner.absolute_path) for inner in errors)))
            for inner in best:
                yield from self.findings(inner)
            return
        if (tags := _tags(branches.values())) is not None:
            first, allowed = tags
            where = tuple(first.absolute_path)
            value = self._show(first, where)
            yield finding(where, not_one_of(self._found(first, where), value, allowed), "value.not-allowed")
            return
        options = [option for errors in branches.values() for option in _options(errors)]
        value = self._show(error, path)
        if options:
            fault = wrong_kind(_instance(error), value, listed(options))
            if "text" in options and isinstance(_instance(error), int | float):
                fault = fault._replace(remedy="put it in quotes")
            yield finding(path, fault, "value.wrong-type")
        else:
            fault = Fault(f"{value} fits none of the {len(branches)} forms that are allowed here")
            yield finding(path, fault, "value.invalid")


def _tags(branches: Iterable[list[ValidationError]]) -> tuple[ValidationError, list[str]] | None:
    """Return what distinguishes the alternatives, if it is one key that is a constant of its own in each of them."""
    tags = [[e for e in errors if e.validator == "const" and len(e.relative_path) == 1] for errors in branches]
    if not all(tags) or len({tuple(errors[0].relative_path) for errors in tags}) != 1:
        return None
    return tags[0][0], [plain(_limit(errors[0])) for errors in tags]


def _limit(error: ValidationError) -> Any:
    return error.validator_value


def _instance(error: ValidationError) -> Any:
    return error.instance


def _expected(error: ValidationError) -> Fault | None:
    """Return what our own value types say that they expect (``x-expected`` and ``x-remedy`` beside the rule)."""
    schema = error.schema if isinstance(error.schema, Mapping) else {}
    expected = schema.get("x-expected")
    return Fault(expected, str(schema.get("x-remedy", ""))) if isinstance(expected, str) else None


def _why_no_regex(text: object) -> str:
    """Return what is wrong with a regular expression, and at which character; empty if it is one."""
    try:
        compile_pattern(str(text), Pattern)
    except PatternSyntaxError as error:
        return error.detail
    except SlowPatternError:
        return ""
    return ""


def _excludes(error: ValidationError) -> bool:
    """Whether an error says that a whole alternative was not meant."""
    if error.validator == "type":
        return _refuses_kind(error)
    return error.validator in {"const", "enum"} and len(error.relative_path) <= 1


def _refuses_kind(error: ValidationError) -> bool:
    return error.validator == "type" and len(error.relative_path) == 0


def _options(errors: Iterable[ValidationError]) -> list[str]:
    options = []
    for error in errors:
        if error.validator == "type" and _limit(error) != "null":
            options.append(kinds(_limit(error)))
        elif error.validator == "const" and not error.relative_path:
            options.append(plain(_limit(error)))
        elif error.validator == "enum" and not error.relative_path:
            options.extend(plain(item) for item in _limit(error))
    return list(dict.fromkeys(options))


def _missing(error: ValidationError) -> list[str]:
    return [key for key in _limit(error) if key not in _instance(error)]


def _matches_pattern(key: str, schema: Any) -> bool:
    patterns = schema.get("patternProperties", {}) if isinstance(schema, Mapping) else {}
    return any(re.search(pattern, key) for pattern in patterns)
