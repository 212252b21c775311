"""What an editor with yaml-language-server does with the schema of ``gateway schema``."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "editors.md"

OTHERS = {"kong.yaml"}
"""Files of other gateways."""
EXAMPLES = sorted(
    path for path in (ROOT / "examples").rglob("*.yaml") if "src" not in path.parts and path.name not in OTHERS
)

UNDERSTOOD = """
$defs $ref $id $schema type enum const properties required additionalProperties patternProperties
propertyNames items prefixItems minItems maxItems uniqueItems contains minLength maxLength pattern
format minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minProperties maxProperties
allOf anyOf oneOf not if then else dependentRequired title description default examples deprecated
readOnly writeOnly
"""
"""The keywords that yaml-language-server checks or shows; others it would pass over in silence."""


class Yaml12(yaml.SafeLoader):
    """The language server reads YAML 1.2, where ``on`` and ``no`` are words."""


Yaml12.yaml_implicit_resolvers = {
    first: [(tag, regex) for tag, regex in found if tag != "tag:yaml.org,2002:bool" or first in "tTfF"]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@pytest.fixture(scope="module")
def schema() -> Any:
    command = [sys.executable, "-m", "gateway_core.cli", "schema"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def complaints(schema: Any, text: str) -> list[ValidationError]:
    return list(Draft202012Validator(schema).iter_errors(yaml.load(text, Loader=Yaml12)))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: str(path.relative_to(ROOT)))
def test_an_editor_finds_nothing_wrong_with_the_examples(schema: Any, path: Path) -> None:
    assert [f"{error.json_path}: {error.message}" for error in complaints(schema, path.read_text("utf-8"))] == []


def test_an_expression_may_stand_for_a_number_or_a_switch_and_other_text_may_not(schema: Any) -> None:
    assert complaints(schema, "workers: ${WORKERS:-2}\nvia: ${VIA}\n") == []
    assert [error.json_path for error in complaints(schema, "workers: two\n")] == ["$.workers"]


@pytest.mark.parametrize(
    ("binding", "place"),
    [
        ("{name: ratelimit, config: {rate: fast}}", "$.plugins[0].config"),
        ("{name: ratelimit, config: {rate: 1, brust: 2}}", "$.plugins[0].config"),
        ("{name: logger, config: {format: 7}}", "$.plugins[0].config"),
        ("{name: logger, on_error: perhaps}", "$.plugins[0].on_error"),
        ("{nmae: logger}", "$.plugins[0]"),
    ],
)
def test_an_editor_underlines_what_is_wrong_with_a_plugins_options(schema: Any, binding: str, place: str) -> None:
    text = f"plugins:\n  - {binding}\nroutes: [{{path: /, target: 'http://127.0.0.1:1', plugins: [{binding}]}}]\n"

    found = complaints(schema, text)

    assert any(error.json_path.startswith(place) for error in found), found
    assert any(error.json_path.startswith(place.replace("$", "$.routes[0]")) for error in found), found


def test_the_schema_stands_alone_in_words_that_editors_understand(schema: Any) -> None:
    used, references = set(), set()
    for keyword, value in keywords(schema):
        used.add(keyword)
        if keyword == "$ref":
            references.add(value)

    # ``discriminator`` (of OpenAPI) says which of the alternatives is meant, and changes nothing about what is valid.
    harmless = {keyword for keyword in used if keyword == "discriminator" or keyword.startswith("x-")}
    assert used - harmless <= set(UNDERSTOOD.split())
    assert all(reference.startswith("#/$defs/") for reference in references)


def keywords(schema: Any) -> Iterator[tuple[str, Any]]:
    """Yield every keyword of a schema; names of properties and values of defaults are none."""
    if not isinstance(schema, dict):
        return
    for keyword, value in schema.items():
        yield keyword, value
        if keyword in {"properties", "$defs", "patternProperties"}:
            inner = list(value.values())
        elif keyword in {"discriminator", "default", "const", "enum", "examples", "required", "dependentRequired"}:
            inner = []
        else:
            inner = value if isinstance(value, list) else [value]
        for each in inner:
            yield from keywords(each)


def test_the_page_says_how(schema: Any) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)

    assert block.startswith("# yaml-language-server: $schema=gateway.schema.json\n")
    assert complaints(schema, block) == []
