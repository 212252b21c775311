"""The options of a plugin as a table for people, made from the JSON Schema of its configuration.

Any schema may come here, so whatever this does not know is shown as it is, and nothing fails.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml

from gateway_core.config.values import DURATION_WORD

_DEEPEST: Final = 4
"""Levels of objects that are shown; a schema may refer to itself."""

_WIDTH: Final = 100
_KINDS: Final = {"boolean": "true or false", "object": "map", "null": "null"}


def table(schema: Mapping[str, Any]) -> str:
    """Return name, kind, default and description of each option; those of nested objects as ``outer.inner``."""
    rows = list(_rows(schema, schema.get("$defs", {}), "", 0))
    if not rows:
        return "  (no options)"
    width = min(max(len(name) for name, _, _ in rows), 36)
    lines = []
    for name, kind, description in rows:
        indent = " " * (width + 4)
        text = kind if not description else f"{kind}. {description}"
        wrapped = textwrap.wrap(text, _WIDTH - width - 4) or [""]
        head = f"  {name:<{width}}  "
        first = [head + wrapped[0]] if len(name) <= width else [f"  {name}", indent + wrapped[0]]
        lines += [*first, *(indent + line for line in wrapped[1:])]
    return "\n".join(lines)


def example(name: str, schema: Mapping[str, Any], readme: str = "") -> str:
    """Return the first part of a configuration in the README that names the plugin.

    Without one it is a binding with the schema's own example, or with the options that must be given, which need not
    be enough: a schema does not tell which of its options have to come together.
    """
    for rest in f"\n{readme}".split("\n```yaml\n")[1:]:
        block = rest.partition("\n```")[0]
        if re.search(rf"\bname: {re.escape(name)}(?![\w-])", block):
            whole = f"plugins:\n{textwrap.indent(block, '  ')}" if block.startswith("- ") else block
            return textwrap.indent(whole, "  ").rstrip()
    examples = schema.get("examples")
    if isinstance(examples, list) and examples:
        config = examples[0]
    else:
        definitions, properties = schema.get("$defs", {}), schema.get("properties", {})
        config = {key: f"<{_kind(properties.get(key, {}), definitions)}>" for key in schema.get("required", ())}
    binding = {"name": name, "config": config} if config else {"name": name}
    return textwrap.indent(yaml.safe_dump({"plugins": [binding]}, sort_keys=False), "  ").rstrip()


def _rows(schema: Any, definitions: Mapping[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, str, str]]:
    if not isinstance(schema, Mapping):
        return
    required = schema.get("required", ())
    for key, option in schema.get("properties", {}).items():
        if not isinstance(option, Mapping):
            continue
        name = f"{prefix}{key}"
        yield name, _kind(option, definitions) + _default(option, is_required=key in required), _description(option)
        for inner, suffix in _objects(option, definitions):
            if depth + 1 < _DEEPEST:
                yield from _rows(inner, definitions, f"{name}{suffix}.", depth + 1)


def _description(option: Mapping[str, Any]) -> str:
    return " ".join(str(option.get("description", "")).split())


def _default(option: Mapping[str, Any], *, is_required: bool) -> str:
    if is_required:
        return ", required"
    default = option.get("default")
    if default is None:
        return ""
    is_plain = isinstance(default, str) and option.get("x-expected") == DURATION_WORD
    return f", default {default if is_plain else json.dumps(default, ensure_ascii=False)}"


def _resolved(option: Any, definitions: Mapping[str, Any]) -> Any:
    if isinstance(option, Mapping) and "$ref" in option:
        return definitions.get(str(option["$ref"]).rpartition("/")[2], {})
    return option


def _alternatives(option: Mapping[str, Any]) -> list[Any]:
    return [*option.get("anyOf", ()), *option.get("oneOf", ())]


def _objects(option: Any, definitions: Mapping[str, Any], suffix: str = "") -> Iterator[tuple[Mapping[str, Any], str]]:
    """Yield the objects with options that a value may be or hold, with what leads to them."""
    option = _resolved(option, definitions)
    if not isinstance(option, Mapping):
        return
    if "properties" in option:
        yield option, suffix
    for part in _alternatives(option):
        yield from _objects(part, definitions, suffix)
    if "items" in option and len(suffix) < _DEEPEST:
        yield from _objects(option["items"], definitions, f"{suffix}[]")


def _kind(option: Any, definitions: Mapping[str, Any], depth: int = 0) -> str:
    """Return what a value may be, in a few words."""
    option = _resolved(option, definitions)
    if not isinstance(option, Mapping) or depth > _DEEPEST:
        return "any"
    if "x-expected" in option:
        return str(option["x-expected"])
    if "const" in option:
        return json.dumps(option["const"])
    if "enum" in option:
        return " or ".join(json.dumps(each) for each in option["enum"])
    alternatives = [each for each in _alternatives(option) if _resolved(each, definitions) != {"type": "null"}]
    if alternatives:
        kinds = (_kind(each, definitions, depth + 1) for each in alternatives)
        return " or ".join(dict.fromkeys(kind for kind in kinds if kind != "null"))
    kind = option.get("type")
    if isinstance(kind, list):
        return " or ".join(_KINDS.get(str(each), str(each)) for each in kind)
    if kind == "array":
        return f"list of {_kind(option.get('items', {}), definitions, depth + 1)}"
    return "any" if kind is None else _KINDS.get(str(kind), "text" if kind == "string" else str(kind))
