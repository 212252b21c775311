"""Key paths to places: walks the nodes that a value was made from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import yaml

from gateway_core.config.location import KeyPath, Place, format_path, parse_path
from gateway_core.config.problems import ConfigProblem, Severity
from gateway_core.config.yaml_constructor import is_merge, merge_sources, node_place

_DEEPEST_MERGE: Final = 20


@dataclass(frozen=True, slots=True)
class Found:
    """The deepest node on the way along a key path."""

    node: yaml.Node
    key: yaml.Node | None
    path: KeyPath
    """The part of the path that exists in the source."""


@dataclass(frozen=True, slots=True)
class Locator:
    """Finds places in the merged document."""

    root: yaml.Node
    texts: Mapping[str, list[str]]
    """Source lines by document name."""

    def find(self, path: KeyPath) -> Found:
        """Follow ``path`` as far as the source goes."""
        node, key = self.root, None
        for depth, part in enumerate(path):
            step = _step(node, part)
            if step is None:
                return Found(node, key, path[:depth])
            key, node = step
        return Found(node, key, path)

    def place(self, path: KeyPath) -> Place:
        """Return the place of the value at ``path``, or of the innermost value around it."""
        return node_place(self.find(path).node)

    def place_of(self, key_path: str) -> Place:
        """Return the place of a key path in text form."""
        return self.place(parse_path(key_path))

    def problem(
        self, path: KeyPath, message: str, *, code: str, severity: Severity = "error", related: Iterable[Place] = ()
    ) -> ConfigProblem:
        """Make a problem about the value at ``path``."""
        found = self.find(path)
        problem = self._at(found.node, found.path, message, code=code, severity=severity)
        return replace(problem, related=tuple(related), value=self._value(found, path))

    def key_problem(self, path: KeyPath, message: str, *, code: str, severity: Severity = "error") -> ConfigProblem:
        """Make a problem about the last key of ``path`` itself."""
        found = self.find(path)
        node = found.key if found.key is not None and len(found.path) == len(path) else found.node
        return self._at(node, path, message, code=code, severity=severity)

    def value(self, path: KeyPath) -> str | None:
        """Return the text of the scalar at ``path`` as it is written."""
        return self._value(self.find(path), path)

    def _value(self, found: Found, path: KeyPath) -> str | None:
        is_there = found.path == path and isinstance(found.node, yaml.ScalarNode)
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
        return _lookup(node, part, _DEEPEST_MERGE)
    return None


def _lookup(node: yaml.MappingNode, key: str, depth: int) -> tuple[yaml.Node, yaml.Node] | None:
    for key_node, value_node in node.value:
        if key_node.value == key and not is_merge(key_node):
            return key_node, value_node
    if not depth:
        return None
    for key_node, value_node in node.value:
        if not is_merge(key_node):
            continue
        for source in merge_sources(value_node):
            if isinstance(source, yaml.MappingNode) and (found := _lookup(source, key, depth - 1)):
                return found
    return None
