"""TOML texts to the same nodes that YAML gives.

``tomllib`` reports no positions: a line scan finds where tables and keys begin, and a value inside an inline table or
array has the place of the key around it. A scan result is only used for key paths that the parser saw, too.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Final

import yaml

from gateway_core.config.problems import KeyPath, Place
from gateway_core.config.yaml_nodes import DEEPEST, MAP_TAG, SEQ_TAG, STR_TAG, TOO_DEEP, DocumentSyntaxError

_ERROR: Final = re.compile(
    r"(?P<what>.*?) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)", re.DOTALL
)
_TABLE: Final = re.compile(r"\s*(?P<open>\[\[?)\s*(?P<name>[^\[\]]+?)\s*\]")
_ASSIGNMENT: Final = re.compile(
    r"""\s*(?P<name>(?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=\s*"""
)
_KEY: Final = re.compile(r"""[\w-]+|"[^"]*"|'[^']*'""")

_Spots = dict[KeyPath, tuple[int, int, int]]


def compose(name: str, text: str) -> yaml.Node | None:
    """Parse a TOML document into nodes; ``None`` if it holds no key.

    :raises DocumentSyntaxError: with the line and column that the parser names.
    """
    try:
        value = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _syntax_problem(name, text, error) from None
    except RecursionError:
        raise DocumentSyntaxError(Place(name), "is nested too deep") from None
    except ValueError:  # of the interpreter's limit, sys.set_int_max_str_digits
        raise DocumentSyntaxError(Place(name), "is not valid TOML: a number has too many digits") from None
    if not value:
        return None
    return _Builder(name, dict(_scan(text))).node(value, ())


def _syntax_problem(name: str, text: str, error: tomllib.TOMLDecodeError) -> DocumentSyntaxError:
    # The exception has attributes from Python 3.14 on; before, its text is all that knows the position.
    if (line := getattr(error, "lineno", None)) is not None:
        reason = f"is not valid TOML: {_lower(str(getattr(error, 'msg', error)))}"
        return DocumentSyntaxError(Place(name, line, getattr(error, "colno", 1)), reason)
    match = _ERROR.fullmatch(str(error))
    if match is None:
        return DocumentSyntaxError(Place(name), f"is not valid TOML: {_lower(str(error))}")
    lines = text.splitlines() or [""]
    line = int(match["line"] or len(lines))
    column = int(match["column"] or len(lines[-1]) + 1)
    return DocumentSyntaxError(Place(name, line, column), f"is not valid TOML: {_lower(match['what'])}")


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]


class _Builder:
    def __init__(self, name: str, spots: _Spots) -> None:
        self.name = name
        self.spots = spots

    def mark(self, path: KeyPath, *, key: bool = False) -> yaml.Mark:
        while path and path not in self.spots:
            path = path[:-1]
        line, key_column, column = self.spots.get(path, (0, 0, 0))
        return yaml.Mark(self.name, 0, line, key_column if key else column, None, 0)

    def node(self, value: object, path: KeyPath) -> yaml.Node:
        mark = self.mark(path)
        if len(path) > DEEPEST:
            raise DocumentSyntaxError(Place(self.name, mark.line + 1, mark.column + 1), TOO_DEEP)
        if isinstance(value, Mapping):
            pairs = [(self.key(key, (*path, key)), self.node(item, (*path, key))) for key, item in value.items()]
            return yaml.MappingNode(MAP_TAG, pairs, mark, mark)
        if isinstance(value, list):
            return yaml.SequenceNode(SEQ_TAG, [self.node(item, (*path, i)) for i, item in enumerate(value)], mark, mark)
        return yaml.ScalarNode(*_scalar(value), mark, mark)

    def key(self, key: str, path: KeyPath) -> yaml.Node:
        mark = self.mark(path, key=True)
        return yaml.ScalarNode(STR_TAG, key, mark, mark)


def _scalar(value: object) -> tuple[str, str]:
    match value:
        case bool():
            return "tag:yaml.org,2002:bool", "true" if value else "false"
        case int():
            return "tag:yaml.org,2002:int", str(value)
        case float():
            # YAML writes .nan and -.inf where TOML has no dot.
            return "tag:yaml.org,2002:float", repr(value).replace("nan", ".nan").replace("inf", ".inf")
    return STR_TAG, str(value)


def _scan(text: str) -> Iterator[tuple[KeyPath, tuple[int, int, int]]]:
    """Yield ``(path, (line, key column, value column))``, counted from 0."""
    table: KeyPath = ()
    counts: dict[KeyPath, int] = {}
    for number, line in enumerate(text.split("\n")):
        if match := _TABLE.match(line):
            table = _inside(_keys(match["name"]), counts)
            if match["open"] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            yield table, (number, match.start("name"), match.start("open"))
        elif match := _ASSIGNMENT.match(line):
            yield (*table, *_keys(match["name"])), (number, match.start("name"), match.end())


def _inside(keys: list[str], counts: Mapping[KeyPath, int]) -> KeyPath:
    """Resolve a table's name: an array of tables on the way stands for its newest item."""
    path: KeyPath = ()
    for position, key in enumerate(keys):
        path = (*path, key)
        if path in counts and position < len(keys) - 1:
            path = (*path, counts[path])
    return path


def _keys(name: str) -> list[str]:
    return [key.strip("\"'") for key in _KEY.findall(name)]
