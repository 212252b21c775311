from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import pytest
from gateway_core.config import ConfigFinding, ConfigModel
from gateway_core.packages.patterns import pattern_findings
from gateway_core.regex import Pattern, ReplacePattern, SearchPattern
from pydantic import Field

SLOW = ".*.*=.*"


class Inner(ConfigModel):
    search: SearchPattern | None = None
    also: Annotated[Pattern | None, Field(alias="or")] = None


class Config(ConfigModel):
    path: Pattern | None = None
    replace: ReplacePattern | None = None
    rules: tuple[Inner, ...] = ()
    by_name: Mapping[str, Pattern] = {}


def found(raw: Mapping[str, Any], schema: Mapping[str, Any] | None = None) -> list[ConfigFinding]:
    if schema is not None:
        return list(pattern_findings(raw, raw, schema))
    return list(pattern_findings(Config.model_validate(raw), raw, Config.model_json_schema()))


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ({"path": SLOW}, ("path",)),
        ({"rules": [{}, {"search": ".*=.*"}]}, ("rules", 1, "search")),
        ({"rules": [{"or": SLOW}]}, ("rules", 0, "or")),
        ({"by_name": {"a b": SLOW}}, ("by_name", "a b")),
    ],
)
def test_patterns_of_the_sdk_are_found_where_they_stand(
    raw: Mapping[str, Any], path: tuple[str | int, ...], without_re2: None
) -> None:
    (finding,) = found(raw)

    assert (finding.path, finding.code, finding.severity) == (path, "regex.not-linear", "warning")
    assert "install gateway-core[re2]" in finding.text


def test_with_re2_nothing_is_to_be_said() -> None:
    assert found({"path": SLOW, "rules": [{"search": SLOW, "or": SLOW}]}) == []


SCHEMA = {
    "$defs": {"pattern": {"type": "string", "format": "regex"}},
    "properties": {
        "one": {"type": "string", "format": "regex"},
        "text": {"type": "string"},
        "many": {"type": "array", "items": {"anyOf": [{"$ref": "#/$defs/pattern"}, {"type": "null"}]}},
        "named": {"additionalProperties": {"properties": {"x": {"$ref": "#/$defs/pattern"}}}},
    },
}


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ({"one": SLOW}, ("one",)),
        ({"one": "(a+)+b"}, ("one",)),
        ({"many": ["a", None, SLOW]}, ("many", 2)),
        ({"named": {"a": {"x": SLOW}}}, ("named", "a", "x")),
    ],
)
def test_texts_that_a_schema_calls_regex_are_examined_whatever_is_installed(
    raw: Mapping[str, Any], path: tuple[str | int, ...]
) -> None:
    (finding,) = found(raw, SCHEMA)

    assert (finding.path, finding.code, finding.severity) == (path, "regex.not-linear", "warning")
    assert "without a bound" in finding.text


def test_texts_that_are_no_patterns_are_left_alone() -> None:
    assert found({"text": SLOW, "one": "/[a-z]+", "many": ["[0-9]+"]}, SCHEMA) == []


def test_what_does_not_compile_is_an_error() -> None:
    (finding,) = found({"one": "("}, SCHEMA)

    assert finding.severity == "error"
