"""JSON texts to the same nodes that YAML gives.

The parser of Python knows no positions, and the composer of YAML does not take every JSON text: not a key of more than
1,024 characters, not an unescaped U+007F, and it spells the escapes of surrogate pairs differently. So the parser says
whether a text is JSON, and then its tokens, which can be distinguished without looking at what is around them, become
nodes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

import yaml

from gateway_core.config.problems import Place
from gateway_core.config.yaml_nodes import (
    DEEPEST,
    LONGEST_NUMBER,
    MAP_TAG,
    PLAIN_TAG,
    SEQ_TAG,
    STR_TAG,
    TOO_DEEP,
    DocumentSyntaxError,
)

_TOKEN: Final = re.compile(r'"(?:[^"\\]+|\\.)*"|[\[\]{}]|[^\s,:\[\]{}"]+|\n', re.DOTALL)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def compose(name: str, text: str) -> yaml.Node | None:
    """Parse a JSON document into nodes; ``None`` if it is blank.

    :raises DocumentSyntaxError: with a place in ``name``.
    """
    if not text.strip():
        return None
    try:
        # Numbers stay texts: `read_plain` makes them, as it makes those of YAML.
        json.loads(text, parse_int=str, parse_float=str)
    except json.JSONDecodeError as error:
        message = f"is not valid JSON: {error.msg[:1].lower()}{error.msg[1:]}"
        raise DocumentSyntaxError(Place(name, error.lineno, error.colno), message) from None
    except RecursionError:
        pass  # found below before anything that the parser did not see
    return _Builder(name, text).root()


class _Open(NamedTuple):
    """A mapping or list whose end has not come yet."""

    node: yaml.Node
    items: list[yaml.Node]
    """Of a mapping keys and values by turns."""


class _Builder:
    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text

    def root(self) -> yaml.Node:
        # Not recursive, as a text may be nested deeper than Python's stack.
        top = _Open(yaml.SequenceNode(SEQ_TAG, []), [])
        opened = [top]
        for found, mark in self._tokens():
            if found in "]}":
                node, items = opened.pop()
                node.value = items if found == "]" else list(zip(items[::2], items[1::2], strict=True))
            elif found in "[{":
                if len(opened) > DEEPEST:
                    raise DocumentSyntaxError(_place(mark), TOO_DEEP)
                made = yaml.SequenceNode(SEQ_TAG, [], mark) if found == "[" else yaml.MappingNode(MAP_TAG, [], mark)
                opened[-1].items.append(made)
                opened.append(_Open(made, []))
            else:
                opened[-1].items.append(_scalar(found, mark))
        return top.items[0]

    def _tokens(self) -> Iterator[tuple[str, yaml.Mark]]:
        line = begin = 0
        for match in _TOKEN.finditer(self.text):
            if (found := match.group()) == "\n":
                line, begin = line + 1, match.end()
                continue
            start = match.start()
            yield found, yaml.Mark(self.name, start, line, start - begin, None, 0)


def _scalar(found: str, mark: yaml.Mark) -> yaml.ScalarNode:
    if found[0] == '"':
        value = json.loads(found) if "\\" in found else found[1:-1]
        if _SURROGATE.search(value):
            raise DocumentSyntaxError(_place(mark), "half of a surrogate pair is not a character")
        return yaml.ScalarNode(STR_TAG, value, mark)
    if found.lstrip("-") in {"NaN", "Infinity"}:
        raise DocumentSyntaxError(_place(mark), f"is not valid JSON: {found} is not a number of JSON")
    if len(found) > LONGEST_NUMBER:
        raise DocumentSyntaxError(_place(mark), "is not valid JSON: a number has too many digits")
    return yaml.ScalarNode(PLAIN_TAG, found, mark)


def _place(mark: yaml.Mark) -> Place:
    return Place(mark.name, mark.line + 1, mark.column + 1)
