"""Which values of a plugin's config are secrets, and how they are kept out of what is shown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

_DEEPEST: Final = 8
_SHORTEST: Final = 3


def is_marked_secret(schema: object) -> bool:
    """Whether a schema says that its value is a secret, as pydantic does for ``SecretStr``."""
    return isinstance(schema, Mapping) and (schema.get("writeOnly") is True or schema.get("format") == "password")


def schema_secret_paths(schema: Mapping[str, Any]) -> frozenset[str]:
    """Return the key paths of the values that a schema marks as secret, ``*`` standing for any key or index."""
    return frozenset(".".join(path) for path in _walk(schema, schema, (), _DEEPEST))


def _walk(root: Mapping[str, Any], schema: object, path: tuple[str, ...], depth: int) -> Iterator[tuple[str, ...]]:
    if not isinstance(schema, Mapping) or not depth:
        return
    if is_marked_secret(schema):
        yield path
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith("#/$defs/"):
        yield from _walk(root, root.get("$defs", {}).get(reference.removeprefix("#/$defs/")), path, depth - 1)
    for key, inner in (schema.get("properties") or {}).items():
        yield from _walk(root, inner, (*path, key), depth - 1)
    for key in ("items", "additionalProperties"):
        yield from _walk(root, schema.get(key), (*path, "*"), depth - 1)
    for key in ("anyOf", "oneOf", "allOf"):
        for inner in schema.get(key) or ():
            yield from _walk(root, inner, path, depth - 1)


def secret_texts(value: object, paths: Iterable[str]) -> Iterator[str]:
    """Yield the texts in ``value`` at any of the key paths."""
    for path in paths:
        yield from _texts_at(value, tuple(path.split(".")) if path else ())


def _texts_at(value: object, path: tuple[str, ...]) -> Iterator[str]:
    if not path:
        yield from _all_texts(value)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if path[0] in {key, "*"}:
                yield from _texts_at(inner, path[1:])
    elif isinstance(value, (list, tuple)) and path[0] == "*":
        for inner in value:
            yield from _texts_at(inner, path[1:])


def _all_texts(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _all_texts(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _all_texts(inner)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def masked(text: str, secrets: Iterable[str]) -> str:
    """Replace secrets by as many asterisks, so that columns stay; very short ones would hide everything else."""
    for secret in secrets:
        for line in secret.splitlines():
            if len(line) >= _SHORTEST:
                text = text.replace(line, "*" * len(line))
    return text
