"""Reads YAML as JSON would have it, out of the parser's events.

The loaders of PyYAML are no use for what anybody may have written: the quick one recurses in C, where a document that
is nested deep enough ends the process, and holds the interpreter for seconds. Events come one by one, so other threads
run between them, and the depth is counted. Aliases share the node that they stand for; nothing is copied.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import yaml

_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CONSTANTS: Final = {
    "": None, "~": None, "null": None, "Null": None, "true": True, "True": True, "false": False, "False": False,
}  # fmt: skip
_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_LONGEST_NUMBER: Final = 300
"""Characters; more are text, since reading them as a number takes quadratic time."""
_TAGS: Final = {f"tag:yaml.org,2002:{name}" for name in ("bool", "int", "float", "null")}
_COLLECTION_TAGS: Final = frozenset({None, "!", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map"})
_TEXT: Final = "tag:yaml.org,2002:str"
_MERGE: Final = "<<"


class YamlError(ValueError):
    """The text is no YAML, or none that JSON could be; the text has the line."""


def read_yaml(text: str, deepest: int) -> Any:
    """Read one document of YAML.

    :param deepest: levels of sequences and mappings.
    :raises YamlError: it is none, is nested deeper, or in itself.
    """
    reader = _Reader(deepest)
    try:
        events = iter(yaml.parse(text, _LOADER))
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                value = reader.value(next(events), events, 0)
                next(events)
                if not isinstance(next(events), yaml.StreamEndEvent):
                    raise YamlError("has more than one document: leave only the first one")
                return value
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f"line {error.problem_mark.line + 1}: "
        raise YamlError(f"is no YAML: {line}{error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise YamlError(f"is no YAML: {str(error)[:200]}") from None
    return None


class _Reader:
    def __init__(self, deepest: int) -> None:
        self._deepest = deepest
        self._anchors: dict[str, Any] = {}

    def value(self, event: Any, events: Iterator[Any], depth: int) -> Any:
        """Return the value that begins with an event."""
        line, anchor = event.start_mark.line + 1, event.anchor
        if isinstance(event, yaml.AliasEvent):
            if anchor not in self._anchors:
                raise YamlError(f"line {line}: *{anchor} stands for nothing, or for what it is in: correct the name")
            return self._anchors[anchor]
        made: Any
        if isinstance(event, yaml.ScalarEvent):
            made = _scalar(event, line)
        elif event.tag not in _COLLECTION_TAGS:
            raise YamlError(f"line {line}: has the tag {event.tag[:80]!r}, which JSON has nothing for: leave it out")
        elif depth >= self._deepest:
            raise YamlError(f"line {line}: is nested more than {self._deepest} deep: make it flatter")
        elif isinstance(event, yaml.SequenceStartEvent):
            made = []
            while not isinstance(event := next(events), yaml.SequenceEndEvent):
                made.append(self.value(event, events, depth + 1))
        else:
            made = self._mapping(events, depth + 1)
        if anchor is not None:  # only now: within itself it stands for nothing
            self._anchors[anchor] = made
        return made

    def _mapping(self, events: Iterator[Any], depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        merged: list[Any] = []
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            line = event.start_mark.line + 1
            is_scalar = isinstance(event, yaml.ScalarEvent)
            is_merge = is_scalar and event.value == _MERGE and event.implicit[0]
            key = event.value if is_scalar else self.value(event, events, depth)
            if not isinstance(key, str):
                raise YamlError(f"line {line}: has a key that is no text: write a word")
            if is_scalar and event.anchor is not None:
                self._anchors[event.anchor] = key
            value = self.value(next(events), events, depth)
            if is_merge:
                merged += value if isinstance(value, list) else [value]
            elif key in made:
                raise YamlError(f"line {line}: has the key {key[:80]!r} twice: leave one of them out")
            else:
                made[key] = value
        for each in merged:
            if isinstance(each, dict):
                made = {**each, **made}
        return made


def _scalar(event: Any, line: int) -> Any:
    """Return what a scalar stands for: only what JSON could not say otherwise is text, as quotes make it."""
    text: str = event.value
    if event.tag in {None, "!"}:
        if not event.implicit[0]:
            return text
    elif event.tag == _TEXT:
        return text
    elif event.tag not in _TAGS:
        raise YamlError(f"line {line}: has the tag {event.tag[:80]!r}, which JSON has nothing for: leave it out")
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if len(text) <= _LONGEST_NUMBER and _NUMBER.fullmatch(text):
        return int(text) if _INTEGER.fullmatch(text) else float(text)
    return text
