"""Reads an OpenAPI document out of text that anybody may have written: bounded in size, depth and what aliases make.

A document is what JSON could be: mappings whose keys are text, lists, text, numbers, booleans and null. Nodes that YAML
aliases share stay shared, so that a few bytes never become gigabytes; who writes a value out bounds it itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

from gateway_openapi.yaml_reader import YamlError, read_yaml

LARGEST_YAML: Final = 4 * 1024 * 1024
"""Bytes of YAML, which takes a hundred times as long to read as JSON."""
_DEEPEST: Final = 100
_MOST_HOPS: Final = 32
"""References that refer to one another."""


class DocumentError(ValueError):
    """The document cannot be used; the text names the place and the remedy."""


def read_document(data: bytes) -> Mapping[str, Any]:
    """Read an OpenAPI document of version 3.0 or 3.1 in YAML or JSON.

    :raises DocumentError: it is none.
    """
    document = read_value(data)
    if not isinstance(document, dict):
        raise DocumentError("is no OpenAPI document: it must be a mapping with openapi, info and paths")
    version = document.get("openapi")
    if "swagger" in document and version is None:
        raise DocumentError("is a document of Swagger 2: convert it to OpenAPI 3")
    if not isinstance(version, str | float) or not str(version).startswith(("3.0", "3.1")):
        raise DocumentError(f"has the version openapi: {str(version)[:20]!r}: write a document of version 3.0 or 3.1")
    paths = document.get("paths")
    if not isinstance(paths, dict) or not paths:
        raise DocumentError("has no paths: write the operations below paths")
    for path, item in paths.items():
        if not path.startswith(("/", "x-")):
            raise DocumentError(f"has the path {path[:80]!r}: begin it with /")
        if not isinstance(item, dict) and not path.startswith("x-"):
            raise DocumentError(f"has no operations at the path {path[:80]!r}: write a mapping, such as get: {{...}}")
    return document


def read_value(data: bytes) -> Any:
    """Read any value out of YAML or JSON.

    :raises DocumentError: it is neither, is nested too deep, or is too large for YAML.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DocumentError(f"is no text in UTF-8: see byte {error.start}") from None
    if text.lstrip()[:1] == "{":
        try:
            return _checked(json.loads(text, parse_constant=_no_constant), 0)
        except json.JSONDecodeError as error:
            if text.lstrip()[1:].lstrip()[:1] == '"':  # else it is YAML in flow style
                raise DocumentError(f"is no JSON: line {error.lineno}: {error.msg.lower()}") from None
        except ValueError as error:
            raise DocumentError(f"cannot be read: {str(error)[:200]}") from None
        except RecursionError:
            raise DocumentError(f"is nested more than {_DEEPEST} deep: make it flatter") from None
    if len(data) > LARGEST_YAML:
        raise DocumentError(f"is YAML of more than {LARGEST_YAML >> 20} MiB: write it as JSON")
    try:
        return read_yaml(text, _DEEPEST)
    except YamlError as error:
        raise DocumentError(str(error)) from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _checked(value: Any, depth: int) -> Any:
    """Return a value of JSON that is not nested too deep."""
    if depth > _DEEPEST:
        raise RecursionError
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        if isinstance(inner, dict | list):
            _checked(inner, depth + 1)
    return value


class References:
    """What ``$ref`` stands for in a document: only what is in it."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document

    def find(self, reference: str) -> Any:
        """Return what a reference such as ``#/components/schemas/User`` names (RFC 6901).

        :raises KeyError: it names nothing in this document.
        """
        if reference == "#":
            return self._document
        if not reference.startswith("#/"):
            raise KeyError(reference)
        node: Any = self._document
        for step in unquote(reference[2:]).split("/"):
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(node, list) and name.isascii() and name.isdigit() and len(name) < 9 and int(name) < len(node):
                node = node[int(name)]
            elif isinstance(node, dict) and name in node:
                node = node[name]
            else:
                raise KeyError(reference)
        return node

    def resolve(self, node: Any) -> Mapping[str, Any]:
        """Return a mapping, or the one that it refers to; an empty one if that is not there."""
        for _ in range(_MOST_HOPS):
            if not isinstance(node, dict):
                return {}
            reference = node.get("$ref")
            if not isinstance(reference, str):
                return node
            try:
                node = self.find(reference)
            except KeyError:
                return {}
        return {}


def references_in(document: Mapping[str, Any]) -> dict[str, str]:
    """Return each reference of a document with the place of its first use; each node is looked at once."""
    found: dict[str, str] = {}
    seen: set[int] = set()
    left: list[tuple[Any, str]] = [(document, "")]
    while left:
        node, place = left.pop()
        if not isinstance(node, dict | list) or id(node) in seen:
            continue
        seen.add(id(node))
        entries = node.items() if isinstance(node, dict) else enumerate(node)
        for key, inner in entries:
            if key == "$ref" and isinstance(inner, str):
                found.setdefault(inner, place or "/")
            elif key not in {"example", "examples", "default", "enum", "const"} or place.startswith("/components/"):
                left.append((inner, f"{place}/{str(key).replace('~', '~0').replace('/', '~1')}"))
    return found
