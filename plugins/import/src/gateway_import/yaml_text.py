"""Values as YAML, of which the gateway makes the same values again.

Texts are written plain only where no reader takes them for anything else; all others stand in double quotes, with
escapes for what is not printable. ``${`` is written ``$${``, or it would stand for a variable.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from gateway_import.model import EnvReference

WIDTH: Final = 120
_INDENT: Final = "  "
_PLAIN: Final = re.compile(r"(?:[A-Za-z/_][A-Za-z0-9_./-]*(?: [A-Za-z0-9_./-]+)*|/)")
_WORDS: Final = frozenset(
    [
        "null",
        "true",
        "false",
        "yes",
        "no",
        "on",
        "off",
        "y",
        "n",
        "~",
    ]  # those of YAML 1.1, too: other tools read the file as well
)
_ESCAPES: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_SPACE: Final = re.compile(r"\s+")


def quoted(text: str) -> str:
    """Return a literal text as YAML."""
    literal = text.replace("${", "$${")
    if _PLAIN.fullmatch(literal) and literal.lower() not in _WORDS and len(literal) <= WIDTH:
        return literal
    return _in_quotes(literal)


def _in_quotes(text: str) -> str:
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    # YAML takes some more for printable, line breaks of Unicode among them; no reader would see these.
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _key(text: str) -> str:
    """Keys are not substituted, so nothing is escaped in them."""
    is_plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS
    return text if is_plain else _in_quotes(text)


def _scalar(value: Any) -> str:
    if isinstance(value, EnvReference):
        before, after = (each.replace("${", "$${") for each in (value.before, value.after))
        return _in_quotes(f"{before}${{{value.name}}}{after}")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return quoted(value)
    return "null" if value is None else repr(value)


def flow(value: Any) -> str:
    """Return a value on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)}: {flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    return _scalar(value)


def entry(key: str, value: Any, indent: int) -> list[str]:
    """Return the lines of one key: on one line where it fits."""
    start = f"{_INDENT * indent}{_key(key)}:"
    line = f"{start} {flow(value)}"
    if len(line) <= WIDTH or not isinstance(value, Mapping | list | tuple) or not value:
        return [line]
    if isinstance(value, Mapping):
        return [start, *(each for name, inner in value.items() for each in entry(name, inner, indent + 1))]
    return [start, *(each for inner in value for each in item(inner, indent + 1))]


def item(value: Any, indent: int) -> list[str]:
    """Return the lines of one item of a list."""
    line = f"{_INDENT * indent}- {flow(value)}"
    if len(line) <= WIDTH or not isinstance(value, Mapping) or not value:
        return [line]
    return as_item([each for name, inner in value.items() for each in entry(name, inner, indent + 1)], indent)


def as_item(lines: list[str], indent: int) -> list[str]:
    """Put a dash before the first of the lines of a mapping, which are indented by one level more."""
    return [f"{_INDENT * indent}- {lines[0].removeprefix(_INDENT * (indent + 1))}", *lines[1:]]


def comment(text: str, indent: int = 0) -> list[str]:
    """Return a comment in lines that fit: no line break of the text survives, nothing unprintable does."""
    words = _SPACE.split("".join(each if each.isprintable() else " " for each in text).strip())
    start = f"{_INDENT * indent}# "
    lines, line = [], start
    for word in words:
        if len(line) + len(word) > WIDTH and line.strip() not in {"#", "#  "}:
            lines.append(line.rstrip())
            line = f"{start}  "
        line += f"{word} "
    return [*lines, line.rstrip()]
