"""Nodes to plain values, and key paths to nodes.

Values are dicts, lists, texts, numbers, booleans and ``None``.

Closes the traps of PyYAML's constructor: every duplicate key is a problem, plain scalars follow YAML 1.2
(`gateway_core.config.yaml_nodes`), aliases cannot expand without bound, only JSON-like tags are known. ``<<``
merges as in YAML 1.1, because configurations rely on it: keys of the mapping itself win, then earlier merged ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

import yaml

from gateway_core.config.documents import Document
from gateway_core.config.problems import ConfigProblem, KeyPath, Place, Severity, format_path, parse_path
from gateway_core.config.substitution import Substitution, SubstitutionError
from gateway_core.config.suggestions import quote
from gateway_core.config.values import InvalidValueError
from gateway_core.config.yaml_nodes import MAP_TAG, PLAIN_TAG, SEQ_TAG, STR_TAG, Scalar, read_plain

MERGE_KEY: Final = "<<"
MOST_ALIASED: Final = 1_000_000
"""Values that aliases may add to a configuration before it is taken for an attack."""

_SCALAR_TAGS: Final = {
    f"tag:yaml.org,2002:{name}": kind
    for name, kind in {"int": (int,), "float": (int, float), "bool": (bool,), "null": (type(None),)}.items()
}


class ReportNode(Protocol):
    """Takes in what is wrong with a node."""

    def __call__(
        self,
        node: yaml.Node,
        path: KeyPath,
        message: str,
        *,
        code: str,
        remedy: str = "",
        related: Iterable[Place] = (),
    ) -> None: ...


def node_place(node: yaml.Node) -> Place:
    """Return where a node begins; its mark carries the document's name."""
    mark = node.start_mark
    return Place(mark.name, mark.line + 1, mark.column + 1)


class _ExpansionError(Exception):
    def __init__(self, node: yaml.Node) -> None:
        self.node = node


@dataclass(slots=True)
class Constructor:
    """Makes values from nodes and reports what is wrong on the way, without stopping."""

    substitution: Substitution
    report: ReportNode
    document_of: Callable[[str], Document]
    """Looks up a document by its name, which the marks of its nodes carry."""
    substituted: set[int] = field(default_factory=set)
    """``id`` of the scalar nodes whose value came from elsewhere and must not be shown."""
    hidden: set[str] = field(default_factory=set)
    """What documents of sources brought in, which no message may show."""
    _path: list[str | int] = field(default_factory=list)
    _open: set[int] = field(default_factory=set)
    _seen: set[int] = field(default_factory=set)
    _aliased: int = 0

    def construct(self, node: yaml.Node, path: KeyPath = ()) -> object:
        """Return the value of ``node``, which sits at ``path``."""
        self._path = list(path)
        try:
            return self._value(node)
        except _ExpansionError as error:
            message = f"aliases (*name) expand to more than {MOST_ALIASED} values"
            self.report(error.node, path, message, code="document.alias")
            return None
        finally:
            self._open.clear()

    def _value(self, node: yaml.Node) -> object:
        key = id(node)
        if key in self._seen:
            self._aliased += 1
            if self._aliased > MOST_ALIASED:
                raise _ExpansionError(node)
        else:
            self._seen.add(key)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node)
        if key in self._open:
            message = "an alias (*name) inside the very value that it names never ends"
            self._refuse(node, message, code="document.alias")
            return None
        if node.tag not in {MAP_TAG, SEQ_TAG}:
            message = f"the tag {quote(_short_tag(node.tag))} is not supported"
            self._refuse(node, message, code="document.tag", remedy="remove it")
        self._open.add(key)
        try:
            return self._mapping(node) if isinstance(node, yaml.MappingNode) else self._sequence(node)
        finally:
            self._open.discard(key)

    def _sequence(self, node: yaml.Node) -> list[object]:
        values = []
        path = self._path
        for index, item in enumerate(node.value):
            path.append(index)
            values.append(self._value(item))
            path.pop()
        return values

    def _mapping(self, node: yaml.MappingNode) -> dict[str, object]:
        values: dict[str, object] = {}
        keys: dict[str, yaml.Node] = {}
        path = self._path
        for key_node, value_node in node.value:
            key = self._key(key_node)
            if key is None or is_merge(key_node):
                continue
            path.append(key)
            if (first := keys.get(key)) is not None:
                message = f"this key is given twice in one mapping, the first time at {node_place(first)}"
                self._refuse(key_node, message, code="key.duplicate", remedy="keep one of them")
            else:
                keys[key] = key_node
                values[key] = self._value(value_node)
            path.pop()
        for merged in self._merged(node):
            for key, value in merged.items():
                values.setdefault(key, value)
        return values

    def _merged(self, node: yaml.MappingNode) -> Iterator[dict[str, object]]:
        for key_node, value_node in node.value:
            if not is_merge(key_node):
                continue
            for source in merge_sources(value_node):
                value = self._value(source) if isinstance(source, yaml.MappingNode) else None
                if isinstance(value, dict):
                    yield value
                else:
                    message = 'only a mapping can be merged with "<<", or a list of mappings'
                    self._refuse(source, message, code="document.merge")

    def _key(self, node: yaml.Node) -> str | None:
        if isinstance(node, yaml.ScalarNode) and node.value:
            return str(node.value)
        self._refuse(node, "a key must be a text that is not empty", code="key.invalid")
        return None

    def _scalar(self, node: yaml.ScalarNode) -> Scalar:
        text: str = node.value
        try:
            if "${" in text:
                return self._substituted(node)
            if node.tag == PLAIN_TAG:
                return read_plain(text)
            return text if node.tag == STR_TAG else _tagged(node)
        except InvalidValueError as error:
            self._refuse(node, f"{quote(text)} {error.reason}", code=error.code, remedy=error.remedy)
            return text

    def _substituted(self, node: yaml.ScalarNode) -> Scalar:
        self.substituted.add(id(node))
        document = self.document_of(node.start_mark.name)
        try:
            value = self.substitution.resolve(
                node.value, plain=node.tag == PLAIN_TAG, directory=document.directory, rights=document.rights
            )
            if not document.is_local:
                self.hidden.add(str(value))
            return value
        except SubstitutionError as error:
            self._refuse(node, error.reason, code=error.code, remedy=error.remedy)
        return str(node.value)

    def _refuse(self, node: yaml.Node, message: str, *, code: str, remedy: str = "") -> None:
        self.report(node, tuple(self._path), message, code=code, remedy=remedy)


def is_merge(key_node: yaml.Node) -> bool:
    """Whether a key is the merge key ``<<`` (a quoted one is an ordinary key)."""
    return bool(key_node.value == MERGE_KEY and key_node.tag == PLAIN_TAG)


def merge_sources(value_node: yaml.Node) -> list[yaml.Node]:
    """Return what a merge key brings in, the winning ones first."""
    return list(value_node.value) if isinstance(value_node, yaml.SequenceNode) else [value_node]


def _tagged(node: yaml.ScalarNode) -> Scalar:
    kinds = _SCALAR_TAGS.get(node.tag)
    if kinds is None:
        raise InvalidValueError(
            f"has the tag {quote(_short_tag(node.tag))}, which is not supported", remedy="remove it"
        )
    value = read_plain(node.value)
    if type(value) not in kinds:
        raise InvalidValueError(f"is not what its tag {quote(_short_tag(node.tag))} says")
    return value


def _short_tag(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!")


_DEEPEST_MERGE: Final = 20


@dataclass(frozen=True, slots=True)
class Found:
    """The deepest node on the way along a key path."""

    node: yaml.Node
    key: yaml.Node | None
    path: KeyPath
    """The part of the path that exists in the source, as it is written there: without the 0 of a list of one."""
    is_whole: bool
    """Whether all of the path exists."""


@dataclass(frozen=True, slots=True)
class Locator:
    """Finds places in the merged document."""

    root: yaml.Node
    texts: Mapping[str, list[str]]
    """Source lines by document name."""

    def find(self, path: KeyPath) -> Found:
        """Follow ``path`` as far as the source goes.

        Where the models take one item or a list of them, and the source has the item alone, its index is 0.
        """
        node, key = self.root, None
        written: KeyPath = ()
        for part in path:
            if part == 0 and not isinstance(node, yaml.SequenceNode):
                continue
            step = _step(node, part)
            if step is None:
                return Found(node, key, written, is_whole=False)
            key, node = step
            written = (*written, part)
        return Found(node, key, written, is_whole=True)

    def place(self, path: KeyPath) -> Place:
        """Return the place of the value at ``path``, or of the innermost value around it."""
        return node_place(self.find(path).node)

    def place_of(self, key_path: str) -> Place:
        """Return the place of a key path in text form."""
        return self.place(parse_path(key_path))

    def problem(
        self,
        path: KeyPath,
        message: str,
        *,
        code: str,
        remedy: str = "",
        severity: Severity = "error",
        related: Iterable[Place] = (),
    ) -> ConfigProblem:
        """Make a problem about the value at ``path``."""
        found = self.find(path)
        problem = self._at(found.node, found.path, message, code=code, severity=severity)
        return replace(problem, remedy=remedy, related=tuple(related), value=self._value(found))

    def key_problem(
        self, path: KeyPath, message: str, *, code: str, remedy: str = "", severity: Severity = "error"
    ) -> ConfigProblem:
        """Make a problem about the last key of ``path`` itself."""
        found = self.find(path)
        node = found.key if found.key is not None and found.is_whole else found.node
        shown = found.path if found.is_whole else path
        return replace(self._at(node, shown, message, code=code, severity=severity), remedy=remedy)

    def value(self, path: KeyPath) -> str | None:
        """Return the text of the scalar at ``path`` as it is written."""
        return self._value(self.find(path))

    def _value(self, found: Found) -> str | None:
        is_there = found.is_whole and isinstance(found.node, yaml.ScalarNode)
        return str(found.node.value) if is_there else None

    def _at(self, node: yaml.Node, path: KeyPath, message: str, *, code: str, severity: Severity) -> ConfigProblem:
        place = node_place(node)
        return ConfigProblem(place, format_path(path), message, self.excerpt(place), code=code, severity=severity)

    def excerpt(self, place: Place) -> str | None:
        """Return the source line at ``place``."""
        lines = self.texts.get(place.file, [])
        return lines[place.line - 1] if 0 < place.line <= len(lines) else None


def _step(node: yaml.Node, part: str | int) -> tuple[yaml.Node | None, yaml.Node] | None:
    if isinstance(node, yaml.SequenceNode):
        if isinstance(part, int) and 0 <= part < len(node.value):
            return None, node.value[part]
        return None
    if isinstance(node, yaml.MappingNode) and isinstance(part, str):
        return lookup(node, part)
    return None


def lookup(node: yaml.MappingNode, key: str, depth: int = _DEEPEST_MERGE) -> tuple[yaml.Node, yaml.Node] | None:
    """Return key and value nodes of a mapping, which may be merged in; None if it has no such key."""
    for key_node, value_node in node.value:
        if key_node.value == key and not is_merge(key_node):
            return key_node, value_node
    if not depth:
        return None
    for key_node, value_node in node.value:
        if not is_merge(key_node):
            continue
        for source in merge_sources(value_node):
            if isinstance(source, yaml.MappingNode) and (found := lookup(source, key, depth - 1)):
                return found
    return None
