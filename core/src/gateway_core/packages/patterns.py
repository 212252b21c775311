"""Regular expressions in plugins' configurations: which have a bound that operators should know of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import BaseModel

from gateway_core.config import ConfigFinding, KeyPath
from gateway_core.config.redaction import once_for_each_schema
from gateway_core.regex import (
    Pattern,
    PatternSyntaxError,
    ReplacePattern,
    SearchPattern,
    SlowPatternError,
    compile_pattern,
)

_DEEPEST: Final = 12
_ANY: Final = "*"


def pattern_findings(config: object, raw: object, schema: Mapping[str, Any]) -> Iterator[ConfigFinding]:
    """Examine the patterns of a configuration.

    :param config: what the plugin gets; patterns of the SDK's types in it are bounded by the core.
    :param raw: the configuration as it is written; its other texts of the format ``regex`` are matched by the plugin.
    """
    bounded = dict(_patterns(config, ()))
    for path, pattern in bounded.items():
        if pattern.problem is not None:
            yield ConfigFinding(path, pattern.problem, code="regex.not-linear", severity="warning")
    wanted = _all_regex_paths(schema)
    if wanted:
        for path, text in _texts(raw, ()):
            if path not in bounded and any(_fits(each, path) for each in wanted):
                yield from _unbounded(path, text)


def _unbounded(path: KeyPath, text: str) -> Iterator[ConfigFinding]:
    try:
        if compile_pattern(text, SearchPattern).is_linear:
            return
    except PatternSyntaxError as error:
        yield ConfigFinding(path, str(error), code=error.code)
        return
    except SlowPatternError:
        pass
    message = (
        f"{text!r} is not linear, and the plugin matches it without a bound: a text of a client could take very long; "
        "see that no two of its repetitions can take the same characters"
    )
    yield ConfigFinding(path, message, code="regex.not-linear", severity="warning")


def _patterns(value: object, path: KeyPath) -> Iterator[tuple[KeyPath, Pattern | SearchPattern | ReplacePattern]]:
    if isinstance(value, Pattern | SearchPattern | ReplacePattern):
        yield path, value
    elif isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            yield from _patterns(getattr(value, name), (*path, field.alias or name))
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _patterns(inner, (*path, key))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _patterns(inner, (*path, index))


def _texts(value: object, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(inner, (*path, key))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _texts(inner, (*path, index))


def _fits(wanted: KeyPath, path: KeyPath) -> bool:
    return len(wanted) == len(path) and all(a in {_ANY, b} for a, b in zip(wanted, path, strict=True))


@once_for_each_schema
def _all_regex_paths(schema: Mapping[str, Any]) -> frozenset[KeyPath]:
    return frozenset(_regex_paths(schema, schema, (), _DEEPEST))


def _regex_paths(schema: object, root: Mapping[str, Any], path: KeyPath, depth: int) -> Iterator[KeyPath]:
    """Yield where the schema has texts of the format ``regex``, with ``*`` for any key or index."""
    if not isinstance(schema, Mapping) or depth == 0:
        return
    if schema.get("format") == "regex":
        yield path
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith("#/$defs/"):
        yield from _regex_paths(root.get("$defs", {}).get(reference.removeprefix("#/$defs/")), root, path, depth - 1)
    for key in ("anyOf", "oneOf", "allOf", "prefixItems"):
        for option in schema.get(key, ()):
            yield from _regex_paths(option, root, (*path, _ANY) if key == "prefixItems" else path, depth - 1)
    for name, inner in schema.get("properties", {}).items():
        yield from _regex_paths(inner, root, (*path, name), depth - 1)
    for key in ("items", "additionalProperties"):
        yield from _regex_paths(schema.get(key), root, (*path, _ANY), depth - 1)
    for inner in schema.get("patternProperties", {}).values():
        yield from _regex_paths(inner, root, (*path, _ANY), depth - 1)
