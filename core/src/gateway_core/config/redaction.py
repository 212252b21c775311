"""Which values of a plugin's config are secrets, and how they are kept out of what is shown."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, wraps
from typing import Any, Final, TypeVar

ResultT = TypeVar("ResultT")

_REMEMBERED: Final = 64
"""Schemas of which is remembered what was found in them; a configuration uses fewer plugins."""
_DEEPEST: Final = 16
"""Schemas within each other. A model within another takes three: its option, the alternative to null, the reference."""
_SHORTEST: Final = 3
_LONG_ENOUGH: Final = 12
# A reference says where the secret is, not what it is.
_REFERENCE: Final = re.compile(r"""["']?\$\{[^}]*\}["']?\s*""")


class _Known:
    """A schema as a key, by its identity: it is never changed."""

    __slots__ = ("schema",)

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.schema = schema

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Known) and other.schema is self.schema

    def __hash__(self) -> int:
        return id(self.schema)


def once_for_each_schema(find: Callable[[Mapping[str, Any]], ResultT]) -> Callable[[Mapping[str, Any]], ResultT]:
    """Return a function that remembers what was found in the latest schemas.

    It takes up to 10 ms to walk one, and a plugin's schema is the same for all its bindings and all configurations.
    """

    @lru_cache(maxsize=_REMEMBERED)
    def find_once(known: _Known) -> ResultT:
        return find(known.schema)

    @wraps(find)
    def found(schema: Mapping[str, Any]) -> ResultT:
        return find_once(_Known(schema))

    return found


def is_marked_secret(schema: object) -> bool:
    """Whether a schema says that its value is a secret, as pydantic does for ``SecretStr``."""
    return isinstance(schema, Mapping) and (schema.get("writeOnly") is True or schema.get("format") == "password")


@once_for_each_schema
def schema_secret_paths(schema: Mapping[str, Any]) -> frozenset[str]:
    """Return the key paths (``providers.*.secret``) of the values that a schema marks as secret.

    ``*`` stands for any key or index, and for a key that has a dot in it.
    """
    return frozenset(".".join(path) for path, inner in _walk(schema) if is_marked_secret(inner))


def marked_paths(schema: Mapping[str, Any], key: str) -> frozenset[tuple[str, ...]]:
    """Return the key paths of the values whose schema has a key that is true, such as ``x-file``; ``*`` as above."""
    return frozenset(path for path, inner in _walk(schema) if inner.get(key) is True)


@once_for_each_schema
def all_marked_paths(schema: Mapping[str, Any]) -> Mapping[str, frozenset[tuple[str, ...]]]:
    """Return what `marked_paths` returns, by each key that is true somewhere."""
    found: dict[str, set[tuple[str, ...]]] = {}
    for path, inner in _walk(schema):
        for key, value in inner.items():
            if value is True:
                found.setdefault(key, set()).add(path)
    return {key: frozenset(paths) for key, paths in found.items()}


def _walk(root: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """Yield a schema and those within it, each with its key path."""
    left: list[tuple[tuple[str, ...], object, int]] = [((), root, _DEEPEST)]
    while left:
        path, schema, depth = left.pop()
        if depth and isinstance(schema, Mapping):
            yield path, schema
            left.extend([((*path, *step), inner, depth - 1) for step, inner in _inside(root, schema)])


_ANY: Final = ("*",)
_ONE: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(("items", "additionalProperties", "unevaluatedProperties", "contains"), _ANY),
    **dict.fromkeys(("if", "then", "else", "not"), ()),
}
_SEVERAL: Final[Mapping[str, tuple[str, ...]]] = {"prefixItems": _ANY, "anyOf": (), "oneOf": (), "allOf": ()}
_NAMED: Final[Mapping[str, tuple[str, ...]]] = {"patternProperties": _ANY, "dependentSchemas": ()}
"""Keywords whose value is a schema, several, or several by name, with the step of the key path that leads there."""


def _inside(root: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], object]]:
    """Yield the schemas inside a schema, each with the step of the key path that leads there."""
    for keyword, value in schema.items():
        if keyword == "properties":
            for key, inner in _items(value):
                yield ("*" if "." in key else key,), inner
        elif keyword in _ONE:
            yield _ONE[keyword], value
        elif keyword in _SEVERAL:
            yield from [(_SEVERAL[keyword], inner) for inner in value or ()]
        elif keyword in _NAMED:
            yield from [(_NAMED[keyword], inner) for _, inner in _items(value)]
        elif keyword == "$ref" and isinstance(value, str) and value.startswith("#/"):
            yield (), _referred(root, value)


def _items(value: object) -> Iterable[tuple[str, object]]:
    return value.items() if isinstance(value, Mapping) else ()


def _referred(root: Mapping[str, Any], reference: str) -> object:
    found: Any = root
    for part in reference.removeprefix("#/").split("/"):
        found = found.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
    return found


def is_at_secret(patterns: Iterable[tuple[str, ...]], steps: Sequence[str]) -> bool:
    """Whether a key path leads to one of the places, or into one.

    Steps that a place does not have are passed over: pydantic names the alternative of a union that it tried.
    """
    return any(_is_within(pattern, steps) for pattern in patterns)


def _is_within(pattern: tuple[str, ...], steps: Sequence[str]) -> bool:
    rest = iter(steps)
    return all(any(part in {step, "*"} for step in rest) for part in pattern)


def secret_texts(value: object, paths: Iterable[str]) -> Iterator[str]:
    """Yield the texts in ``value`` at any of the key paths; not those that only say where a secret is (``${NAME}``)."""
    for path in paths:
        for text in _texts_at(value, tuple(path.split(".")) if path else ()):
            if not _REFERENCE.fullmatch(text):
                yield text


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


def masked_words(text: str, secrets: Iterable[str]) -> str:
    """Replace secrets in a message, which plugins' own validators may quote; short ones only as whole words.

    A message may have a secret with escapes, as JSON and Python write texts, and a long one may be cut off.
    """
    for secret in secrets:
        for form in dict.fromkeys([secret, json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]]):
            if len(secret) >= _LONG_ENOUGH:
                text = _without_start_of(text, form)
            elif len(secret) >= _SHORTEST:
                text = re.sub(rf"(?<!\w){re.escape(form)}(?!\w)", HIDDEN, text)
    return text


def _without_start_of(text: str, secret: str) -> str:
    """Return a text with each run of characters hidden that a secret begins with."""
    start = text.find(secret[:_LONG_ENOUGH])
    while start >= 0:
        end = start
        while end < len(text) and end - start < len(secret) and text[end] == secret[end - start]:
            end += 1
        text = f"{text[:start]}{HIDDEN}{text[end:]}"
        start = text.find(secret[:_LONG_ENOUGH], start + len(HIDDEN))
    return text


_NAMED_SECRET: Final = re.compile(
    r"""(?P<key>(?:password|passwd|passphrase|secret|token|credential|authorization
        |(?:api|access|private|secret|signing|hash)[_-]?key)s?["']?\s*[:=]\s*)
    (?P<value>\$\{[^}]*\}|"(?:[^"\\]|\\.)*"?|'(?:[^']|'')*'?|\[[^\]]*\]?|(?:[^\s,#\[\]{}"']|\{(?![^}]*[:=]))[^,}#]*)""",
    re.IGNORECASE | re.VERBOSE,
)


_FLOW: Final = frozenset("{[")


def is_named_secret(name: str) -> bool:
    """Whether a name, such as one of an environment variable, is that of a secret."""
    return _NAMED_SECRET.search(f"{name}: x") is not None


def masked_line(line: str) -> str:
    """Replace what a source line seems to have as secrets, by its keys and in its URLs; columns stay.

    For lines that no schema was applied to: the document cannot be read, or the plugin is not installed.
    """
    first = _NAMED_SECRET.search(line)
    if first is not None and first["value"][0] not in "\"'[" and not _FLOW.intersection(line[: first.start()]):
        # Outside of braces an unquoted text goes on to the end of the line, or to a comment.
        start, comment = first.start("value"), line.find(" #", first.start("value"))
        end = len(line) if comment < 0 else comment
        if not _REFERENCE.fullmatch(line[start:end]):
            line = line[:start] + _hidden(line[start:end]) + line[end:]
    return without_credentials(_NAMED_SECRET.sub(_mask_value, line), keep_length=True)


def _mask_value(match: re.Match[str]) -> str:
    value = match["value"]
    return match["key"] + (value if _REFERENCE.fullmatch(value) else _hidden(value))


def _hidden(value: str) -> str:
    """Return a value of which only white space, commas, quotes and square brackets are shown."""
    return re.sub(r"[^\s\[\]\"',]", "*", value)


# --- credentials in URLs: hidden of any text, so that no message has to know which of its words came from an option

HIDDEN: Final = "**********"

# A URL ends at white space or a quote. Its authority ends at the first of "/?#" (RFC 3986, section 3.2), but a password
# that was not escaped may hold one of those.
_URL: Final = re.compile(r"""(?P<scheme>\b[A-Za-z][A-Za-z0-9+.-]*://)(?P<rest>[^\s"'<>`]*)""")
_HOST: Final = re.compile(r"(?:\[[0-9A-Fa-f:.%a-z]*\]|[^:@\[\]]+)(?::[0-9]*)?|")
_PARAMETER: Final = re.compile(
    r"(?P<name>[?&;](?:[A-Za-z0-9_-]*(?:pass|secret|token|credential|signature)[A-Za-z0-9_-]*|api[_-]?key|access[_-]?key"
    r"|sig|auth)=)(?P<value>[^&;#]+)",
    re.IGNORECASE,
)


def without_credentials(text: str, *, keep_length: bool = False) -> str:
    """Return a text with the user and password of every URL in it, and secrets in their queries, hidden.

    :param keep_length: put one asterisk for each character, so that columns of a source line stay.
    """

    def hide(secret: str) -> str:
        return "*" * len(secret) if keep_length else HIDDEN

    def shown(match: re.Match[str]) -> str:
        rest = match["rest"]
        end = _userinfo_end(rest)
        query = _PARAMETER.sub(lambda found: found["name"] + hide(found["value"]), rest[end:])
        return match["scheme"] + (hide(rest[:end]) if end else "") + query

    return _URL.sub(shown, text) if "://" in text else text


def _userinfo_end(rest: str) -> int:
    """Return where the ``@`` behind the userinfo is; 0 if there is none."""
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" in authority:
        return authority.rindex("@")
    # "redis://:a/b@host": what looks like an authority is no host, so the slash is one of the password.
    if not _HOST.fullmatch(authority):
        return max(rest.rfind("@"), 0)
    return 0
