from __future__ import annotations

from typing import Any

import pytest
from gateway_core.cli.options_table import example, table

SCHEMA = {
    "$defs": {
        "Limit": {
            "properties": {"rate": {"type": "number", "description": "Requests\n  a second."}},
            "required": ["rate"],
        },
        "Loop": {"properties": {"again": {"$ref": "#/$defs/Loop"}}},
    },
    "properties": {
        "key": {"type": "string", "default": "client_ip", "description": "What is limited."},
        "limits": {"type": "array", "items": {"$ref": "#/$defs/Limit"}},
        "per": {"anyOf": [{"x-expected": "a duration", "anyOf": []}, {"type": "null"}], "default": None},
        "window": {"x-expected": "a duration", "type": "string", "default": "60s"},
        "mode": {"enum": ["a", "b"]},
        "is_on": {"type": "boolean"},
        "loop": {"$ref": "#/$defs/Loop"},
    },
    "required": ["limits"],
}


def test_each_option_has_its_kind_default_and_description_in_a_line() -> None:
    assert [" ".join(line.split()) for line in table(SCHEMA).splitlines()] == [
        'key text, default "client_ip". What is limited.',
        "limits list of any, required",
        "limits[].rate number, required. Requests a second.",
        "per a duration",
        "window a duration, default 60s",
        'mode "a" or "b"',
        "is_on true or false",
        "loop any",
        "loop.again any",
        "loop.again.again any",
        "loop.again.again.again any",
    ]


def test_the_example_has_the_options_that_must_be_given_or_is_the_schemas_own() -> None:
    assert example("limit", SCHEMA).split() == [
        "plugins:",
        "-",
        "name:",
        "limit",
        "config:",
        "limits:",
        "<list",
        "of",
        "any>",
    ]
    assert "rate: 5" in example("limit", SCHEMA | {"examples": [{"rate": 5}]})
    assert example("plain", {}).split() == ["plugins:", "-", "name:", "plain"]


README = """
```yaml
plugins:
  - name: limit-more
```

```yaml
- name: limit
  config: {rate: 1}
```

```yaml
plugins:
  - {name: limit, config: {rate: 2}}
```
"""


def test_the_example_is_the_first_of_the_readme_as_a_part_of_a_configuration() -> None:
    assert example("limit", SCHEMA, README) == "  plugins:\n    - name: limit\n      config: {rate: 1}"
    assert example("limit-more", {}, README) == "  plugins:\n    - name: limit-more"
    assert example("more", {}, README).split() == ["plugins:", "-", "name:", "more"]


@pytest.mark.parametrize(
    "schema", [{}, {"properties": {"a": True}}, {"properties": {"a": {"type": ["string", "null"], "items": False}}}]
)
def test_any_schema_can_be_shown(schema: dict[str, Any]) -> None:
    assert table(schema)
