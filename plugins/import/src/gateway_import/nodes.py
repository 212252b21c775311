"""YAML and JSON as nodes that know their lines.

Made of the parser's events: PyYAML's loaders recurse in C, where a document that is nested deep enough ends the
process. Aliases share the node that they stand for, and what they would make when written out is counted.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import yaml

from gateway_import.failures import CannotImportError, Origin
from gateway_import.files import SourceText

DEEPEST: Final = 100
LARGEST_TREE: Final = 1_000_000
"""Nodes, with those of aliases counted wherever they are used."""

_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CONSTANTS: Final = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_INTEGER: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,30})")
_NUMBER: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,30})(?:\.[0-9]{1,30})?(?:[eE][-+]?[0-9]{1,3})?")
_TEXT_TAG: Final = "tag:yaml.org,2002:str"
_MERGE: Final = "<<"
# Escapes in JSON: a pair of surrogates in groups, or any other one, which is passed over as a whole.
_PAIR: Final = re.compile(r"\\(?:u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|.)")
_NOT_ASCII: Final = re.compile("[\x7f-\U0010ffff]")
_KNOWN_TAGS: Final = {f"tag:yaml.org,2002:{name}" for name in ("bool", "int", "float", "null", "timestamp")}
_SURROGATE: Final = re.compile("[\ud800-\udfff]")

Scalar = str | int | float | bool | None


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One value with its place."""

    origin: Origin
    value: dict[str, Node] | list[Node] | Scalar
    size: int = 1
    """Nodes, itself included."""

    @property
    def kind(self) -> str:
        """What messages call it."""
        kinds: dict[type, str] = {dict: "a mapping", list: "a list", str: "a text", bool: "true or false"}
        return "nothing" if self.value is None else kinds.get(type(self.value), "a number")

    def plain(self) -> Any:
        """Return the value without places."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        return [node.plain() for node in self.value] if isinstance(self.value, list) else self.value


def read_nodes(source: SourceText) -> Node:
    """Read the one document of a YAML or JSON text.

    :raises CannotImportError: it is neither, has several documents or none, or is too deep or too large.
    """
    documents = read_all_nodes(source)
    if not documents:
        raise CannotImportError(source.origin, "is empty")
    if len(documents) > 1:
        raise CannotImportError(
            documents[1].origin, "begins a second document, where one is expected: import it by itself"
        )
    return documents[0]


def read_all_nodes(source: SourceText) -> list[Node]:
    """Read every document of a text, which lines of ``---`` separate; empty ones are left out.

    :raises CannotImportError: as `read_nodes`.
    """
    source = _json_as_yaml(source)
    reader = _Reader(source.name)
    found: list[Node] = []
    try:
        events = iter(yaml.parse(source.text, _LOADER))
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                reader.anchors.clear()
                node = reader.node(next(events), events, 0)
                if node.value is not None:
                    found.append(node)
    except yaml.MarkedYAMLError as error:
        line = 0 if error.problem_mark is None else error.problem_mark.line + 1
        raise CannotImportError(Origin(source.name, line), f"is no YAML: {error.problem or error.context}") from None
    except yaml.reader.ReaderError as error:
        line = source.text.count("\n", 0, error.position) + 1 if isinstance(error.position, int) else 0
        raise CannotImportError(Origin(source.name, line), "has a control character that YAML does not allow") from None
    except (yaml.YAMLError, UnicodeError) as error:
        raise CannotImportError(source.origin, f"is no YAML: {str(error)[:200]}") from None
    return found


def _json_as_yaml(source: SourceText) -> SourceText:
    """Write what JSON allows and libyaml does not in another way; lines stay as they are.

    These are tabs between values, pairs of surrogates, and what YAML takes for line breaks or for not printable.
    """
    if source.text.lstrip()[:1] not in {"{", "["}:
        return source
    try:
        json.loads(source.text)
    except (ValueError, RecursionError):
        return source
    # Within a text of JSON a tab is written \t, so every tab is white space.
    text = _PAIR.sub(_joined, source.text.replace("\t", " "))
    return SourceText(source.name, _NOT_ASCII.sub(_as_escape, text), source.path, source.depth)


def _joined(found: re.Match[str]) -> str:
    if found[1] is None:
        return found[0]
    return chr(0x10000 + ((int(found[1], 16) & 0x3FF) << 10 | int(found[2], 16) & 0x3FF))


def _as_escape(found: re.Match[str]) -> str:
    return f"\\U{ord(found[0]):08x}"


class _Reader:
    def __init__(self, file: str) -> None:
        self.file = file
        self.anchors: dict[str, Node] = {}
        self.total = 0

    def node(self, event: Any, events: Iterator[Any], depth: int) -> Node:
        origin = self._origin(event)
        if isinstance(event, yaml.AliasEvent):
            return self._aliased(event.anchor, origin)
        self._count(1, origin)
        if isinstance(event, yaml.ScalarEvent):
            made = Node(origin, _scalar(event, origin))
        elif depth >= DEEPEST:
            raise CannotImportError(origin, f"is nested more than {DEEPEST} levels deep")
        elif isinstance(event, yaml.SequenceStartEvent):
            items: list[Node] = []
            while not isinstance(inner := next(events), yaml.SequenceEndEvent):
                items.append(self.node(inner, events, depth + 1))
            made = Node(origin, items, 1 + sum(item.size for item in items))
        else:
            made = self._mapping(origin, events, depth + 1)
        if event.anchor is not None:  # only now: within itself it stands for nothing
            self.anchors[event.anchor] = made
        return made

    def _mapping(self, origin: Origin, events: Iterator[Any], depth: int) -> Node:
        made: dict[str, Node] = {}
        merged: list[Node] = []
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            place = self._origin(event)
            key_node = self.node(event, events, depth)
            is_merge = isinstance(event, yaml.ScalarEvent) and event.value == _MERGE and event.implicit[0]
            if isinstance(key_node.value, dict | list):
                raise CannotImportError(place, "has a key that is no text: write a word")
            # The text as it stands: a key 200 is "200", and true is "true".
            key = event.value if isinstance(event, yaml.ScalarEvent) else str(key_node.value)
            value = self.node(next(events), events, depth)
            if is_merge:
                merged += value.value if isinstance(value.value, list) else [value]
            elif key in made:
                raise CannotImportError(place, f"has the key {key[:80]!r} twice: leave one of them out")
            else:
                made[key] = value
        for each in merged:
            if not isinstance(each.value, dict):
                raise CannotImportError(each.origin, 'cannot be merged with "<<": only mappings can')
            for key, value in each.value.items():
                made.setdefault(key, value)
        return Node(origin, made, 1 + sum(node.size for node in made.values()))

    def _aliased(self, anchor: str | None, origin: Origin) -> Node:
        node = self.anchors.get(anchor or "")
        if node is None:
            raise CannotImportError(origin, f"*{anchor} stands for nothing, or for what it is in: correct the name")
        self._count(node.size, origin)
        return node

    def _count(self, nodes: int, origin: Origin) -> None:
        self.total += nodes
        if self.total > LARGEST_TREE:
            raise CannotImportError(origin, f"makes more than {LARGEST_TREE} values: import it in parts")

    def _origin(self, event: Any) -> Origin:
        return Origin(self.file, event.start_mark.line + 1)


def _scalar(event: Any, origin: Origin) -> Scalar:
    text: str = event.value
    if _SURROGATE.search(text):
        raise CannotImportError(origin, "has half of a surrogate pair, which is no character: correct the escape")
    if event.tag == _TEXT_TAG or (event.tag in {None, "!"} and not event.implicit[0]):
        return text
    if event.tag not in {None, "!"} | _KNOWN_TAGS:
        raise CannotImportError(origin, f"has the tag {event.tag[:80]!r}, which is not followed: write its value out")
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    number = float(text) if _NUMBER.fullmatch(text) else math.inf
    return number if math.isfinite(number) else text
