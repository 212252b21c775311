"""Finds the template of a path: of several that take it, the one with text where others have parameters comes first.

Templates are a tree of segments. A segment is looked for as text, then in those that are text and parameters
(``{name}.json``), then as a parameter; where one way ends, the next one is tried. So no look-up visits more nodes than
the templates have segments.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping, Sequence
from typing import Final, Generic, TypeVar
from urllib.parse import unquote

from gateway_openapi.documents import DocumentError

ValueT = TypeVar("ValueT")

_PARAMETER: Final = re.compile(r"\{[^{}]*\}")
_MOST_SEGMENTS: Final = 64


def segments_of(path: str) -> list[str]:
    """Return the segments of a path as it is sent: decoded, without path parameters, and without empty ones.

    An empty one at the end stays, as ``/users/`` and ``/users`` are two.
    """
    *first, last = [unquote(segment).partition(";")[0] for segment in path.split("/")]
    return [*(segment for segment in first if segment), last]


class _Node(Generic[ValueT]):
    def __init__(self) -> None:
        self.texts: dict[str, _Node[ValueT]] = {}
        self.mixed: dict[str, tuple[re.Pattern[str], _Node[ValueT]]] = {}
        self.parameter: _Node[ValueT] | None = None
        self.template: str | None = None
        self.value: ValueT | None = None


class Templates(Generic[ValueT]):
    """Values by the templates of their paths."""

    def __init__(self) -> None:
        self._root: _Node[ValueT] = _Node()

    def add(self, template: str, value: ValueT) -> str | None:
        """Add a template such as ``/users/{id}``; returns another one that takes the same paths, which stays then."""
        node = self._root
        for segment in [unquote(segment) for segment in template.split("/")[1:]]:
            node = _child(node, segment)
        if node.template is not None:
            return node.template
        node.template, node.value = template, value
        return None

    def find(self, segments: Sequence[str]) -> ValueT | None:
        """Return the value of the most specific template that takes a path."""
        if len(segments) > _MOST_SEGMENTS:
            return None
        return _find(self._root, segments, 0)


class PathOperations(Generic[ValueT]):
    """The operations of a document by their paths and methods.

    OpenAPI has no two templates for the same paths. Published documents have them all the same, one for some methods
    with another name for the parameter (GitHub's does): that means one thing only as long as no method is in both.
    """

    def __init__(self) -> None:
        self._templates: Templates[dict[str, ValueT]] = Templates()
        self._by_template: dict[str, dict[str, ValueT]] = {}

    def add(self, template: str, operations: Mapping[str, ValueT]) -> None:
        """Add the operations of a path by their methods.

        :raises DocumentError: another template takes the same paths, and has one of these methods as well.
        """
        other = self._templates.add(template, made := dict(operations))
        if other is None:
            self._by_template[template] = made
            return
        present = self._by_template[other]
        if twice := sorted(present.keys() & made):
            what = f"{other} and {template}, which take the same paths, with the methods {', '.join(twice)} in both"
            raise DocumentError(f"has {what}: leave one of them out")
        present.update(made)

    def find(self, segments: Sequence[str]) -> Mapping[str, ValueT] | None:
        """Return the operations of the most specific template that takes a path."""
        return self._templates.find(segments)


def _child(node: _Node[ValueT], segment: str) -> _Node[ValueT]:
    if "{" not in segment:
        return node.texts.setdefault(segment, _Node())
    if _PARAMETER.fullmatch(segment):
        node.parameter = node.parameter or _Node()
        return node.parameter
    # What fnmatch makes of several stars does not go back behind a match.
    literals = [re.sub(r"([*?[])", r"[\1]", literal) for literal in _PARAMETER.split(segment)]
    pattern = "?*".join(literals)
    return node.mixed.setdefault(pattern, (re.compile(fnmatch.translate(pattern)), _Node()))[1]


def _find(node: _Node[ValueT], segments: Sequence[str], position: int) -> ValueT | None:
    if position == len(segments):
        return node.value
    segment = segments[position]
    way = node.texts.get(segment)
    if way is not None and (found := _find(way, segments, position + 1)) is not None:
        return found
    for pattern, inner in node.mixed.values():
        if pattern.match(segment) and (found := _find(inner, segments, position + 1)) is not None:
            return found
    return _find(node.parameter, segments, position + 1) if segment and node.parameter is not None else None
