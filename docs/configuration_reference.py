"""Writes ``configuration.md`` from the configuration models.

Run it after a change of a model: ``python docs/configuration_reference.py``. A test compares.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from gateway_core.config import config_schema
from gateway_core.config.models.gateway import HttpSourceConfig
from gateway_core.config.models.upstream import DnsDiscoveryConfig
from gateway_core.config.written_defaults import with_written_defaults

PAGE: Final = Path(__file__).with_name("configuration.md")

INTRODUCTION: Final = """\
# Configuration

Every key of the configuration, made from the models that check it (`python docs/configuration_reference.py`). The
options of plugins are in their READMEs and in `gateway plugins show NAME`; `gateway schema` prints all of it as one
JSON Schema for editors.

A configuration is one document (YAML, JSON or TOML), or a directory of them, or several that `include` brings together:
their lists are put one after the other, and what can be there only once must not be there twice. A directory stands
for all documents below it, a YAML file may hold several documents (`---`), and `include` takes patterns
(`teams/**/*.yaml`), in which new files are noticed. An unknown key is an error; keys that begin with `x-` are ignored,
as a place for anchors and notes. Names of files are relative to the document that says them.

- **Durations** have a unit: `250ms`, `5s`, `2m`, `1h`, `1d`. **Sizes** are bytes, or `64KiB`, `10MB`.
- `${NAME}` stands for a variable of the environment, `${NAME:-default}` for the default where it is unset or empty,
  `${NAME:?message}` for a problem with that message; `${file:/path}` stands for a file's contents, `$${` for a literal
  `${`. A default may hold references (`${A:-${B}}`) and braces that balance (`${RE:-[a-z]{2}}`).
- A value that is wholly one reference without quotes has the type of what it stands for: `${PORT}` is a number, and a
  password of digits needs the quotes: `"${PASSWORD}"`.
- YAML is that of version 1.2: `no`, `off` and `12:30` are text. Keys that stand twice are errors.
"""

_DNS: Final = "upstreams[].discovery.config"
Schema = Mapping[str, Any]


class NoPlugins:
    """A catalogue without plugins: their options are not the configuration's own."""

    def names(self) -> tuple[str, ...]:
        """Return no names."""
        return ()

    def describe(self, name: str) -> None:
        """Know nothing."""


def page() -> str:
    """Return the whole page."""
    schema = config_schema(NoPlugins())
    sections = Sections(schema["$defs"])
    parts = [INTRODUCTION, *sections.texts(schema)]
    for name, model in ((f"{_DNS}` of `dns", DnsDiscoveryConfig), ("sources[].url` of `http", HttpSourceConfig)):
        parts += sections.section(name, with_written_defaults(model.model_json_schema()))
    return "\n".join(parts)


WITHOUT_SECTION: Final = {"RouteDefaultsConfig": "keys of a [route](#routes)"}
"""Objects that are described in a word, with that word."""


class Sections:
    """Turns the schema's objects into sections, each where a reader meets it first."""

    def __init__(self, definitions: Mapping[str, Schema]) -> None:
        self._definitions = definitions
        self._paths: dict[str, str] = {}
        """By object, the place where it is met first and described."""

    def find(self, path: str, schema: Schema) -> None:
        """Find the places of all objects below one, which links need before the objects are described."""
        for key, option in schema["properties"].items():
            for name, suffix in self._objects(option):
                if name not in self._paths:
                    self._paths[name] = f"{path}.{key}{suffix}".removeprefix(".")
                    self.find(self._paths[name], self._definitions[name])

    def texts(self, schema: Schema) -> Iterator[str]:
        """Yield the section of the document and those of all that it holds."""
        self.find("", schema)
        yield from self.section("", schema)
        for name, path in self._paths.items():
            yield from self.section(path, self._definitions[name])

    def section(self, path: str, schema: Schema) -> Iterator[str]:
        """Yield the heading, the description and the table of one object."""
        yield f"## `{path}`\n" if path else "## The document\n"
        yield f"{cell(schema.get('description', ''))}\n"
        yield "| key | value | default | |\n|---|---|---|---|"
        required = schema.get("required", ())
        for key, option in schema["properties"].items():
            default = "**required**" if key in required else shown_default(option)
            yield f"| `{key}` | {self._kind(option)} | {default} | {cell(self._description(option))} |"
        yield ""

    def _description(self, option: Schema) -> str:
        """Return what is said of an option; one that only repeats its object's description is left out of schemas."""
        said: str = option.get("description", "")
        if said or "$ref" not in option:
            return said
        return self._description(self._definitions[option["$ref"].rpartition("/")[2]])

    def _objects(self, option: Schema, suffix: str = "") -> Iterator[tuple[str, str]]:
        """Yield the objects that an option may hold, and what leads to them from its key."""
        if "$ref" in option and (name := option["$ref"].rpartition("/")[2]) not in WITHOUT_SECTION:
            yield name, suffix
        for part in option.get("anyOf", ()):
            yield from self._objects(part, suffix)
        if isinstance(option.get("items"), dict):
            yield from self._objects(option["items"], suffix + "[]")
        if isinstance(option.get("additionalProperties"), dict):
            yield from self._objects(option["additionalProperties"], suffix + ".NAME")

    def _kind(self, option: Schema) -> str:
        if (simple := simple_kind(option)) is not None:
            return simple
        if "$ref" in option and (word := WITHOUT_SECTION.get(option["$ref"].rpartition("/")[2])) is not None:
            return word
        if "$ref" in option:
            return f"[object](#{anchor(self._paths[option['$ref'].rpartition('/')[2]])})"
        if "anyOf" in option:
            kinds = (self._kind(part) for part in option["anyOf"] if part.get("type") != "null")
            return " or ".join(dict.fromkeys(kinds))
        if option["type"] == "array":
            return f"list of {self._kind(option['items'])}"
        inner = option.get("additionalProperties")
        return f"map to {self._kind(inner)}" if isinstance(inner, dict) else "object"


def is_duration(option: Schema) -> bool:
    """Whether a schema is that of a duration."""
    return any("duration" in str(part.get("x-expected", "")) for part in (option, *option.get("anyOf", ())))


def is_size(option: Schema) -> bool:
    """Whether a schema is that of a size."""
    return any("a size" in str(part.get("x-expected", "")) for part in (option, *option.get("anyOf", ())))


def simple_kind(option: Schema) -> str | None:
    """Return the word for a value that is no list and no object."""
    if is_duration(option):
        return "duration"
    if is_size(option):
        return "size"
    if "enum" in option:
        return ", ".join(f"`{value}`" for value in option["enum"])
    words = {"string": "text", "integer": "number", "number": "number", "boolean": "`true`, `false`"}
    word = words.get(option.get("type", ""))
    if word == "number" and "maximum" in option:
        return f"{option.get('minimum', 0)} to {option['maximum']}"
    return "regular expression" if option.get("format") == "regex" else word


def shown_default(option: Schema) -> str:
    """Return a default as it would be written."""
    default = option.get("default")
    if default is None or default == "" or isinstance(default, dict):
        return ""
    if isinstance(default, list):
        return ", ".join(f"`{value}`" for value in default)
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if is_size(option) and default and default % 1024 == 0:
        return f"`{default // 1024}KiB`"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


def cell(text: str) -> str:
    """Return a docstring as the text of a table's cell."""
    return " ".join(text.split()).replace("``", "`").replace("|", "\\|")


def anchor(heading: str) -> str:
    """Return the anchor that renderers give to a heading."""
    return "".join(letter for letter in heading.lower() if letter.isalnum() or letter in "_-")


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
